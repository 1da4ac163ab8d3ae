"""Intervals and tests against brute force, and against what they promise on simulated data."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from geospot.evaluation.metrics import HEADLINE, BoolArray, Scores, figures, score_distances
from geospot.evaluation.statistics import (
    Interval,
    bootstrap,
    holm,
    mcnemar,
    median_permutation_test,
    paired_bootstrap,
    percentile_interval,
    permutation_test,
)
from geospot.geo import FloatArray
from tests.support.approx import approx


def _random_scores(rng: np.random.Generator, n: int, coverage: float = 0.8) -> Scores:
    return score_distances(rng.exponential(1500.0, n).round(0), rng.random(n) < coverage)


def _same(found: Interval | None, values: list[float]) -> None:
    assert found is not None
    expected = percentile_interval(np.array(values))
    assert expected is not None
    assert (found.low, found.high) == approx((expected.low, expected.high))


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_bootstrap_by_counts_equals_copying_rows(n: int) -> None:
    scores = _random_scores(np.random.default_rng(n), n)
    order = np.lexsort((scores.distance_km_N, ~scores.answered_N))
    km, points = scores.distance_km_N[order], scores.geoscore_N[order]
    ok = scores.answered_N[order]
    found = bootstrap(scores, resamples=200, seed=5)
    rng = np.random.default_rng(5)
    draws = [rng.integers(0, n, n) for _ in range(200)]
    over_all = [figures(km[i], points[i]) for i in draws]
    answered = [figures(km[i][ok[i]], points[i][ok[i]]) for i in draws if ok[i].any()]
    for name in HEADLINE:
        _same(found.over_all[name], [f[name] or 0.0 for f in over_all])
        if answered:
            _same(found.over_answered[name], [f[name] or 0.0 for f in answered])
        else:
            assert found.over_answered[name] is None
    _same(found.coverage, [float(ok[i].mean()) for i in draws])


def test_bootstrap_counts_a_radius_itself_as_too_far() -> None:
    scores = score_distances(np.full(20, 25.0), np.ones(20, np.bool_))
    found = bootstrap(scores, resamples=20).over_all
    assert found["acc_25km"] == Interval(0.0, 0.0)
    assert found["acc_200km"] == Interval(1.0, 1.0)


def test_bootstrap_draws_whole_images() -> None:
    rng = np.random.default_rng(0)
    scores = _random_scores(rng, 30)
    image = np.repeat(np.arange(10), 3)
    found = bootstrap(scores, image, resamples=300, seed=1)
    draw = np.random.default_rng(1)
    expected: list[float] = []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(image == i) for i in draw.integers(0, 10, 10)])
        expected.append(float(np.median(scores.distance_km_N[rows])))
    _same(found.over_all["median_km"], expected)


def test_repeating_every_answer_does_not_make_it_surer() -> None:
    once = _random_scores(np.random.default_rng(3), 200, coverage=1.0)
    km = np.repeat(once.distance_km_N, 4)
    image = np.repeat(np.arange(200), 4)
    repeated = score_distances(km, np.ones(800, np.bool_))
    single = bootstrap(once, seed=2).over_all["geoscore"]
    clustered = bootstrap(repeated, image, seed=2).over_all["geoscore"]
    naive = bootstrap(repeated, seed=2).over_all["geoscore"]
    assert single
    assert clustered
    assert naive
    assert clustered.high - clustered.low == approx(single.high - single.low, rel=0.15)
    assert naive.high - naive.low < 0.6 * (single.high - single.low)


def test_bootstrap_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    mean_km, median_km, near = 1000.0, 1000.0 * math.log(2), 1 - math.exp(-0.75)
    hits = np.zeros(3)
    for trial in range(200):
        scores = score_distances(rng.exponential(mean_km, 150), np.ones(150, np.bool_))
        found = bootstrap(scores, resamples=300, seed=trial).over_all
        for i, (name, truth) in enumerate(
            [("mean_km", mean_km), ("median_km", median_km), ("acc_750km", near)]
        ):
            interval = found[name]
            assert interval
            hits[i] += interval.low <= truth <= interval.high
    assert (hits / 200 > 0.89).all()
    assert (hits / 200 < 0.99).all()


def test_bootstrap_depends_on_the_data_not_on_its_order_and_on_the_seed() -> None:
    scores = _random_scores(np.random.default_rng(8), 60)
    shuffled = np.random.default_rng(9).permutation(60)
    other = score_distances(scores.distance_km_N[shuffled], scores.answered_N[shuffled])
    assert bootstrap(scores, resamples=50) == bootstrap(other, resamples=50)
    assert bootstrap(scores, resamples=50) != bootstrap(scores, resamples=50, seed=1)


def test_bootstrap_of_nothing() -> None:
    found = bootstrap(score_distances([], []), resamples=5)
    assert found.coverage is None
    assert set(found.over_all.values()) == {None}


def test_paired_bootstrap_by_counts_equals_copying_rows() -> None:
    rng = np.random.default_rng(4)
    a, b = _random_scores(rng, 25), _random_scores(rng, 25)
    found = paired_bootstrap(a, b, resamples=150, seed=6)
    km = a.distance_km_N, b.distance_km_N
    order = np.lexsort((km[0], np.maximum(*km), np.minimum(*km)))
    a_km, b_km = a.distance_km_N[order], b.distance_km_N[order]
    gap = (a.geoscore_N - b.geoscore_N)[order]
    draw = np.random.default_rng(6)
    draws = [draw.integers(0, 25, 25) for _ in range(150)]
    _same(found.geoscore, [float(gap[i].mean()) for i in draws])
    _same(found.mean_km, [float((a_km - b_km)[i].mean()) for i in draws])
    _same(found.median_km, [float(np.median(a_km[i]) - np.median(b_km[i])) for i in draws])


def test_pairing_removes_what_makes_an_image_hard() -> None:
    rng = np.random.default_rng(5)
    hard_km = rng.exponential(2000.0, 300)
    a = score_distances(hard_km, np.ones(300, np.bool_))
    b = score_distances(hard_km * 1.05, np.ones(300, np.bool_))
    paired, alone = paired_bootstrap(a, b).geoscore, bootstrap(a).over_all["geoscore"]
    assert paired
    assert alone
    assert paired.low > 0.0
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def _exact_sign_flip_p(difference: FloatArray) -> float:
    observed = abs(difference.sum())
    flips = itertools.product([-1.0, 1.0], repeat=difference.size)
    totals = [abs(float(np.dot(signs, difference))) for signs in flips]
    return sum(total >= observed - 1e-9 for total in totals) / len(totals)


@pytest.mark.parametrize("seed", range(4))
def test_permutation_test_nears_the_exact_p(seed: int) -> None:
    difference = np.random.default_rng(seed).normal(0.4, 1.0, 9)
    exact = _exact_sign_flip_p(difference)
    assert permutation_test(difference) == approx(exact, abs=0.02)


def test_median_permutation_test_nears_the_exact_p() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.exponential(1.0, 8), rng.exponential(2.0, 8)
    observed = abs(np.median(a) - np.median(b))
    gaps: list[float] = []
    for bits in itertools.product([False, True], repeat=8):
        swap = np.array(bits)
        first = np.array([y if s else x for x, y, s in zip(a, b, swap, strict=True)])
        second = np.array([x if s else y for x, y, s in zip(a, b, swap, strict=True)])
        gaps.append(abs(float(np.median(first) - np.median(second))))
    exact = sum(gap >= observed - 1e-12 for gap in gaps) / len(gaps)
    found = median_permutation_test(a, b, permutations=4000)
    assert found == approx(exact, abs=0.03)


def test_permutation_p_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(7)
    p = np.array(
        [
            permutation_test(rng.standard_t(3, 30) * 300.0, permutations=199, seed=trial)
            for trial in range(600)
        ]
    )
    assert np.mean(p <= 0.05) == approx(0.05, abs=0.03)
    assert np.mean(p <= 0.5) == approx(0.5, abs=0.06)
    assert p.min() >= 1 / 200


def test_permutation_test_finds_a_difference_and_never_says_zero() -> None:
    rng = np.random.default_rng(2)
    assert permutation_test(rng.normal(1.0, 1.0, 200), permutations=999) == 1 / 1000


def test_equal_results_do_not_differ() -> None:
    assert permutation_test(np.zeros(50)) == 1.0
    same = np.arange(10.0)
    assert median_permutation_test(same, same, permutations=99) == 1.0
    assert median_permutation_test(np.array([]), np.array([])) == 1.0


def test_permutation_test_in_blocks_and_any_order() -> None:
    difference = np.random.default_rng(3).normal(0.1, 1.0, 5000)
    p = permutation_test(difference, permutations=1800)  # more than one block
    assert p == permutation_test(np.flip(difference), permutations=1800)
    assert 0.0 < p < 1.0


def _hits(both: int, only_a: int, only_b: int) -> tuple[BoolArray, BoolArray]:
    a = [True] * both + [True] * only_a + [False] * only_b
    b = [True] * both + [False] * only_a + [True] * only_b
    return np.array(a), np.array(b)


def test_mcnemar_on_a_published_example() -> None:
    # Fagerland et al. 2013, table 1 (airway hyper-responsiveness): 1 and 7 discordant pairs.
    test = mcnemar(*_hits(13, 1, 7))
    assert (test.only_a, test.only_b) == (1, 7)
    assert test.p_exact == approx(18 / 256)
    assert test.p_mid == approx(10 / 256)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 3), (2, 9), (40, 60), (500, 430)])
def test_mcnemar_equals_the_binomial_sum(only_a: int, only_b: int) -> None:
    n, least = only_a + only_b, min(only_a, only_b)
    tail = Fraction(sum(math.comb(n, k) for k in range(least + 1)), 2**n)
    point = Fraction(math.comb(n, least), 2**n)
    below = tail - point
    # Two-sided mid-p: half of what is as likely as this, and all of what is less so, in both tails.
    mid = 2 * below + (point if only_a != only_b else 0)
    if only_a == only_b:
        mid = 1 - point / 2
    test = mcnemar(*_hits(5, only_a, only_b))
    assert test.p_exact == approx(float(min(Fraction(1), 2 * tail)))
    assert test.p_mid == approx(float(mid))


def test_mcnemar_without_or_with_very_many_discordant_pairs() -> None:
    nothing = mcnemar(*_hits(10, 0, 0))
    assert (nothing.p_exact, nothing.p_mid) == (1.0, 1.0)
    many = mcnemar(*_hits(0, 100_000, 101_000))
    z = 1000 / math.sqrt(201_000)
    assert many.p_mid == approx(math.erfc(z / math.sqrt(2)), rel=0.02)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_which_of_two_results_is_called_a_changes_signs_alone() -> None:
    rng = np.random.default_rng(5)
    a, b = _random_scores(rng, 38), _random_scores(rng, 38)
    one, other = paired_bootstrap(a, b), paired_bootstrap(b, a)
    for name in ("geoscore", "mean_km", "median_km"):
        here, there = getattr(one, name), getattr(other, name)
        assert (there.low, there.high) == approx((-here.high, -here.low))
    gap_N = a.geoscore_N - b.geoscore_N
    assert permutation_test(gap_N) == permutation_test(-gap_N)
    km_a, km_b = a.distance_km_N, b.distance_km_N
    assert median_permutation_test(km_a, km_b) == median_permutation_test(km_b, km_a)
