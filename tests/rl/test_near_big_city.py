"""Nearness by products of unit vectors is nearness by haversine."""

import numpy as np

from geospot.geo import haversine_km
from geospot.places.capitals import big_cities
from geospot.rl.collapse import NEAR_KM, near_big_city


def test_it_is_what_haversine_says() -> None:
    latitude_C, longitude_C = big_cities()
    random = np.random.default_rng(0)
    around = [
        np.stack(
            [
                (latitude_C + random.normal(0, 0.2, len(latitude_C))).clip(-90, 90),
                longitude_C + random.normal(0, 0.3, len(longitude_C)),
            ],
            axis=1,
        )
        for _ in range(20)
    ]
    places_N_D = np.concatenate([*around, [[90.0, 0.0], [-90.0, 180.0]]])
    distance_km = haversine_km(
        places_N_D[:, :1], places_N_D[:, 1:], latitude_C[None], longitude_C[None]
    )
    expected = (distance_km < NEAR_KM).any(axis=1)
    assert 0.2 < expected.mean() < 0.9
    np.testing.assert_array_equal(near_big_city(places_N_D), expected)
