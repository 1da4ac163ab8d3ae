"""The headline figures against values worked out by hand."""

import math

import numpy as np
import pytest

from geospot.evaluation.metrics import ACCURACIES, HEADLINE, figures, score_distances
from geospot.geo import HALF_CIRCUMFERENCE_KM
from tests.support.approx import approx


def test_names_of_the_figures() -> None:
    assert HEADLINE == (
        "geoscore",
        "mean_km",
        "median_km",
        "acc_1km",
        "acc_25km",
        "acc_200km",
        "acc_750km",
        "acc_2500km",
    )


def test_figures_by_hand() -> None:
    distance_km = np.array([0.0, 1492.7, 300.0, 20.0])
    scores = score_distances(distance_km, np.ones(4, np.bool_))
    expected_score = (
        5000 + 5000 / math.e + 5000 * math.exp(-300 / 1492.7) + 5000 * math.exp(-20 / 1492.7)
    ) / 4
    assert scores.over_all() == {
        "geoscore": approx(expected_score),
        "mean_km": approx(1812.7 / 4),
        "median_km": approx(160.0),  # of 20 and 300
        "acc_1km": 0.25,
        "acc_25km": 0.5,
        "acc_200km": 0.5,
        "acc_750km": 0.75,
        "acc_2500km": 1.0,
    }


@pytest.mark.parametrize(("name", "radius_km"), ACCURACIES.items())
def test_a_radius_itself_is_too_far(name: str, radius_km: float) -> None:
    distance_km = np.array([radius_km, math.nextafter(radius_km, 0.0)])
    assert figures(distance_km, np.zeros(2))[name] == 0.5


def test_failures_are_at_their_worst_over_all_and_absent_over_answered() -> None:
    quarter_km = math.pi * 6371.0 / 2
    scores = score_distances([quarter_km, math.nan, 0.0, 7.0], [True, False, False, False])
    assert scores.coverage == 0.25
    over_all = scores.over_all()
    assert over_all["mean_km"] == approx((quarter_km + 3 * math.pi * 6371.0) / 4)
    assert over_all["median_km"] == approx(20015.087, abs=1e-3)
    assert over_all["geoscore"] == approx(5000 * math.exp(-quarter_km / 1492.7) / 4)
    assert scores.over_answered()["mean_km"] == approx(quarter_km)


def test_a_failure_scores_nothing_but_an_answer_from_the_antipode_scores_a_little() -> None:
    scores = score_distances([HALF_CIRCUMFERENCE_KM, math.nan], [True, False])
    assert scores.distance_km_N.tolist() == approx([HALF_CIRCUMFERENCE_KM] * 2)
    assert scores.geoscore_N[0] > 0.0
    assert scores.geoscore_N[1] == 0.0


def test_a_recorded_distance_of_a_failure_is_not_looked_at() -> None:
    scores = score_distances([1.0, 0.0], [True, False])
    assert scores.distance_km_N.tolist() == [1.0, HALF_CIRCUMFERENCE_KM]


def test_nothing_answered_has_no_figures() -> None:
    scores = score_distances([5.0], [False])
    assert set(scores.over_answered().values()) == {None}
    assert scores.over_all()["geoscore"] == 0.0


def test_nothing_at_all() -> None:
    scores = score_distances([], [])
    assert scores.coverage == 0.0
    assert set(scores.over_all().values()) == {None}
