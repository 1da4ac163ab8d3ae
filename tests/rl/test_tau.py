"""Tau over a run, and the warning for a tau from which the tiny model learns nothing."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_MODEL, TINY_SCRATCH
from geospot.rl.tau import TauSchedule, tau_at, weak_signal
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


def adaptive(**more: Any) -> RLConfig:
    return RLConfig(tau_schedule="adaptive", coord_tau=[100.0], **more)


def test_an_adaptive_tau_follows_the_median_error_of_steps_that_are_on_record() -> None:
    schedule = TauSchedule(adaptive(), total=100)
    for step in range(20):
        schedule.observe(step, 1000.0 - 10 * step)
    assert [schedule.at(step) for step in (0, 2)] == [(2000.0,), (2000.0,)]
    assert schedule.at(3) == (1000.0,)  # step 0 alone
    assert schedule.at(5) == (990.0,)  # 0, 1 and 2
    assert schedule.at(20) == approx([1000.0 - 10 * 13.5])  # 10 to 17


def test_an_adaptive_tau_stays_between_its_ends() -> None:
    schedule = TauSchedule(adaptive(), total=100)
    schedule.observe(0, 20015.0)
    assert schedule.at(3) == (2000.0,)
    for step in range(1, 9):
        schedule.observe(step, 3.0)
    assert schedule.at(11) == (100.0,)
    mixture = TauSchedule(RLConfig(tau_schedule="adaptive", coord_tau=[25.0, 5000.0]), total=9)
    mixture.observe(0, 700.0)
    assert mixture.at(3) == (700.0, 5000.0)


@given(ahead=st.integers(0, 3), later=st.lists(st.floats(1, 9000), max_size=9))
@settings(deadline=None)
def test_an_adaptive_tau_does_not_depend_on_when_it_is_asked(
    ahead: int, later: list[float]
) -> None:
    """Steps that may be under way when a step is prepared leave its tau alone."""
    schedule = TauSchedule(adaptive(max_steps_off_policy=ahead), total=100)
    for step in range(10):
        schedule.observe(step, 300.0 + step)
    early = schedule.at(12 + ahead)
    for step, median_km in enumerate(later, start=10):
        schedule.observe(step, median_km)
    assert schedule.at(12 + ahead) == early == approx([300.0 + 5.5])


def test_other_schedules_take_no_notice_of_errors() -> None:
    schedule = TauSchedule(RLConfig(tau_schedule="geometric", coord_tau=[20.0]), total=4)
    schedule.observe(0, 77.0)
    assert schedule.at(2) == approx([200.0])
