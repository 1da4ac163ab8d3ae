"""Requests and tokens a minute, and dollars."""

import pytest

from geospot.evaluation.budget import CostCap, RatePacer
from tests.support.approx import approx


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def ten_cents_a_token(input_tokens: float, output_tokens: float) -> float:
    return 0.1 * (input_tokens + output_tokens)


def sent_within(pacer: RatePacer, clock: Clock, seconds: float, tokens: int) -> int:
    """How many requests go out when each is sent as soon as it may, one after the other."""
    count = 0
    while True:
        wait_s = pacer.book()
        if clock.now_s + wait_s >= seconds:
            return count
        clock.now_s += wait_s
        pacer.used(tokens)
        count += 1


def test_no_limits_never_wait() -> None:
    pacer = RatePacer(None, None, tokens_guess=1000)
    assert [pacer.book() for _ in range(100)] == [0.0] * 100


@pytest.mark.parametrize("rpm", [1, 60, 500])
def test_a_minute_holds_no_more_requests_than_rpm(rpm: int) -> None:
    clock = Clock()
    assert sent_within(RatePacer(rpm, None, tokens_guess=1, clock=clock), clock, 59.9999, 0) == rpm


@pytest.mark.parametrize("tokens", [250, 1000, 4000])
def test_a_minute_holds_no_more_tokens_than_tpm_whatever_was_guessed(tokens: int) -> None:
    clock = Clock()
    pacer = RatePacer(None, 100_000, tokens_guess=1000, clock=clock)
    used = tokens * sent_within(pacer, clock, 600.0, tokens)
    assert used == approx(1_000_000, rel=0.01)


def test_requests_booked_together_leave_one_after_the_other() -> None:
    pacer = RatePacer(60, None, tokens_guess=1, clock=Clock())
    assert [pacer.book() for _ in range(4)] == [0.0, 1.0, 2.0, 3.0]


def test_the_cap_counts_what_is_under_way_at_the_average_cost() -> None:
    cap = CostCap(1.0, spent_usd=0.5, price=ten_cents_a_token)
    cap.spend({"output_tokens": 1})
    cap.spend({"input_tokens": 0, "output_tokens": 0})  # a fault: the next answer costs no less
    assert cap.allows(under_way=3)
    assert not cap.allows(under_way=4)


def test_before_the_first_answer_the_cap_takes_what_others_have_paid() -> None:
    cap = CostCap(1.0, price=ten_cents_a_token, expected_usd=0.3)
    assert cap.allows(under_way=2)
    assert not cap.allows(under_way=3)
    cap.spend({"output_tokens": 1})
    assert cap.average_usd == approx(0.1)
    assert cap.allows(under_way=8)


def test_without_a_cap_everything_is_allowed() -> None:
    cap = CostCap(None, price=ten_cents_a_token)
    cap.spend({"output_tokens": 10**9})
    assert cap.allows(under_way=1000)


def test_a_cap_already_spent_by_an_earlier_session_allows_nothing() -> None:
    assert not CostCap(1.0, spent_usd=1.01).allows(under_way=0)
