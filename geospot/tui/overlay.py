"""Several runs over one another: a common x, one metric of each, what tells their configurations apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt

from geospot.numbertext import compact
from geospot.runs.columns import Columns, FloatArray
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.widgets.series import Series
from geospot.tui.widgets.table import Cell, Cells, Column

Axis = Literal["step", "tokens", "time"]
AXES: Final[tuple[Axis, ...]] = ("step", "tokens", "time")
AXIS_WORDS: Final[Mapping[Axis, str]] = {
    "step": "step",
    "tokens": "tokens, all kinds",
    "time": "time training (sum of time/total; pauses don't count)",
}
LETTERS: Final = "ABCDEFGH"

_REWARD: Final = (
    "env", "coord_tau", "tau_schedule", "tau_start", "coord_coef", "city_coef", "region_coef",
    "country_coef", "format_coef",
)  # fmt: skip
"""Settings that say what a reward means."""

_DATA: Final = ("hf_repo", "split", "columns", "prompt", "prompt_text", "system_prompt")
"""Settings that say what is asked about, and how."""

_PREFERRED: Final = (
    "env/all/reward/total",
    "geo/geoscore",
    "eval/geoscore",
    "train_mean_nll",
    "test/nll",
)
_FIXED: Final = tuple(key for key in _PREFERRED if "reward" not in key)
_LESS_IS_BETTER: Final = ("nll", "_km", "/km", "loss", "distance", "/lost", "frac_all_bad")
_MORE_IS_BETTER: Final = ("geoscore", "reward", "acc_", "answered", "coverage", "frac_mixed")
_OF_THE_PLACE: Final = ("log_path", "provenance", "behavior_if_log_dir_exists", "start_path")
"""Differences that mean nothing, or are another setting's: `start_path` is where a checkpoint was found."""

_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Figures:
    """A metric of one run: newest value, best one and its step, last one if the run is over."""

    newest: float | None
    best: float | None
    best_step: int | None
    final: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that isn't the same everywhere; a value a run, as text."""

    name: str
    values: Sequence[str]


def x_of(columns: Columns, axis: Axis) -> "npt.NDArray[Any] | None":
    """Where each of N steps stands on an axis, never falling; None where the run doesn't say."""
    if axis == "step":
        return columns.steps_N
    if axis == "time":
        spent = columns.values_N.get("time/total")
        return None if spent is None else np.cumsum(_known(spent), dtype=np.float64)
    so_far = [v for k, v in columns.values_N.items() if k.startswith("tokens/")]
    if so_far:  # our own runs count from their beginning
        total_N = np.zeros(len(columns))
        for values in so_far:
            total_N += np.maximum.accumulate(_known(values))
        return total_N
    each = [
        columns.values_N[key]
        for key in ("env/all/total_ac_tokens", "env/all/total_ob_tokens", "num_tokens")
        if key in columns.values_N
    ]
    if not each:
        return None
    return np.cumsum(np.sum([_known(values) for values in each], axis=0), dtype=np.float64)


def _known(values: FloatArray) -> FloatArray:
    """Steps without a value, and values below 0, count nothing."""
    return np.fmax(values, 0)


def series_of(columns: Columns, name: str, metric: str, x_N: "npt.NDArray[Any] | None") -> Series:
    """The curve of a run; without points where it has no such metric, or no such axis.

    Args:
        x_N: where its steps stand, as `x_of` says.
    """
    y_N = columns.values_N.get(metric)
    if x_N is None or y_N is None:
        nothing = np.empty(0)
        return Series(name, nothing, nothing)
    there = np.isfinite(y_N)
    if there.all():  # the usual case, and of a million steps a copy takes its time
        return Series(name, x_N, y_N)
    return Series(name, x_N[there], y_N[there])


def metrics_of(states: Sequence[RunState]) -> list[tuple[str, int]]:
    """Every metric and how many of the runs have it; those of most runs first, then by name."""
    count: dict[str, int] = {}
    for state in states:
        for key in state.columns.values_N:
            count[key] = count.get(key, 0) + 1
    return sorted(count.items(), key=lambda pair: (-pair[1], pair[0]))


def first_metric(states: Sequence[RunState]) -> str | None:
    """What is shown at first: where rewards don't mean the same, a figure on a fixed scale."""
    wanted = _FIXED if unlike_rewards(states) else _PREFERRED
    count = dict(metrics_of(states))
    there = [key for key in wanted if key in count]
    if there:
        return max(there, key=lambda key: (count[key], -wanted.index(key)))
    return next(iter(count), None)


