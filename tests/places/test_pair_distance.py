"""The distance of one pair takes a way of its own; it says the same as that of arrays."""

import math

import numpy as np
import pytest

from geospot.geo import HALF_CIRCUMFERENCE_KM, haversine_km


def test_a_pair_is_as_far_apart_as_in_arrays() -> None:
    rng = np.random.default_rng(0)
    points_N_P = rng.uniform([-90, -180, -90, -180], [90, 180, 90, 180], (2000, 4))
    one_by_one = [haversine_km(*point) for point in points_N_P.tolist()]
    np.testing.assert_allclose(one_by_one, haversine_km(*points_N_P.T), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    ("pair", "expected_km"),
    [
        ((90.0, 0.0, -90.0, 0.0), HALF_CIRCUMFERENCE_KM),
        ((0.0, 0.0, 0.0, 180.0), HALF_CIRCUMFERENCE_KM),
        ((12.5, -180.0, 12.5, 180.0), 0.0),
        ((45.76, 4.84, 45.76, 4.84), 0.0),
    ],
)
def test_poles_antipodes_and_the_same_place(
    pair: tuple[float, float, float, float], expected_km: float
) -> None:
    assert abs(haversine_km(*pair) - expected_km) < 1e-6


@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_what_is_no_place_has_no_distance(nothing: float, place: int) -> None:
    pair = [1.0, 2.0, 3.0, 4.0]
    pair[place] = nothing
    assert math.isnan(haversine_km(*pair))
