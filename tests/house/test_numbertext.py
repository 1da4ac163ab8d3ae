"""Figures and time spans as short as a cell has room for."""

import pytest

from geospot.numbertext import compact, duration, roughly


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.25, "-0.25"),
        (0.0025, "0.0025"),
        (0.012345, "0.0123"),
        (0.9996, "1"),
        (12.34, "12.3"),
        (999.7, "1,000"),
        (2500.4, "2,500"),
        (12_345, "12.3k"),
        (-4_560_000, "-4.56M"),
        (999_960, "1M"),
        (7.2e12, "7.2T"),
        (3e20, "3.0e+20"),
        (1.23e-5, "1.2e-05"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_a_figure_keeps_three_digits(value: float, text: str) -> None:
    assert compact(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.6, "1m00s"),
        (200, "3m20s"),
        (7500, "2h05m"),
        (273_600, "3d04h"),
        (-1, "–"),
        (float("inf"), "–"),
    ],
)
def test_a_time_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45 s"), (720, "12 min"), (11_520, "3.2 h"), (3_600_000, "1,000.0 h")],
)
def test_what_is_foreseen_is_said_without_false_exactness(seconds: float, text: str) -> None:
    assert roughly(seconds) == text
