"""Histograms of many steps as arrays, against a dictionary of the rows themselves."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geospot.runs.histograms import DISTANCE_EDGES_KM, QUANTILES, REWARD_EDGES, spread
from geospot.runs.spreads import Spreads, SpreadsBuilder

UNHURRIED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
REWARDS = st.lists(st.floats(-0.5, 1.25, width=32), min_size=0, max_size=8)


def row(step: object, rewards: list[float], mixed: float = 0.5) -> dict[str, Any]:
    """A row as a run writes it."""
    reward = spread(np.array(rewards), REWARD_EDGES)
    distance_km = spread(np.array(rewards) * 1000, DISTANCE_EDGES_KM)
    return {
        "step": step,
        "n": len(rewards),
        "reward": {"counts": reward.counts, "quantiles": reward.quantiles, "mean": reward.mean},
        "distance_km": {"counts": distance_km.counts, "quantiles": [None] * 9, "mean": None},
        "groups": {"frac_mixed": mixed},
    }


ROWS = st.lists(
    st.builds(row, st.integers(0, 9) | st.none(), REWARDS, st.floats(0, 1, width=32)), max_size=12
)


def check(builder: SpreadsBuilder, rows: list[dict[str, Any]]) -> None:
    """It holds the last row of each step, steps ascending."""
    last = {row["step"]: row for row in rows if row["step"] is not None}
    expected = [last[step] for step in sorted(last)]
    reward = builder.spreads("reward")
    assert reward.steps_S.tolist() == sorted(last)
    assert reward.counts_S_B.tolist() == [one["reward"]["counts"] for one in expected]
    for place, one in enumerate(expected):
        wanted = [np.nan if q is None else q for q in one["reward"]["quantiles"]]
        assert np.array_equal(
            reward.quantiles_S_Q[place], np.array(wanted, np.float32), equal_nan=True
        )
        mean = np.nan if one["reward"]["mean"] is None else one["reward"]["mean"]
        assert np.array_equal(reward.mean_S[place], np.float32(mean), equal_nan=True)
        assert reward.place(one["step"]) == place
    if expected:
        shares = [one["groups"]["frac_mixed"] for one in expected]
        assert builder.groups()["frac_mixed"].tolist() == shares


@UNHURRIED
@given(ROWS, st.data())
def test_forwards_in_any_pieces(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    builder, at = SpreadsBuilder(), 0
    while at < len(rows):
        end = data.draw(st.integers(at + 1, len(rows)))
        builder.add(rows[at:end])
        at = end
        check(builder, rows[:at])


@UNHURRIED
@given(ROWS, st.data())
def test_older_rows_don_t_replace_newer_ones(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    builder, middle = SpreadsBuilder(), data.draw(st.integers(0, len(rows)))
    builder.add(rows[middle:])
    builder.add(rows[:middle], older=True)
    check(builder, rows)


@UNHURRIED
@given(st.lists(ROWS, max_size=5))
def test_what_was_handed_out_never_changes(pieces: list[list[dict[str, Any]]]) -> None:
    builder = SpreadsBuilder()
    shown: list[tuple[Spreads, list[Any]]] = []

    def content(one: Spreads) -> list[Any]:
        floats = one.quantiles_S_Q.tobytes(), one.mean_S.tobytes()
        return [one.steps_S.tolist(), one.counts_S_B.tolist(), floats]

    for piece in pieces:
        builder.add(piece)
        shown += [(one, content(one)) for one in [builder.spreads("reward")]]
    assert all(content(one) == before for one, before in shown)


def test_thousands_of_steps() -> None:
    builder = SpreadsBuilder()
    builder.add([row(step, [step / 2000]) for step in range(2000)])
    assert builder.spreads("reward").counts_S_B.sum(axis=1).tolist() == [1] * 2000
    assert builder.spreads("distance_km").place(1999) == 1999
    assert builder.spreads("reward").place(2000) is None


def test_declared_bins_are_taken_before_the_first_row_only() -> None:
    builder = SpreadsBuilder()
    builder.add([{"reward_edges": [-1, 0, 1]}, {"reward_edges": [3, 2]}])
    builder.add([{"step": 0, "reward": {"counts": [1, 2, 3, 4], "quantiles": [], "mean": 0.5}}])
    builder.add([{"reward_edges": [0, 5]}])
    reward = builder.spreads("reward")
    assert reward.edges == (-1.0, 0.0, 1.0)
    assert reward.counts_S_B.tolist() == [[1, 2, 3, 4]]
    assert np.isnan(reward.quantiles_S_Q).all()
    assert builder.spreads("distance_km").edges == DISTANCE_EDGES_KM


@pytest.mark.parametrize("at_once", [1, 2])
def test_bins_are_declared_before_the_first_step_however_much_is_read_at_once(at_once: int) -> None:
    builder = SpreadsBuilder()
    rows = [{"step": 0}, {"reward_edges": [-1, 0, 1]}]
    for start in range(0, 2, at_once):
        builder.add(rows[start : start + at_once])
    assert builder.spreads("reward").edges == REWARD_EDGES


NUMBERS = st.sampled_from([0.5, -1.0, 3.5e38, -1e300, math.inf, math.nan, 10**400]) | st.floats()
COUNTS = st.tuples(st.integers(0, 41), NUMBERS).map(
    lambda pair: [1] * pair[0] + [pair[1]] + [1] * (41 - pair[0])
)
"""One number among others: whole lists of what is drawn take long, and are mostly refused whole."""
HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.just(10**400)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@UNHURRIED
@given(
    st.lists(
        st.fixed_dictionaries(
            {"step": st.integers(-3, 3) | st.integers(-3, 3) | HOSTILE},
            optional={
                "reward": HOSTILE
                | st.fixed_dictionaries(
                    {
                        "counts": COUNTS | HOSTILE,
                        "quantiles": st.lists(
                            NUMBERS, min_size=len(QUANTILES), max_size=len(QUANTILES)
                        )
                        | HOSTILE,
                        "mean": NUMBERS | HOSTILE,
                    }
                ),
                "groups": HOSTILE | st.dictionaries(st.text(max_size=2), HOSTILE, max_size=3),
                "reward_edges": HOSTILE,
                "distance_km_edges": HOSTILE,
            },
        ),
        max_size=6,
    )
)
def test_whatever_a_file_says_nothing_breaks(rows: list[dict[str, Any]]) -> None:
    builder = SpreadsBuilder()
    builder.add(rows[:3])
    builder.add(rows[3:])
    for quantity in ("reward", "distance_km"):
        one = builder.spreads(quantity)
        assert (np.diff(one.steps_S) > 0).all()
        assert one.counts_S_B.shape == (len(one), len(one.edges) + 1)
        assert (one.counts_S_B >= 0).all()
        assert not np.isinf(one.quantiles_S_Q).any()
        assert not np.isinf(one.mean_S).any()
