"""What a run may spend: requests and tokens a minute, and dollars in all."""

import time
from collections.abc import Callable, Mapping
from typing import Final

_SMOOTHING: Final = 0.1


def _unknown(_: float, __: float) -> None:
    """No prices."""


class RatePacer:
    """Spaces requests so that no minute holds more than `rpm` requests or `tpm` tokens.

    The tokens of a request are known only afterwards, so each is booked at the running average and
    corrected when its usage arrives. Without limits it never waits.
    """

    def __init__(
        self,
        rpm: float | None,
        tpm: float | None,
        *,
        tokens_guess: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request_s = 60.0 / rpm if rpm else 0.0
        self._token_s = 60.0 / tpm if tpm else 0.0
        self._tokens = tokens_guess
        self._clock = clock
        self._next_request_s = 0.0
        self._next_token_s = 0.0

    def book(self) -> float:
        """Books one request and returns how many seconds it has to wait before it is sent."""
        now = self._clock()
        start = max(now, self._next_request_s, self._next_token_s)
        if self._request_s:
            self._next_request_s = start + self._request_s
        if self._token_s:
            self._next_token_s = start + self._tokens * self._token_s
        return start - now

    def used(self, tokens: int) -> None:
        """Corrects the books by what a request really took."""
        if not tokens:
            return
        if self._token_s:
            self._next_token_s += (tokens - self._tokens) * self._token_s
        self._tokens += _SMOOTHING * (tokens - self._tokens)


class CostCap:
    """Adds up what was spent, and says when the next request might take the run over its dollars.

    Requests under way are counted at the average cost of those answered (the first few at nothing:
    their cost isn't known), so a run overshoots by a few answers at most.

    Args:
        price: dollars for so many input and output tokens, None where prices aren't known.
        expected_usd: what an answer costs, as far as somebody knows before the first.
    """

    def __init__(
        self,
        max_cost_usd: float | None,
        spent_usd: float = 0.0,
        *,
        price: Callable[[float, float], float | None] = _unknown,
        expected_usd: float = 0.0,
    ) -> None:
        self._max_usd = max_cost_usd
        self._expected_usd = expected_usd
        self._price = price
        self.spent_usd = spent_usd
        self._answers = 0
        self._session_usd = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._max_usd is not None

    @property
    def average_usd(self) -> float:
        """What an answer of this session has cost so far."""
        return self._session_usd / self._answers if self._answers else self._expected_usd

    def left_usd(self, parts: int = 1) -> float | None:
        """One of so many equal parts of what may still be spent; None where there is no limit."""
        return None if self._max_usd is None else max(self._max_usd - self.spent_usd, 0.0) / parts

    def of(self, usage: Mapping[str, int]) -> float:
        """Dollars for the tokens of an answer; 0 where prices aren't known."""
        return self._price(usage.get("input_tokens", 0), usage.get("output_tokens", 0)) or 0.0

    def spend(self, usage: Mapping[str, int]) -> None:
        """Books one answer. What cost nothing, such as a fault, tells nothing of what others will."""
        cost_usd = self.of(usage)
        self.spent_usd += cost_usd
        self._session_usd += cost_usd
        self._answers += cost_usd > 0.0

    def allows(self, under_way: int) -> bool:
        """Whether one more request fits beside those under way."""
        if self._max_usd is None:
            return True
        return self.spent_usd + self.average_usd * (under_way + 1) <= self._max_usd
