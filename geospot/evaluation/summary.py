"""summary.json: what a result says, from the stream of its records.

The summary depends on the records as a set: an evaluation that was interrupted and resumed gives the
same one. Every value is plain JSON, and None (null) where there is nothing to say.

What was not asked counts as a failure in `all`, `coverage`, `ci` and `admin.official`, which are over
all n·k answers. Figures whose denominator hangs on the labels (`admin.fixed`, `said`, the groups) are
null until everything was asked: labels come with the answers.

With several answers an image (`samples_per_image` k > 1) n stays the number of images; outcomes and
`not_asked` count answers, the figures are over all n·k answers, and `spread` is their standard
deviation from one round of answers to the next.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geospot.errors import ResultFormatError
from geospot.evaluation.admin import LEVELS, SAID_LEVELS, Mark, MarkArray, accuracy
from geospot.evaluation.columns import Columns, IntArray, collect
from geospot.evaluation.metrics import HEADLINE, BoolArray, Figures, Scores, score_distances
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.results import FORMAT
from geospot.evaluation.statistics import LEVEL, RESAMPLES, Interval, bootstrap
from geospot.outcomes import OUTCOMES, Outcome

_REPLIES: Final = frozenset(Outcome) - {
    Outcome.IMAGE_ERROR,
    Outcome.TRANSPORT_ERROR,
    Outcome.MISSING,
}
"""Outcomes with an answer behind them, which cost something."""

Summary = dict[str, Any]


def summarise(
    records: Iterable[SampleRecord],
    *,
    n: int,
    fingerprint: str,
    samples: int = 1,
    canary: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Summary:
    """The summary of an evaluation, complete or not.

    Args:
        records: what was asked so far, in any order; read once.
        n: images selected, asked or not.
        fingerprint: of the selection.
        samples: answers an image, k.
        canary: as in eval.json.
        seconds: time spent asking, over all sessions.
        price_in: US dollars for a million input tokens. The cost is null without both prices, and
            where the model answered but the server counted no token.
        price_out: the same for output tokens.
        level: of the bootstrap intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ResultFormatError: there are more answers than were to be asked.
    """
    columns = collect(records, expected=n * samples)
    not_asked = n * samples - len(columns)
    if not_asked < 0 or columns.images > n:
        raise ResultFormatError(
            f"There are {len(columns)} answers to {columns.images} images where {n} images were to"
            f" be asked {samples} times.",
            "The samples belong to another selection; evaluate into a directory of its own.",
        )
    outcomes = _outcomes(columns)
    scores, image_N = _padded(columns, n, samples)
    labels_known = not_asked == 0
    return {
        "format": FORMAT,
        "n": n,
        "samples_per_image": samples,
        "coverage": scores.coverage,
        "outcomes": outcomes,
        "not_asked": not_asked,
        "complete": not_asked == 0 and outcomes[Outcome.TRANSPORT_ERROR] == 0,
        "all": scores.over_all(),
        "answered": scores.over_answered(),
        "spread": _spread(columns, n, samples),
        "ci": _intervals(
            scores,
            image_N.astype(np.int64) if samples > 1 else None,
            level=level,
            resamples=resamples,
            seed=seed,
        ),
        "admin": {
            "official": _official(columns, n * samples),
            "fixed": _accuracies(columns.fixed_N_L, LEVELS, labels_known),
        },
        "said": _accuracies(columns.said_N_L, SAID_LEVELS, labels_known),
        "by_country": _by_group(columns, columns.country_N, columns.countries)
        if labels_known
        else None,
        "by_continent": _by_group(columns, columns.continent_N, columns.continents)
        if labels_known
        else None,
        "collapse": _collapse(columns),
        "usage": {"input_tokens": 0, "output_tokens": 0} | columns.usage,
        "cost_usd": _cost_usd(columns, price_in, price_out),
        "seconds": seconds,
        "fingerprint": fingerprint,
        "canary": dict(canary) if canary is not None else None,
    }


def _outcomes(columns: Columns) -> dict[str, int]:
    count = np.bincount(columns.outcome_N, minlength=len(OUTCOMES))
    return {outcome: int(count[index]) for index, outcome in enumerate(OUTCOMES)}


def _padded(columns: Columns, n: int, samples: int) -> tuple[Scores, IntArray]:
    """Scores of all n·k answers and their image; one that wasn't asked for counts as a failure."""
    asked = np.bincount(columns.image_N, minlength=n)
    absent_image = np.repeat(np.arange(n, dtype=np.int32), np.maximum(samples - asked, 0))
    distance_km = np.append(columns.distance_km_N, np.zeros(absent_image.size))
    answered = np.append(columns.answered_N, np.zeros(absent_image.size, np.bool_))
    return score_distances(distance_km, answered), np.append(columns.image_N, absent_image)


