"""Which figures of a run are worth a chart, in which order, and what they are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from geospot.runs.columns import Columns
from geospot.tui.widgets.series import Series


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: its title, its curves (key in the metrics and name), the unit, and how it is drawn."""

    title: str
    curves: tuple[tuple[str, str], ...]
    unit: str = ""
    log: bool = False

    @property
    def name(self) -> str:
        """What it is known by: its first key."""
        return self.curves[0][0]


def _one(title: str, key: str, unit: str = "", *, log: bool = False) -> Figure:
    return Figure(title, ((key, title),), unit, log)


_DENSE: Final = 0.5
REWARD: Final = "env/all/reward/total"
NLL: Final = "train_mean_nll"

_REWARD: Final = (
    _one("Reward", REWARD),
    Figure("GeoScore", (("geo/geoscore", "sampled"), ("eval/geoscore", "evaluated"))),
    Figure(
        "Median", (("geo/median_km", "sampled"), ("eval/median_km", "evaluated")), "km", log=True
    ),
    Figure("Answered", (("geo/answered", "sampled"), ("eval/coverage", "evaluated"))),
    Figure(
        "Groups",
        (
            ("env/all/by_group/frac_mixed", "mixed"),
            ("env/all/by_group/frac_all_good", "all good"),
            ("env/all/by_group/frac_all_bad", "all bad"),
        ),
    ),
    _one("Entropy", "optim/entropy", "nats a token"),
    _one("KL sampler to trainer", "optim/kl_sample_train_v2", "nats a token"),
    Figure(
        "KL to the reference",
        (("kl/start_nats", "start"), ("kl/base_nats", "base")),
        "nats an answer",
    ),
)
_NLL: Final = (Figure("NLL", ((NLL, "training"), ("test/nll", "test")), "nats a token"),)
_BOTH: Final = (
    Figure("Learning rate", (("optim/lr", "rate"), ("learning_rate", "rate"))),
    _one("Gradient norm", "optim/grad_norm", log=True),
    _one("Tau", "reward/tau_km", "km"),
    _one("Loss", "optim/loss"),
    Figure(
        "Seconds",
        (
            ("time/total", "step"),
            ("time/sample", "sampling"),
            ("time/train", "training"),
            ("time/data_wait", "waiting for photos"),
        ),
    ),
    Figure("Most frequent place", (("collapse/top_share", "share of answers"),)),
    Figure("Lost", (("rollouts/lost", "rollouts"), ("photos/lost", "photos"))),
    _one("Shown again", "replay/share", "share of photos"),
    _one("Steps off policy", "rollouts/steps_off_policy"),
    _one("Cost", "cost/usd", "$"),
)


def figures_of(columns: Columns, kind: str) -> list[Figure]:
    """The figures that a run has values of, the ones that matter most first; only curves that are there."""
    known = columns.values_N
    ordered = (*_NLL, *_REWARD, *_BOTH) if kind == "sft" else (*_REWARD, *_NLL, *_BOTH)
    found: list[Figure] = []
    for figure in ordered:
        curves = tuple(curve for curve in figure.curves if curve[0] in known)
        if curves:
            found.append(Figure(figure.title, curves, figure.unit, figure.log))
    return found


def any_figure(key: str) -> Figure:
    """A chart of any key."""
    return Figure(key, ((key, key),))


def curves_of(figure: Figure, columns: Columns) -> list[Series]:
    """The figure's curves.

    Where most steps have a value, one that has none had a figure that was no number: it is a point, and is
    counted. Of what comes now and then, such as evaluations, only the steps that have it are points.
    """
    return [_curve(columns, key, name) for key, name in figure.curves]


def _curve(columns: Columns, key: str, name: str) -> Series:
    values = columns.values_N.get(key)
    if values is None:
        return Series(name, np.empty(0, np.int64), np.empty(0, np.float32))
    there = np.flatnonzero(np.isfinite(values))
    if not len(there):
        return Series(name, np.empty(0, np.int64), np.empty(0, np.float32))
    first, end = int(there[0]), int(there[-1]) + 1
    if len(there) > _DENSE * (end - first):
        return Series(name, columns.steps_N[first:end], values[first:end])
    return Series(name, columns.steps_N[there], values[there])


NEWEST: Final[Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "rl": (
        ("reward", REWARD, ""),
        ("GeoScore", "geo/geoscore", ""),
        ("median", "geo/median_km", " km"),
        ("answered", "geo/answered", "%"),
        ("evaluated GeoScore", "eval/geoscore", ""),
        ("evaluated median", "eval/median_km", " km"),
        ("entropy", "optim/entropy", ""),
    ),
    "sft": (
        ("NLL", NLL, ""),
        ("test NLL", "test/nll", ""),
        ("evaluated GeoScore", "eval/geoscore", ""),
        ("evaluated median", "eval/median_km", " km"),
        ("learning rate", "learning_rate", ""),
    ),
}
"""What the line at the top says of a run: name, key and unit, the most important first."""
