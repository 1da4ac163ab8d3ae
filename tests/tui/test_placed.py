"""Answers with their places, in columns: joined, filtered, counted by country."""

import numpy as np

from geospot.query import Query, parse_query
from geospot.tui.placed import KEYS, by_country, joined, kept, of_rollouts
from tests.support.rollouts import rollout


def _query(text: str) -> Query:
    return parse_query(text, KEYS)


def test_steps_with_other_countries_are_joined() -> None:
    a = of_rollouts([rollout(0, 0, 0, labels={"country": "Brasil"}), rollout(0, 1, 0, labels={})])
    b = of_rollouts(
        [rollout(1, 0, 0, labels={"country": "DE"}), rollout(1, 1, 0, labels={"country": "BR"})]
    )
    both = joined([a, b])
    assert [both.countries[n] for n in both.country_N] == ["BR", "", "DE", "BR"]
    everything = np.arange(4)
    assert [(one.code, one.n) for one in by_country(both, everything)] == [("BR", 2), ("DE", 2)]
    assert kept(both, _query("country:br")).tolist() == [0, 3]
    assert kept(both, _query("country:germany")).tolist() == [2]
    assert kept(both, _query("-has:country")).tolist() == [1]
    assert kept(both, _query("photo-1")).tolist() == [1, 3]
    assert len(joined([])) == 0
