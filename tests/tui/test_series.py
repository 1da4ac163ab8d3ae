"""Curves as arrays: sparklines, smoothing, what a column of dots shows."""

import numpy as np
import pytest

from geospot.tui.widgets.series import Series, reduce, smooth
from geospot.tui.widgets.sparkline import spark


def test_a_sparkline_has_a_block_for_each_part_lowest_to_highest() -> None:
    assert spark(np.arange(8), 8) == "▁▂▃▄▅▆▇█"
    assert spark([1, 1, 5, 5], 2) == "▁█"
    assert spark([0, 3, 1], 6) == "▁█▃   "


def test_a_sparkline_leaves_out_what_is_not_finite() -> None:
    assert spark([0.0, np.nan, 1.0], 3) == "▁ █"
    assert spark([0.0, np.inf, 1.0, np.inf], 2) == "▁█"
    assert spark([np.nan, np.nan], 4) == "    "
    assert spark([], 3) == "   "
    assert spark([2.0, 2.0], 2) == "▅▅"
    assert spark([1.0], 0) == ""


def test_a_sparkline_of_very_many_values_is_that_of_their_parts() -> None:
    few = [3.0, np.nan, 1.0, 2.0, 8.0, 0.5]
    many = np.repeat(np.array(few, np.float32), 5000)
    assert spark(many, 6) == spark(few, 6) == "▃ ▁▂█▁"
    many[5::7] = np.inf
    assert spark(many, 6) == spark(few, 6)


@pytest.mark.parametrize("weight", [0.6, 0.9, 0.99])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
def test_smoothing_is_the_weighted_mean_of_all_values_before(weight: float, count: int) -> None:
    value = np.random.default_rng(count).normal(size=count)
    value[3::17] = np.nan
    expected: list[float] = []
    total = weights = 0.0
    for one in value:
        total, weights = total * weight, weights * weight
        if np.isfinite(one):
            total, weights = total + one, weights + 1
        expected.append(total / weights if np.isfinite(one) else np.nan)
    np.testing.assert_allclose(smooth(value, weight), expected, atol=1e-5)


@pytest.mark.parametrize("weight", [0.6, 0.99])
def test_smoothing_in_32_bits_is_that_in_64(weight: float) -> None:
    value = np.random.default_rng(0).normal(5.0, size=20_000).astype(np.float32)
    np.testing.assert_allclose(
        smooth(value, weight), smooth(value.astype(np.float64), weight), 1e-5
    )
    value[7::31] = np.nan
    np.testing.assert_allclose(
        smooth(value, weight), smooth(value.astype(np.float64), weight), 1e-5
    )
    large = np.full(1000, 3e38, np.float32)  # a sum of these isn't in 32 bits
    np.testing.assert_allclose(smooth(large, weight), 3e38, 1e-5)


def test_a_column_keeps_its_extremes_and_its_ends() -> None:
    x, y = np.arange(12), np.array([5, 9, 1, 4, 2, 2, 8, 0, 3, 7, 7, 6.0])
    reduced = reduce(x, y, np.array([-0.5, 3.5, 7.5, 11.5]), 1.5, log=False)
    assert reduced.column_K.tolist() == [0, 1, 2]
    assert reduced.low_K.tolist() == [1, 0, 3]
    assert reduced.high_K.tolist() == [9, 8, 7]
    assert reduced.first_K.tolist() == [5, 2, 3]
    assert reduced.last_K.tolist() == [4, 0, 6]
    assert reduced.joined_K.tolist() == [False, True, True]


def test_a_zoomed_curve_takes_one_point_more_on_each_side_along() -> None:
    x = np.arange(100)
    reduced = reduce(x, x * 1.0, np.array([39.5, 40.5, 41.5]), 1.5, log=False)
    assert reduced.low_K.tolist() == [39, 40, 41, 42]
    assert reduced.column_K[0] < 0
    assert reduced.column_K[-1] == 2


def test_missing_steps_are_gaps_where_points_come_regularly() -> None:
    x = np.r_[0:20, 25:40]
    series = Series("a", x, np.ones(len(x)))
    reduced = reduce(x, series.y_N, np.arange(-0.5, 40), series.widest_step, log=False)
    apart = reduced.column_K[~reduced.joined_K]
    assert apart.tolist() == [0, 25]


def test_evaluations_every_hundred_steps_are_joined() -> None:
    series = Series("a", np.array([0, 100, 200, 300, 337]), np.ones(5))
    reduced = reduce(series.x_N, series.y_N, np.arange(-0.5, 338), series.widest_step, log=False)
    assert reduced.joined_K.tolist() == [False, True, True, True, True]


def test_irregular_times_are_joined_and_a_long_pause_is_a_gap() -> None:
    between = np.random.default_rng(0).uniform(1, 3, 50)
    between[30] = 600
    series = Series("a", between.cumsum(), np.ones(50))
    far = np.diff(series.x_N) > series.widest_step
    assert np.flatnonzero(far).tolist() == [29]


def test_what_is_not_finite_is_counted_and_breaks_the_line() -> None:
    y = np.array([1.0, 2.0, np.nan, 4.0, np.inf, 6.0])
    series = Series("a", np.arange(6), y)
    reduced = reduce(series.x_N, y, np.arange(-0.5, 6), series.widest_step, log=False)
    assert series.not_finite == 2
    assert np.isnan(reduced.low_K[[2, 4]]).all()
    assert reduced.joined_K.tolist() == [False, True, False, False, False, False]


def test_a_log_axis_leaves_out_what_is_not_above_zero() -> None:
    y = np.array([1.0, 0.0, -5.0, 10.0])
    reduced = reduce(np.arange(4), y, np.arange(-0.5, 4), 1.5, log=True)
    assert np.isnan(reduced.low_K).tolist() == [False, True, True, False]
    assert Series("a", np.arange(4), y).not_positive == 2


def test_reading_takes_the_point_beside_where_there_is_none_but_not_across_a_gap() -> None:
    series = Series("a", np.array([0, 10, 20, 30, 90]), np.array([1.0, 2.0, np.nan, 4.0, 5.0]))
    exact, beside = series.read(10), series.read(12)
    assert exact is not None
    assert beside is not None
    assert (exact.value, exact.is_exact) == (2.0, True)
    assert (beside.x, beside.value, beside.is_exact) == (10.0, 2.0, False)
    regular = Series("a", np.r_[0:10, 50:60], np.ones(20))
    assert regular.read(30) is None
    assert Series("a", np.empty(0), np.empty(0)).read(1) is None
