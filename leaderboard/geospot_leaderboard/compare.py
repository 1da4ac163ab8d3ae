"""Is B better than A? Two results on the images that both were asked, pair by pair.

A is what is compared with, B what is new: differences are B − A, wins are B's, and a regression is an
image on which B is worse. With several answers an image, an image has the mean GeoScore and the
median distance of its answers. What server or network lost is no answer of a model: it is left out,
and because a server may fail just on the hard images, `lost_counted` says what it could come to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geospot.errors import UsageError
from geospot.evaluation import results
from geospot.evaluation.metrics import ACCURACIES, BoolArray, Scores
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.standing import section
from geospot.evaluation.statistics import (
    LEVEL,
    RESAMPLES,
    Interval,
    holm,
    mcnemar,
    median_permutation_test,
    paired_bootstrap,
    permutation_test,
)
from geospot.geo import HALF_CIRCUMFERENCE_KM, FloatArray
from geospot.outcomes import Outcome
from geospot_leaderboard.collect import Result, read_result

SIGNIFICANT: Final = 0.05
"""A p-value below this is called significant."""

_REGRESSIONS: Final = 10
_SAME_TRUTH_DEGREES: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of both results, B − A with its interval, and the permutation test's p-value."""

    a: float
    b: float
    difference: float
    interval: Interval | None
    p: float

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance would give."""
        return self.p < SIGNIFICANT


@dataclass(frozen=True, slots=True)
class ThresholdTest:
    """Accuracy within a radius: fractions, images that only one of them hits, McNemar's p-values."""

    a: float
    b: float
    only_a: int
    only_b: int
    p_exact: float
    p_mid: float
    p_holm: float
    """The mid-p, corrected for testing five radii."""


@dataclass(frozen=True, slots=True)
class Regression:
    """An image on which B is worse than A. GeoScore points and km."""

    id: str
    loss: float
    a_km: float
    b_km: float
    a_outcome: str
    b_outcome: str
    true_latitude: float
    true_longitude: float


@dataclass(frozen=True, slots=True)
class LostCounted:
    """GeoScores where every answer that server or network lost is a failure; the worst case."""

    images: int
    """Images that both were asked, with or without an answer."""
    lost_answers_a: int
    """How many answers of these images A lost."""
    lost_answers_b: int
    a: float
    b: float

    @property
    def difference(self) -> float:
        """B − A, in GeoScore points."""
        return self.b - self.a


@dataclass(frozen=True)
class Comparison:
    """What there is to say about two results."""

    a: Result
    b: Result
    common: int
    only_a: int
    only_b: int
    other_truth: int
    """Ids that both have, but with different true coordinates; left out."""
    lost_a: int
    """Images without an answer because server or network failed; left out."""
    lost_b: int
    lost_counted: LostCounted | None
    """None where nothing was lost."""
    geoscore: Difference
    median_km: Difference
    thresholds: Mapping[str, ThresholdTest]
    wins: int
    ties: int
    losses: int
    regressions: list[Regression]
    caveats: list[str]

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        if not self.geoscore.significant:
            return (
                f"The difference in GeoScore is not significant (p = {self.geoscore.p:.3g}):"
                f" these {self.common:,} images don't show that either is better."
            )
        better = "B" if self.geoscore.difference > 0 else "A"
        return (
            f"{better} is better in GeoScore by {abs(self.geoscore.difference):,.1f} points"
            f" (p = {self.geoscore.p:.3g}) on {self.common:,} images."
        )


@dataclass(slots=True)
class _Asked:
    """An image that was asked: its answers, and how many were lost. Points are GeoScore's."""

    truth: tuple[float, float]
    points: float = 0.0
    distances_km: list[float] = field(default_factory=list[float])
    outcome: str = ""
    """The last one; `ok` where some answer is."""
    said: tuple[float, float] = (np.nan, np.nan)
    lost: int = 0

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return len(self.distances_km)

    def add(self, record: SampleRecord) -> None:
        """Counts an answer in."""
        if record.outcome is Outcome.TRANSPORT_ERROR:
            self.lost += 1
            return
        is_answered = record.outcome is Outcome.OK
        self.points += record.geoscore if is_answered else 0.0
        self.distances_km.append(record.distance_km if is_answered else HALF_CIRCUMFERENCE_KM)
        if self.outcome != Outcome.OK:
            self.outcome = str(record.outcome)
            if record.latitude is not None and record.longitude is not None:
                self.said = (record.latitude, record.longitude)


