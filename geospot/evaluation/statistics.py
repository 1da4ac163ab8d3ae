"""How sure a figure is, and whether two results differ: bootstrap, permutation test, McNemar.

Everything is seeded and depends on the data as a set, not on the order of its rows. The unit that is
resampled is the image: several answers to one image stay together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot.evaluation.metrics import ACCURACIES, HEADLINE, BoolArray, Scores
from geospot.geo import HALF_CIRCUMFERENCE_KM, FloatArray

IntArray = npt.NDArray[np.int64]

LEVEL: Final = 0.95
RESAMPLES: Final = 1_000
PERMUTATIONS: Final = 10_000

_FLIPS_AT_ONCE = 4_000_000  # signs drawn in one go by a permutation test: 32 MB as float64


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, in the unit of its figure."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Intervals:
    """Percentile intervals of every headline figure; None where a figure has no value."""

    over_all: Mapping[str, Interval | None]
    over_answered: Mapping[str, Interval | None]
    coverage: Interval | None
    level: float
    resamples: int
    seed: int


def bootstrap(
    scores: Scores,
    image_N: IntArray | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Intervals:
    """Percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13) of the headline figures.

    Images are drawn with replacement, as many as there are. The rows are sorted by distance once; a
    resample is then only a count for each row, from whose running sum every median and accuracy is
    read, so nothing is sorted or copied again.

    Args:
        scores: N answers.
        image_N: which image, 0 … M−1, each answer belongs to; None where each has its own.
        resamples: how many samples are drawn.
        level: share of the resampled values that the interval holds.
        seed: of the draws.
    """
    draws = _Draws(scores, image_N)
    rng = np.random.default_rng(seed)
    over_all = np.full((resamples, len(HEADLINE)), np.nan)
    over_answered = np.full((resamples, len(HEADLINE)), np.nan)
    coverage = np.full(resamples, np.nan)
    for index in range(resamples if scores.distance_km_N.size else 0):
        over_all[index], over_answered[index], coverage[index] = draws.figures(
            _image_counts(rng, draws.images)
        )
    return Intervals(
        over_all=_by_figure(over_all, level),
        over_answered=_by_figure(over_answered, level),
        coverage=percentile_interval(coverage, level),
        level=level,
        resamples=resamples,
        seed=seed,
    )


def percentile_interval(values_B: FloatArray, level: float = LEVEL) -> Interval | None:
    """The middle `level` of B resampled values; NaN (nothing answered in that draw) is left out."""
    known = values_B[~np.isnan(values_B)]
    if known.size == 0:
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return Interval(float(low), float(high))


class _Draws:
    """The rows of a score, answered ones first and by distance, ready to be counted."""

    def __init__(self, scores: Scores, image_N: IntArray | None) -> None:
        n = scores.distance_km_N.size
        keys = (scores.distance_km_N, ~scores.answered_N)
        order = np.lexsort(keys if image_N is None else (image_N, *keys))
        self.images = n if image_N is None else int(image_N.max(initial=-1)) + 1
        self._image_N = None if image_N is None else image_N[order]
        self._answered = int(np.count_nonzero(scores.answered_N))
        self._distance_km_N = scores.distance_km_N[order]
        self._geoscore_N = scores.geoscore_N[order]
        answered_km = self._distance_km_N[: self._answered]
        self._nearer = [int(np.searchsorted(answered_km, r)) for r in ACCURACIES.values()]

    def figures(self, count_M: IntArray) -> tuple[list[float], list[float], float]:
        """Figures over all, over answered, and the coverage, of a draw with these image counts."""
        count_N = count_M if self._image_N is None else count_M[self._image_N]
        running_N = np.cumsum(count_N)
        m = self._answered
        weight = count_N[:m].astype(np.float64)
        score = _weighted_sum(weight, self._geoscore_N[:m])
        km = _weighted_sum(weight, self._distance_km_N[:m])
        total = int(running_N[-1])
        answered = int(running_N[m - 1]) if m else 0
        hits = [int(running_N[i - 1]) if i else 0 for i in self._nearer]
        km_all = km + (total - answered) * HALF_CIRCUMFERENCE_KM
        over_all = self._row(running_N, score, km_all, hits, total)
        return over_all, self._row(running_N, score, km, hits, answered), answered / total

    def _row(
        self, running_N: IntArray, score: float, km: float, hits: list[int], n: int
    ) -> list[float]:
        if n == 0:
            return [np.nan] * len(HEADLINE)
        median_km = _median_of_counts(self._distance_km_N, running_N, n)
        return [score / n, km / n, median_km, *(hit / n for hit in hits)]


def _image_counts(rng: np.random.Generator, images: int) -> IntArray:
    """How often each image is in a sample of that many drawn with replacement."""
    return np.bincount(rng.integers(0, images, images), minlength=images)


def _weighted_sum(weight_N: FloatArray, value_N: FloatArray) -> float:
    """Scalar product without BLAS, whose threads take longer to wake than these sums take, and
    whose last digits depend on their number."""
    return float(np.einsum("i,i->", weight_N, value_N))


def _median_of_counts(value_N: FloatArray, running_N: IntArray, n: int) -> float:
    """Median of the first n of the sorted values, each repeated as the running counts say."""
    upper = int(np.searchsorted(running_N, n // 2, side="right"))
    if n % 2:
        return float(value_N[upper])
    lower = int(np.searchsorted(running_N, n // 2 - 1, side="right"))
    return float((value_N[lower] + value_N[upper]) / 2.0)


def _by_figure(value_B_F: FloatArray, level: float) -> dict[str, Interval | None]:
    return {name: percentile_interval(value_B_F[:, i], level) for i, name in enumerate(HEADLINE)}


@dataclass(frozen=True, slots=True)
class PairedIntervals:
    """Intervals of the differences A − B."""

    geoscore: Interval | None
    mean_km: Interval | None
    median_km: Interval | None
    """Difference of the two medians, not median of the differences."""


def paired_bootstrap(
    a: Scores,
    b: Scores,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> PairedIntervals:
    """Bootstrap intervals of A − B over the same N images, row by row the same image.

    Each resample draws images and takes both results on them (Koehn 2004, "Statistical Significance
    Tests for Machine Translation Evaluation"), so what makes an image hard cancels out.
    """
    n = a.distance_km_N.size
    rng = np.random.default_rng(seed)
    first = _same_order(a.distance_km_N, b.distance_km_N)
    a_km, b_km = a.distance_km_N[first], b.distance_km_N[first]
    gap = (a.geoscore_N - b.geoscore_N)[first]
    gap_km = a_km - b_km
    order_a, order_b = np.argsort(a_km, kind="stable"), np.argsort(b_km, kind="stable")
    a_sorted_km, b_sorted_km = a_km[order_a], b_km[order_b]
    drawn = np.full((3, resamples), np.nan)
    for index in range(resamples if n else 0):
        count = _image_counts(rng, n)
        weight = count.astype(np.float64)
        median_a = _median_of_counts(a_sorted_km, np.cumsum(count[order_a]), n)
        median_b = _median_of_counts(b_sorted_km, np.cumsum(count[order_b]), n)
        drawn[:, index] = (
            _weighted_sum(weight, gap) / n,
            _weighted_sum(weight, gap_km) / n,
            median_a - median_b,
        )
    return PairedIntervals(*(percentile_interval(values, level) for values in drawn))


def permutation_test(
    difference_N: FloatArray, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> float:
    """Two-sided p-value that paired differences have mean zero, by flipping their signs at random.

    Under the null hypothesis the two results are exchangeable on each image, so each difference may
    as well have the other sign (Fisher 1935; Good 2005, "Permutation, Parametric and Bootstrap Tests
    of Hypotheses"). p = (1 + flips at least as extreme) / (1 + flips), which is never zero (Phipson
    and Smyth 2010).
    """
    # Equal pairs change nothing; sorted, the draws depend on neither the order of rows nor which is A.
    difference = difference_N[difference_N != 0.0]
    difference = difference[np.lexsort((difference, np.abs(difference)))]
    if difference.size == 0:
        return 1.0
    observed = abs(float(difference.sum()))
    slack = 1e-12 * float(np.abs(difference).sum())
    rng = np.random.default_rng(seed)
    extreme = 0
    for flip in _flips(rng, permutations, difference.size):
        total = difference.sum() - 2.0 * (flip @ difference)
        extreme += int(np.count_nonzero(np.abs(total) >= observed - slack))
    return (1 + extreme) / (1 + permutations)


def median_permutation_test(
    a_N: FloatArray, b_N: FloatArray, *, permutations: int = RESAMPLES, seed: int = 0
) -> float:
    """Two-sided p-value that paired values have equal medians, by swapping pairs at random."""
    first = _same_order(a_N, b_N)
    pair_2_N = np.stack([a_N[first], b_N[first]])
    if a_N.size == 0:
        return 1.0
    observed = abs(float(np.median(a_N) - np.median(b_N)))
    slack = 1e-12 * float(np.abs(pair_2_N).max())
    rng = np.random.default_rng(seed)
    extreme = 0
    for _ in range(permutations):
        swap = rng.integers(0, 2, a_N.size, dtype=np.bool_)
        swapped_2_N = np.take_along_axis(pair_2_N, np.stack([swap, ~swap]).astype(np.int64), 0)
        gap = abs(float(np.median(swapped_2_N[0])) - float(np.median(swapped_2_N[1])))
        extreme += gap >= observed - slack
    return (1 + extreme) / (1 + permutations)


def _same_order(a_N: FloatArray, b_N: FloatArray) -> npt.NDArray[np.intp]:
    """The rows so ordered that the same pairs get the same draws, in any row order and with A as B."""
    return np.lexsort((a_N, np.maximum(a_N, b_N), np.minimum(a_N, b_N)))


def _flips(rng: np.random.Generator, permutations: int, n: int) -> Iterator[FloatArray]:
    """0 or 1 for each of n signs, in blocks of at most so many permutations that memory stays small."""
    block = max(1, _FLIPS_AT_ONCE // n)
    for start in range(0, permutations, block):
        rows = min(block, permutations - start)
        packed = np.frombuffer(rng.bytes(rows * ((n + 7) // 8)), dtype=np.uint8)
        bits = np.unpackbits(packed.reshape(rows, -1), axis=1, count=n)
        yield bits.astype(np.float64)


@dataclass(frozen=True, slots=True)
class McNemar:
    """Paired hits and misses, and whether they differ."""

    only_a: int
    only_b: int
    p_exact: float
    p_mid: float


def mcnemar(hit_a_N: BoolArray, hit_b_N: BoolArray) -> McNemar:
    """McNemar's test on N paired hits, from the binomial distribution, two-sided.

    Only images that one result hits and the other misses count (McNemar 1947). The exact test errs on
    the safe side; the mid-p version keeps its level better (Fagerland, Lydersen and Laake 2013, "The
    McNemar test for binary matched-pairs data: mid-p and asymptotic are better than exact
    conditional").
    """
    only_a = int(np.count_nonzero(hit_a_N & ~hit_b_N))
    only_b = int(np.count_nonzero(~hit_a_N & hit_b_N))
    n, least = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return McNemar(0, 0, p_exact=1.0, p_mid=1.0)
    probability = _fair_coin(n)
    exact = min(1.0, 2.0 * float(probability[: least + 1].sum()))
    half = 0.5 if only_a == only_b else 1.0  # a draw is in both tails, but only once in the exact p
    mid = exact - half * float(probability[least])
    return McNemar(only_a, only_b, p_exact=exact, p_mid=mid)


def _fair_coin(n: int) -> FloatArray:
    """Probability of 0 … n heads in n throws, through logarithms so that a large n works."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    return np.exp(log_factorial[n] - log_factorial - log_factorial[::-1] - n * np.log(2.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being several (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
