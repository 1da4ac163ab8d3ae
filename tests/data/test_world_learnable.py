"""The world can be learned from its pictures, and is no lookup table."""

import numpy as np

from benchmarks.world_learnability import best_constant_km, nearest_photo_km, photos
from geospot.geo import geoscore


def test_pictures_tell_where_they_were_taken() -> None:
    train, test, elsewhere = photos("train", 2000), photos("test", 400), photos("test-places", 400)
    guess_km = float(np.median(best_constant_km(train, test)))
    known_km = nearest_photo_km(train, test)
    new_km = nearest_photo_km(train, elsewhere)
    assert guess_km > 5000.0
    assert np.median(known_km) < 0.3 * guess_km
    assert np.median(known_km) < np.median(new_km) < 0.5 * guess_km
    assert geoscore(known_km).mean() > geoscore(new_km).mean() > 1200.0
    # Ambiguous on purpose: even at known places the nearest picture is rarely of the same town.
    assert np.mean(known_km < 25.0) < 0.3


def test_pictures_shuffled_among_places_tell_nothing() -> None:
    """The same measurement with the truth torn from the pictures: it must fail, or it measures naught."""
    train, test = photos("train", 800), photos("test", 200)
    order = np.random.default_rng(0).permutation(len(train.latitude_N))
    torn = type(train)(train.pixels_N_F, train.latitude_N[order], train.longitude_N[order])
    assert np.median(nearest_photo_km(torn, test)) > 5000.0