@dataclass(frozen=True, slots=True)
class _All:
    """Every image that was asked, also those without any answer: M of them."""

    row: Mapping[str, int]
    """Where each id stands in the arrays."""
    true_M_C: FloatArray
    lost_M: npt.NDArray[np.int64]
    """How many answers were lost."""
    worst_M: FloatArray
    """Mean GeoScore of the answers, a lost one a failure."""

    @classmethod
    def of(cls, asked: Mapping[str, _Asked]) -> "_All":
        """Arrays, since there may be hundreds of thousands."""
        images = list(asked.values())
        lost = np.array([image.lost for image in images], np.int64)
        points = np.array([image.points for image in images])
        answers = np.array([image.answers for image in images], np.int64)
        row = {name: place for place, name in enumerate(asked)}
        return cls(row, _points(image.truth for image in images), lost, points / (answers + lost))


_NOTHING: Final = _All({}, np.empty((0, 2)), np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class Images:
    """The answers of one result, an image a row; `true_N_C` are latitudes and longitudes."""

    ids: list[str]
    scores: Scores
    true_N_C: FloatArray
    said_N_C: FloatArray
    """Where the first answer with coordinates lies; NaN where there is none."""
    outcomes: list[str]
    all: _All = _NOTHING
    """Every image, also those without any answer."""

    @property
    def lost(self) -> set[str]:
        """Images without any answer."""
        return set(self.all.row) - set(self.ids)

    def take(self, index_N: npt.NDArray[np.intp]) -> "Images":
        """Some of the images, without what is only known of all."""
        return Images(
            [self.ids[int(i)] for i in index_N],
            Scores(
                self.scores.distance_km_N[index_N],
                self.scores.geoscore_N[index_N],
                self.scores.answered_N[index_N],
            ),
            self.true_N_C[index_N],
            self.said_N_C[index_N],
            [self.outcomes[int(i)] for i in index_N],
        )


@dataclass(frozen=True)
class Pairs:
    """Two results on the images that both answered for with equal truth, in the order of the ids."""

    a: Result
    b: Result
    images_a: Images
    images_b: Images
    """Row by row the same images as `images_a`."""
    only_a: int
    only_b: int
    other_truth: int
    lost_a: int
    lost_b: int
    lost_counted: LostCounted | None

    @property
    def gain_N(self) -> FloatArray:
        """GeoScore points by which B is better on each image; below 0 is a regression."""
        return self.images_b.scores.geoscore_N - self.images_a.scores.geoscore_N


def compare(a: Path, b: Path, *, seed: int = 0) -> Comparison:
    """Compares two result directories on their common images.

    Raises:
        ResultFormatError: one of them can't be read.
        UsageError: they have no image in common.
    """
    return judge(pair_up(a, b), seed=seed)


def pair_up(a: Path, b: Path) -> Pairs:
    """Reads two result directories and finds their common images; says nothing of chance yet.

    Raises:
        ResultFormatError: one of them can't be read.
        UsageError: they have no image in common.
    """
    result_a, result_b = read_result(a), read_result(b)
    all_a, all_b = _images(a), _images(b)
    paired_a, paired_b = _common(all_a, all_b)
    apart = np.abs(paired_a.true_N_C - paired_b.true_N_C).max(axis=1, initial=0.0)
    same = np.flatnonzero(apart <= _SAME_TRUTH_DEGREES)
    if same.size == 0:
        raise UsageError(
            f"{a} and {b} have no image in common.",
            "Compare two evaluations of the same data set; an equal --seed chooses the same images.",
        )
    return Pairs(
        a=result_a,
        b=result_b,
        images_a=paired_a.take(same),
        images_b=paired_b.take(same),
        only_a=len(set(all_a.ids) - set(all_b.ids) - all_b.lost),
        only_b=len(set(all_b.ids) - set(all_a.ids) - all_a.lost),
        other_truth=len(paired_a.ids) - same.size,
        lost_a=len(all_a.lost),
        lost_b=len(all_b.lost),
        lost_counted=_lost_counted(all_a.all, all_b.all),
    )


def judge(pairs: Pairs, *, seed: int = 0) -> Comparison:
    """What the pairs say: differences with intervals, and whether they are more than chance."""
    images_a, images_b, gain_N = pairs.images_a, pairs.images_b, pairs.gain_N
    geoscore, median_km = _differences(images_a.scores, images_b.scores, seed)
    return Comparison(
        a=pairs.a,
        b=pairs.b,
        common=len(images_a.ids),
        only_a=pairs.only_a,
        only_b=pairs.only_b,
        other_truth=pairs.other_truth,
        lost_a=pairs.lost_a,
        lost_b=pairs.lost_b,
        lost_counted=pairs.lost_counted,
        geoscore=geoscore,
        median_km=median_km,
        thresholds=_thresholds(images_a.scores, images_b.scores),
        wins=int(np.count_nonzero(gain_N > 0)),
        ties=int(np.count_nonzero(gain_N == 0)),
        losses=int(np.count_nonzero(gain_N < 0)),
        regressions=_regressions(gain_N, images_a, images_b),
        caveats=_caveats(pairs.a, pairs.b),
    )


def _common(a: Images, b: Images) -> tuple[Images, Images]:
    """The images that both have, in the order of their ids."""
    row_a = {name: row for row, name in enumerate(a.ids)}
    row_b = {name: row for row, name in enumerate(b.ids)}
    ids = sorted(row_a.keys() & row_b.keys())
    return (
        a.take(np.array([row_a[name] for name in ids], np.intp)),
        b.take(np.array([row_b[name] for name in ids], np.intp)),
    )


def _images(path: Path) -> Images:
    """The answers of a result; several answers to an image become one row."""
    asked: dict[str, _Asked] = {}
    for record in results.read_records(path / results.SAMPLES):
        image = asked.get(record.id)
        if image is None:
            image = asked[record.id] = _Asked((record.true_latitude, record.true_longitude))
        image.add(record)
    answered = {name: image for name, image in asked.items() if image.answers}
    images = list(answered.values())
    per_image = Scores(
        distance_km_N=np.array([median(image.distances_km) for image in images]),
        geoscore_N=np.array([image.points / image.answers for image in images]),
        answered_N=np.array([image.outcome == Outcome.OK for image in images], np.bool_),
    )
    return Images(
        ids=list(answered),
        scores=per_image,
        true_N_C=_points(image.truth for image in images),
        said_N_C=_points(image.said for image in images),
        outcomes=[image.outcome for image in images],
        all=_All.of(asked),
    )


def _points(pairs: Iterable[tuple[float, float]]) -> FloatArray:
    return np.array(list(pairs), dtype=np.float64).reshape(-1, 2)


def _lost_counted(a: _All, b: _All) -> LostCounted | None:
    common = sorted(a.row.keys() & b.row.keys())
    a_C = np.array([a.row[name] for name in common], np.intp)
    b_C = np.array([b.row[name] for name in common], np.intp)
    apart = np.abs(a.true_M_C[a_C] - b.true_M_C[b_C]).max(axis=1, initial=0.0)
    a_C, b_C = a_C[apart <= _SAME_TRUTH_DEGREES], b_C[apart <= _SAME_TRUTH_DEGREES]
    lost_a, lost_b = int(a.lost_M[a_C].sum()), int(b.lost_M[b_C].sum())
    if lost_a == lost_b == 0:
        return None
    return LostCounted(
        images=a_C.size,
        lost_answers_a=lost_a,
        lost_answers_b=lost_b,
        a=float(np.mean(a.worst_M[a_C])),
        b=float(np.mean(b.worst_M[b_C])),
    )


def _differences(a: Scores, b: Scores, seed: int) -> tuple[Difference, Difference]:
    intervals = paired_bootstrap(b, a, level=LEVEL, resamples=RESAMPLES, seed=seed)
    score_a, score_b = float(a.geoscore_N.mean()), float(b.geoscore_N.mean())
    median_a, median_b = float(np.median(a.distance_km_N)), float(np.median(b.distance_km_N))
    geoscore = Difference(
        score_a,
        score_b,
        score_b - score_a,
        intervals.geoscore,
        permutation_test(b.geoscore_N - a.geoscore_N, seed=seed),
    )
    median_km = Difference(
        median_a,
        median_b,
        median_b - median_a,
        intervals.median_km,
        median_permutation_test(b.distance_km_N, a.distance_km_N, seed=seed),
    )
    return geoscore, median_km


def _thresholds(a: Scores, b: Scores) -> dict[str, ThresholdTest]:
    hits: dict[str, tuple[BoolArray, BoolArray]] = {
        name: (a.distance_km_N < radius_km, b.distance_km_N < radius_km)
        for name, radius_km in ACCURACIES.items()
    }
    tests = {name: mcnemar(*pair) for name, pair in hits.items()}
    corrected = holm([test.p_mid for test in tests.values()])
    return {
        name: ThresholdTest(
            a=float(hits[name][0].mean()),
            b=float(hits[name][1].mean()),
            only_a=test.only_a,
            only_b=test.only_b,
            p_exact=test.p_exact,
            p_mid=test.p_mid,
            p_holm=p_holm,
        )
        for (name, test), p_holm in zip(tests.items(), corrected, strict=True)
    }


def _regressions(gain_N: FloatArray, a: Images, b: Images) -> list[Regression]:
    worst = np.argsort(gain_N, kind="stable")[:_REGRESSIONS]
    return [
        Regression(
            id=a.ids[int(i)],
            loss=-float(gain_N[i]),
            a_km=float(a.scores.distance_km_N[i]),
            b_km=float(b.scores.distance_km_N[i]),
            a_outcome=a.outcomes[int(i)],
            b_outcome=b.outcomes[int(i)],
            true_latitude=float(a.true_N_C[i, 0]),
            true_longitude=float(a.true_N_C[i, 1]),
        )
        for i in worst
        if gain_N[i] < 0
    ]


def _caveats(a: Result, b: Result) -> list[str]:
    """What stands between the figures and a conclusion."""
    found: list[str] = []
    if a.fingerprint != b.fingerprint:
        found.append("They were asked different sets of images; only the common ones count here.")
    elif a.truth_sha != b.truth_sha:
        found.append(
            "They were scored against different true coordinates of the same images; only images whose"
            " coordinates are equal count here."
            if a.truth_sha and b.truth_sha
            else "Only one of them records which true coordinates it was scored against."
        )
    prompts = [section(result.manifest, "prompt").get("sha") for result in (a, b)]
    if prompts[0] != prompts[1]:
        found.append("They were asked with different prompts: part of the difference may be that.")
    draws = [result.summary.get("samples_per_image") or 1 for result in (a, b)]
    if draws[0] != draws[1]:
        plural = "" if draws[0] == 1 else "s"
        found.append(f"A gave {draws[0]} answer{plural} an image, B gave {draws[1]}.")
    for name, one in (("A", a), ("B", b)):
        if one.summary.get("complete") is not True:
            found.append(f"{name} is incomplete: what it lacks is left out of the comparison.")
        found += [f"{name}: {flaw.sentence}" for flaw in one.flaws if flaw.mark != "incomplete"]
    return found


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON."""
    return {
        "a": {"path": str(comparison.a.path), "label": comparison.a.label},
        "b": {"path": str(comparison.b.path), "label": comparison.b.label},
        "common": comparison.common,
        "only_a": comparison.only_a,
        "only_b": comparison.only_b,
        "other_truth": comparison.other_truth,
        "lost_a": comparison.lost_a,
        "lost_b": comparison.lost_b,
        "lost_counted": _lost_json(comparison.lost_counted),
        "geoscore": _difference_json(comparison.geoscore),
        "median_km": _difference_json(comparison.median_km),
        "thresholds": {name: asdict(test) for name, test in comparison.thresholds.items()},
        "wins": comparison.wins,
        "ties": comparison.ties,
        "losses": comparison.losses,
        "regressions": [asdict(one) for one in comparison.regressions],
        "caveats": comparison.caveats,
        "verdict": comparison.verdict,
    }


def _lost_json(counted: LostCounted | None) -> dict[str, Any] | None:
    return None if counted is None else asdict(counted) | {"difference": counted.difference}


def _difference_json(difference: Difference) -> dict[str, Any]:
    interval = difference.interval
    return {
        "a": difference.a,
        "b": difference.b,
        "difference": difference.difference,
        "interval": [interval.low, interval.high] if interval else None,
        "p": difference.p,
        "significant": difference.significant,
    }
