"""Answers with their places, in columns: joined, filtered, counted by country."""

import numpy as np

from geospot.tui.placed import by_country, joined, kept, of_rollouts, read_query
from tests.support.rollouts import rollout


def test_steps_with_other_countries_are_joined() -> None:
    a = of_rollouts([rollout(0, 0, 0, labels={"country": "Brasil"}), rollout(0, 1, 0, labels={})])
    b = of_rollouts(
        [rollout(1, 0, 0, labels={"country": "DE"}), rollout(1, 1, 0, labels={"country": "BR"})]
    )
    both = joined([a, b])
    assert [both.countries[n] for n in both.country_N] == ["BR", "", "DE", "BR"]
    everything = np.arange(4)
    assert [(one.code, one.n) for one in by_country(both, everything)] == [("BR", 2), ("DE", 2)]
    assert kept(both, read_query("country:br")).tolist() == [0, 3]
    assert kept(both, read_query("country:germany")).tolist() == [2]
    assert kept(both, read_query("-has:country")).tolist() == [1]
    assert kept(both, read_query("photo-1")).tolist() == [1, 3]
    assert len(joined([])) == 0
