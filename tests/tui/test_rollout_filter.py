"""What a query means for rollouts."""

import math

import pytest

from geospot.errors import UsageError
from geospot.outcomes import Outcome
from geospot.runs.rollouts import RolloutRecord
from geospot.tui.rollout_filter import matches, rollout_query, search_words
from geospot.tui.rollout_groups import step_view
from tests.support.rollouts import rollout

ANSWER = RolloutRecord(
    step=3,
    group=1,
    index=2,
    sample_id="photo-7",
    true_latitude=-22.9,
    true_longitude=-43.2,
    outcome=Outcome.OK,
    reward=0.41,
    distance_km=2600.0,
    text='City: Paris\nCountry: Frankreich, near the "Rice Field"',
    latitude=48.9,
    longitude=2.3,
    labels={"city": "Rio de Janeiro", "country": "BR"},
    place={"city": "Paris", "country": "Frankreich"},
    advantage=-0.25,
    tokens=(1, 2),
    logprobs=(-1.0, -3.0),
    truncated=True,
)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "outcome:ok km>2500 country:BR",
        "country:brazil",
        "country=br",
        "said:fr",
        "said:france",
        "said:frankreich",
        "truth:rio",
        "place:paris",
        "reward>=0.4 reward<0.425",
        "advantage<0",
        "group=1 index=2 step=3 turn=0",
        "id:photo",
        "tokens=2",
        "logprob=-2",
        "truncated:yes",
        "has:truncated",
        "replayed:no",
        "-has:note",
        '"rice field"',
        "lat>48 lon<3",
    ],
)
def test_a_query_that_the_answer_fulfils(query: str) -> None:
    assert matches(rollout_query(query), ANSWER)


@pytest.mark.parametrize(
    "query",
    [
        "outcome:refusal",
        "km>2600",
        "country:FR",
        "truncated:no",
        "has:replayed",
        "has:note",
        "group=11",
        '"rice  field"',
        "-paris",
    ],
)
def test_a_query_that_it_does_not(query: str) -> None:
    assert not matches(rollout_query(query), ANSWER)


def test_two_letters_of_a_code_are_that_country_alone() -> None:
    chinese = RolloutRecord(0, 0, 0, "a", 0, 0, Outcome.OK, 0, 0, labels={"country": "CN"})
    assert matches(rollout_query("country:china"), chinese)
    assert not matches(rollout_query("country:in"), chinese)
    assert not matches(rollout_query("-country:cn"), chinese)


def test_figures_that_are_missing_fulfil_no_comparison() -> None:
    bare = RolloutRecord(
        step=0,
        group=0,
        index=0,
        sample_id="a",
        true_latitude=math.nan,
        true_longitude=math.nan,
        outcome=Outcome.UNPARSED,
        reward=math.nan,
        distance_km=math.nan,
    )
    for key in ("reward", "km", "advantage", "lat", "logprob", "sampler"):
        assert not matches(rollout_query(f"{key}>=0"), bare)
        assert not matches(rollout_query(f"{key}<=0"), bare)
        assert not matches(rollout_query(f"has:{key}"), bare)
    assert not matches(rollout_query("country:br"), bare)


def test_reward_and_distance_of_several_turns_are_those_of_the_whole_answer() -> None:
    """As histograms count them: a cell opens exactly the answers in it."""
    turns = [
        rollout(0, turn=0, reward=0.3, distance_km=900.0),
        rollout(0, turn=1, reward=0.4, distance_km=90.0),
    ]
    view = step_view(0, turns)
    fulfilled = {
        query: view.filtered(rollout_query(query)).hits
        for query in ("reward>=0.65 reward<0.75", "reward<0.5", "km<100", "km>500", "turn=1")
    }
    assert list(fulfilled.values()) == [1, 0, 1, 0, 1]


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="outcom") as raised:
        rollout_query("outcom:ok")
    assert "outcome" in str(raised.value.advice)


def test_the_words_looked_for_in_texts() -> None:
    assert search_words(rollout_query('Paris -rome km>3 "Rice Field"')) == ("paris", "rice field")