def _spread(columns: Columns, n: int, samples: int) -> Figures | None:
    """Standard deviation (n − 1) of each figure over all, from one round of answers to the next."""
    if samples < 2 or n == 0:
        return None
    rounds: list[list[float]] = []
    for draw in range(samples):
        in_round = columns.draw_N == draw
        distance_km = np.zeros(n)
        answered = np.zeros(n, np.bool_)
        image = columns.image_N[in_round]
        distance_km[image] = columns.distance_km_N[in_round]
        answered[image] = columns.answered_N[in_round]
        over_all = score_distances(distance_km, answered).over_all()
        rounds.append([over_all[name] or 0.0 for name in HEADLINE])
    deviation = np.std(np.array(rounds), axis=0, ddof=1)
    return {name: float(deviation[index]) for index, name in enumerate(HEADLINE)}


def _intervals(
    scores: Scores,
    image_N: npt.NDArray[np.int64] | None,
    *,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    intervals = bootstrap(scores, image_N, level=level, resamples=resamples, seed=seed)
    return {
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "coverage": _pair(intervals.coverage),
        "all": {name: _pair(interval) for name, interval in intervals.over_all.items()},
        "answered": {name: _pair(interval) for name, interval in intervals.over_answered.items()},
    }


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _official(columns: Columns, total: int) -> Figures:
    """Accuracies over every row, labelled or not; None where no row has a label of that level."""
    labelled = (columns.fixed_N_L != Mark.NO_LABEL).any(axis=0)
    return {
        name: accuracy(columns.official_N_L[:, i], total) if labelled[i] else None
        for i, name in enumerate(LEVELS)
    }


def _accuracies(mark_N_L: MarkArray, levels: tuple[str, ...], labels_known: bool) -> Figures:
    """Accuracies over the labelled rows; None where it isn't known which rows those are."""
    return {
        name: accuracy(mark_N_L[:, i]) if labels_known else None for i, name in enumerate(levels)
    }


def _by_group(columns: Columns, group_N: IntArray, names: tuple[str, ...]) -> dict[str, Any]:
    """Figures over all answers of each group, by name; n is its images."""
    order = np.argsort(group_N, kind="stable")
    ends = np.cumsum(np.bincount(group_N, minlength=len(names)))
    rows = dict(zip(names, np.split(order, ends[:-1]), strict=True)) if names else {}
    return {name: _group(columns, rows[name]) for name in sorted(rows) if rows[name].size}


def _group(columns: Columns, row_G: IntArray) -> dict[str, Any]:
    scores = score_distances(columns.distance_km_N[row_G], columns.answered_N[row_G])
    images = int(np.unique(columns.image_N[row_G]).size)
    return {"n": images, "coverage": scores.coverage, **scores.over_all()}


def _collapse(columns: Columns) -> dict[str, Any]:
    """Does the model say the same coordinates whatever it is shown?"""
    answered: BoolArray = columns.answered_N
    points = np.column_stack([columns.latitude_N[answered], columns.longitude_N[answered]])
    if points.size == 0:
        return {"top_share": None, "top": None, "distinct": 0}
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    starts = np.flatnonzero(np.append(True, (points[1:] != points[:-1]).any(axis=1)))
    counts = np.diff(np.append(starts, len(points)))
    top = int(np.argmax(counts))
    return {
        "top_share": int(counts[top]) / len(points),
        "top": [float(degrees) for degrees in points[starts[top]]],
        "distinct": len(starts),
    }


def _cost_usd(columns: Columns, price_in: float | None, price_out: float | None) -> float | None:
    """US dollars; None if they aren't known. Nothing was spent only where nobody answered."""
    if price_in is None or price_out is None:
        return None
    tokens_in = columns.usage.get("input_tokens", 0)
    tokens_out = columns.usage.get("output_tokens", 0)
    replied = np.isin(columns.outcome_N, [OUTCOMES.index(outcome) for outcome in _REPLIES]).any()
    if replied and tokens_in == tokens_out == 0:
        return None
    return (tokens_in * price_in + tokens_out * price_out) / 1e6
