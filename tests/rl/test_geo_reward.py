"""The reward: falls with distance, stays in its bounds, and no failure is worth as much as an answer."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot import geo, parsing
from geospot.config.learning import RLConfig
from geospot.data import GeoSample
from geospot.evaluation.backend import Reply
from geospot.evaluation.judge import judge
from geospot.evaluation.records import SampleRecord
from geospot.geo import HALF_CIRCUMFERENCE_KM
from geospot.outcomes import Outcome
from geospot.rl import geo_reward
from geospot.rl.geo_reward import GeoReward, coord_reward
from tests.support.approx import approx

TAU = st.lists(st.floats(0.5, 20_000), min_size=1, max_size=4)
DISTANCE = st.floats(0, HALF_CIRCUMFERENCE_KM)
COEFFICIENT = st.floats(0, 10)
LEVELS = ("city", "region", "country")
NAMES: dict[str, tuple[str | None, ...]] = {
    "city": ("Lyon", "Graz", None),
    "region": ("Styria", "Rhône", None),
    "country": ("France", "AT", "Atlantis", None),
}


def answered(distance_km: float, **more: Any) -> SampleRecord:
    record = SampleRecord("a", Outcome.OK, 0.0, 0.0, latitude=0.0, longitude=0.0)
    return replace(record, distance_km=distance_km, **more)


@st.composite
def named(draw: st.DrawFn) -> dict[str, str]:
    drawn = {level: draw(st.sampled_from(names)) for level, names in NAMES.items()}
    return {level: name for level, name in drawn.items() if name is not None}


@st.composite
def rewards(draw: st.DrawFn) -> GeoReward:
    weights = {name: draw(COEFFICIENT) for name in ("coord", *LEVELS)}
    if not any(weights.values()):
        weights["coord"] = 1.0
    return GeoReward(tuple(draw(TAU)), weights, draw(st.floats(1e-6, 3)))


@pytest.mark.parametrize(
    ("distance_km", "worth"), [(0.0, 1.0), (1.0, 0.96), (25.0, 0.37), (100.0, 0.02)]
)
def test_the_default_tau_is_25_km(distance_km: float, worth: float) -> None:
    config = RLConfig()
    reward = GeoReward.of(config, config.coord_tau)
    result = reward(answered(distance_km))
    assert round(result.total, 2) == worth
    assert result.total == result.terms["coord"] == math.exp(-distance_km / 25)


@settings(deadline=None)
@given(rewards(), DISTANCE, DISTANCE, named(), named())
def test_a_nearer_answer_is_never_worth_less(
    reward: GeoReward, one: float, other: float, place: dict[str, str], labels: dict[str, str]
) -> None:
    near, far = sorted((one, other))
    told = {"place": place, "labels": labels}
    assert reward(answered(near, **told)).total >= reward(answered(far, **told)).total


@settings(deadline=None)
@given(rewards(), DISTANCE, named(), named())
def test_answers_are_worth_0_to_1_and_every_failure_the_same_less(
    reward: GeoReward, distance_km: float, place: dict[str, str], labels: dict[str, str]
) -> None:
    answer = reward(answered(distance_km, place=place, labels=labels))
    assert 0.0 <= answer.total <= 1.0
    for outcome in Outcome:
        if outcome is not Outcome.OK:
            failure = SampleRecord("a", outcome, 0.0, 0.0, place=place, labels=labels)
            assert reward(failure).total == -reward.format_coef < answer.total
            assert set(reward(failure).terms) == set(answer.terms)
            assert not any(reward(failure).terms.values())


@settings(deadline=None)
@given(rewards(), DISTANCE, named(), st.sampled_from(LEVELS))
def test_a_right_name_never_costs(
    reward: GeoReward, distance_km: float, labels: dict[str, str], level: str
) -> None:
    silent = reward(answered(distance_km, labels=labels))
    right = {level: labels[level]} if level in labels else {}
    assert reward(answered(distance_km, labels=labels, place=right)).total >= silent.total


def test_an_answer_at_the_other_end_of_the_world_beats_a_failure() -> None:
    reward = GeoReward((1.0,))
    answer = reward(answered(HALF_CIRCUMFERENCE_KM))
    failure = reward(SampleRecord("a", Outcome.REFUSAL, 0.0, 0.0))
    assert answer.total == 0.0  # exp(-20015) underflows
    assert failure.total == -0.1 < answer.total


def test_several_tau_are_averaged() -> None:
    expected = (math.exp(-100 / 25) + math.exp(-100 / 200) + math.exp(-100 / 2000)) / 3
    assert coord_reward(100.0, (25.0, 200.0, 2000.0)) == approx(expected, rel=1e-15)


def test_weights_are_normalised_over_the_labels_that_the_photo_has() -> None:
    config = RLConfig(coord_coef=2.0, city_coef=1.0, region_coef=0.5, country_coef=0.5)
    reward = GeoReward.of(config, [100.0])
    place = {"city": "lyon", "region": "Elsewhere", "country": "France"}
    labels = {"city": "Lyon", "region": "Auvergne-Rhône-Alpes", "country": "FR"}
    near = math.exp(-0.5)

    full = reward(answered(50.0, place=place, labels=labels))
    country_only = reward(answered(50.0, place=place, labels={"country": "FR"}))
    unlabelled = reward(answered(50.0, place=place))
    unknown = reward(answered(50.0, place=place, labels={"country": "Atlantis", "city": "NaN"}))

    assert full.terms == {"coord": near, "city": 1.0, "region": 0.0, "country": 1.0}
    assert full.total == approx((2 * near + 1 + 0 + 0.5) / 4)
    assert country_only.total == approx((2 * near + 0.5) / 2.5)
    assert unlabelled.total == unknown.total == approx(near)
    assert unlabelled.terms == unknown.terms == {"coord": near}


def test_without_weight_on_the_distance_a_photo_without_labels_says_nothing() -> None:
    reward = GeoReward((25.0,), {"coord": 0.0, "country": 1.0})
    assert reward(answered(0.0)).total == 0.0
    assert reward(answered(9e3, place={"country": "FR"}, labels={"country": "FR"})).total == 1.0


@pytest.mark.parametrize(
    ("said", "label", "worth"),
    [
        ("Deutschland", "DE", 1.0),
        ("Niger", "NG", 0.0),
        ("Puerto Rico", "US", 0.0),
        ("somewhere in France", "FR", 0.0),
    ],
)
def test_names_are_equal_as_places_are(said: str, label: str, worth: float) -> None:
    reward = GeoReward((25.0,), {"coord": 0.0, "country": 1.0})
    assert reward(answered(0.0, place={"country": said}, labels={"country": label})).total == worth


@pytest.mark.parametrize(
    "text",
    ["Country: France\nCity: Lyon", "I'm sorry, I can't help.", "", "Latitude: 91\nLongitude: 4"],
)
def test_a_failure_costs_once_whatever_else_it_says(text: str) -> None:
    sample = GeoSample("a", 45.76, 4.84, "a", city="Lyon", country="FR")
    reward = GeoReward((25.0,), {"coord": 1.0, "city": 5.0, "country": 5.0}, 0.3)
    assert reward(judge(sample, Reply(text))).total == -0.3


def test_the_old_imports_work_and_are_the_same_functions() -> None:
    assert geo_reward.haversine_km is geo.haversine_km
    assert geo_reward.parse_geo_response is parsing.parse_geo_response
