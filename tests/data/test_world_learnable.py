"""The world can be learned from its pictures, and is no lookup table."""

import numpy as np
import pytest

from benchmarks.world_learnability import Photos, best_constant_km, nearest_photo_km, photos
from geospot.geo import geoscore


@pytest.fixture(scope="module")
def train() -> Photos:
    return photos("train", 600)


@pytest.fixture(scope="module")
def known() -> Photos:
    """At the places of train."""
    return photos("test", 200)


def test_pictures_tell_where_they_were_taken(train: Photos, known: Photos) -> None:
    elsewhere = photos("test-places", 200)
    guess_km = float(np.median(best_constant_km(train, known)))
    known_km = nearest_photo_km(train, known)
    new_km = nearest_photo_km(train, elsewhere)
    assert guess_km > 5000.0
    assert np.median(known_km) < 0.3 * guess_km
    assert np.median(known_km) < np.median(new_km) < 0.5 * guess_km
    assert geoscore(known_km).mean() > geoscore(new_km).mean() > 1200.0
    # Ambiguous on purpose: even at known places the nearest picture is rarely of the same town.
    assert np.mean(known_km < 25.0) < 0.3


def test_pictures_shuffled_among_places_tell_nothing(train: Photos, known: Photos) -> None:
    """The same measurement with the truth torn from the pictures: it must fail, or it measures naught."""
    order = np.random.default_rng(0).permutation(len(train.latitude_N))
    torn = Photos(train.pixels_N_F, train.latitude_N[order], train.longitude_N[order])
    assert np.median(nearest_photo_km(torn, known)) > 5000.0
