"""Tau over a run, and the warning for a tau from which the tiny model learns nothing."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_MODEL, TINY_SCRATCH
from geospot.rl.tau import tau_at, weak_signal
from tests.support.approx import approx


def test_a_constant_tau_stays() -> None:
    config = RLConfig(coord_tau=[25.0, 200.0])
    assert tau_at(config, 0.0) == tau_at(config, 0.7) == (25.0, 200.0)


def test_a_geometric_tau_falls_from_2000_to_25_by_the_same_factor() -> None:
    config = RLConfig(tau_schedule="geometric")
    taus = [tau_at(config, done)[0] for done in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert taus[0] == approx(2000.0)
    assert taus[-1] == approx(25.0)
    factors = [later / earlier for earlier, later in pairwise(taus)]
    assert factors == approx([(25 / 2000) ** 0.25] * 4)


@settings(deadline=None)
@given(st.floats(0, 1), st.lists(st.floats(1, 5000), min_size=1, max_size=3), st.floats(1, 5000))
def test_every_tau_of_a_mixture_stays_between_its_ends(
    done: float, ends: list[float], start: float
) -> None:
    config = RLConfig(tau_schedule="geometric", tau_start=start, coord_tau=ends)
    for tau, end in zip(tau_at(config, done), ends, strict=True):
        assert min(start, end) * (1 - 1e-9) <= tau <= max(start, end) * (1 + 1e-9)


@pytest.mark.parametrize("model", [TINY_MODEL, TINY_SCRATCH])
def test_tau_25_on_the_tiny_model_is_warned_of(model: str) -> None:
    said = weak_signal(RLConfig(service="local"), model)
    assert said is not None
    assert "tau 25 km" in said
    assert "coord_tau=2000" in said


def test_a_tau_that_falls_too_far_is_warned_of() -> None:
    said = weak_signal(RLConfig(service="local", tau_schedule="geometric"), TINY_MODEL)
    assert said is not None
    assert "falls to 25 km" in said


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (TINY_MODEL, {"coord_tau": [2000.0]}),
        (TINY_MODEL, {"coord_tau": [25.0, 2000.0]}),
        (TINY_MODEL, {"coord_coef": 0.0, "country_coef": 1.0}),
        (TINY_MODEL, {"tau_schedule": "geometric", "coord_tau": [500.0]}),
        ("Qwen/Qwen3.8-27B", {}),
    ],
)
def test_nothing_is_said_where_there_is_signal(model: str, settings: dict[str, Any]) -> None:
    assert weak_signal(RLConfig(**settings), model) is None