def unlike_rewards(states: Sequence[RunState]) -> list[str]:
    """Settings by which the runs' rewards mean different things; runs without rewards don't count."""
    rewarded = [state.config for state in states if state.kind == "rl" and state.config]
    return [key for key in _REWARD if _differ([config.get(key) for config in rewarded])]


def warning(states: Sequence[RunState], metric: str) -> str:
    """What stands between the curves and a conclusion; empty where nothing is known."""
    unlike = unlike_rewards(states)
    if "reward" in metric and unlike:
        return (
            f"Rewards aren't comparable: {', '.join(unlike)} differ. Compare geo/geoscore or eval/geoscore,"
            " which have a fixed scale."
        )
    configs = [state.config for state in states if state.config]
    data = [key for key in _DATA if _differ([config.get(key) for config in configs])]
    if metric.startswith("eval/"):
        data = [
            key
            for key in ("eval_hf_repo", "eval_split", "eval_limit")
            if _differ([config.get(key) for config in configs])
        ]
    if data:
        return f"The runs were not asked the same: {', '.join(data)} differ."
    return f"Shown on a fixed scale, since rewards differ in {', '.join(unlike)}." if unlike else ""


def _differ(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values[1:])


def figures_of(state: RunState, metric: str) -> Figures:
    """Newest, best and final value of a metric; which is best is known of losses, distances, scores."""
    steps, values = state.columns.series(metric)
    if not len(values):
        return Figures(None, None, None, None)
    newest = float(values[-1])
    way = direction(metric)
    best = int(np.argmax(way * values)) if way else None
    over = state.beat is not None and state.beat.state in ("finished", "stopped")
    return Figures(
        newest,
        None if best is None else float(values[best]),
        None if best is None else int(steps[best]),
        newest if over else None,
    )


def direction(metric: str) -> int:
    """1 where more is better, −1 where less is, 0 where that depends."""
    name = f"/{metric.casefold()}"
    if any(part in name for part in _LESS_IS_BETTER):
        return -1
    return 1 if any(part in name for part in _MORE_IS_BETTER) else 0


def differences(states: Sequence[RunState]) -> list[Difference]:
    """Settings that aren't the same in all runs, those that matter most first."""
    flat = [_flattened(state.config) for state in states]
    names = dict.fromkeys(name for one in flat for name in one)
    found = [
        Difference(name, [one.get(name, "–") for one in flat])
        for name in names
        if len({one.get(name) for one in flat}) > 1 and not name.startswith(_OF_THE_PLACE)
    ]
    first = ("kind", "model_name", "learning_rate", *_REWARD, *_DATA)
    order = {name: place for place, name in enumerate(first)}
    return sorted(found, key=lambda one: order.get(one.name, len(order)))


def _flattened(config: Mapping[str, Any], before: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and value and name.count(".") < 5:
            flat.update(_flattened(cast(Mapping[str, Any], value), f"{name}."))
        else:
            flat[printable(name, limit=_LONGEST)] = printable(_shown(value), limit=_LONGEST)
    return flat


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in cast(list[Any], value)) or "none"
    return str(value)


RUN_COLUMNS: Final = (
    Column("letter", "", 1),
    Column("name", "run", 12, flexible=True),
    Column("state", "state", 8, priority=1),
    Column("step", "step", 13, "right"),
    Column("newest", "newest", 9, "right"),
    Column("best", "best", 9, "right"),
    Column("at", "at step", 7, "right", priority=2),
    Column("final", "final", 9, "right"),
)


def standing_of(state: RunState) -> str:
    """What has become of a run, now."""
    if state.is_gone:
        return "gone"
    return "–" if state.beat is None else state.beat.standing()


def run_cells(state: RunState, place: int, name: str, metric: str) -> Cells:
    """One run as cells of `RUN_COLUMNS`."""
    figures = figures_of(state, metric)
    beat = state.beat
    steps = int(state.columns.steps_N[-1]) + 1 if len(state.columns) else 0
    step = f"{beat.step:,}/{beat.total:,}" if beat is not None and beat.total else f"{steps:,}"
    return [
        Cell(LETTERS[place % len(LETTERS)], "bold"),
        printable(name, limit=_LONGEST),
        standing_of(state),
        step,
        _value(figures.newest),
        Cell(_value(figures.best), "bold"),
        "–" if figures.best_step is None else f"{figures.best_step:,}",
        _value(figures.final),
    ]


def _value(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else compact(value, 4)


def difference_columns(count: int, width: int) -> list[Column]:
    """A column for the setting and one for each run."""
    each = max((width - 24) // max(count, 1) - 2, 8)
    return [
        Column("name", "setting", 21),
        *(Column(LETTERS[i], LETTERS[i], each) for i in range(count)),
    ]
