"""Is B better than A? What pairs of answers say, and whether it is more than chance.

A is what is compared with, B what is new: differences are B − A, wins are B's, and a regression is an
image on which B is worse.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from geospot.evaluation.metrics import ACCURACIES, BoolArray, Scores
from geospot.evaluation.standing import is_baseline, section
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
from geospot.geo import FloatArray
from geospot_leaderboard.asked import Images
from geospot_leaderboard.collect import Result
from geospot_leaderboard.pairs import LostCounted, Pairs, pair_up

SIGNIFICANT: Final = 0.05
"""A p-value below this is called significant."""

_REGRESSIONS: Final = 10


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


def compare(a: Path, b: Path, *, seed: int = 0) -> Comparison:
    """Compares two result directories on their common images.

    Raises:
        ResultFormatError: one of them can't be read.
        UsageError: they have no image in common.
    """
    return judge(pair_up(a, b), seed=seed)


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
    is_read = not any(is_baseline(result.manifest) for result in (a, b))
    if prompts[0] != prompts[1] and is_read:
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
