"""How the number of requests under way follows what the server can take."""

import asyncio

import pytest

from geospot.evaluation.limiter import START, AdaptiveLimiter, ClosedError, Ticket
from tests.support.approx import approx


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def fill(limiter: AdaptiveLimiter) -> list[Ticket]:
    """Takes every place there is."""
    taken: list[Ticket] = []
    while limiter.in_flight < int(limiter.window):
        taken.append(await limiter.acquire())
    return taken


def test_the_window_doubles_each_round_trip_up_to_the_upper_bound() -> None:
    async def rounds() -> list[int]:
        limiter = AdaptiveLimiter(100)
        sizes: list[int] = []
        for _ in range(6):
            taken = await fill(limiter)
            sizes.append(len(taken))
            waiting = [asyncio.create_task(limiter.acquire()) for _ in range(200)]
            await asyncio.sleep(0)
            for ticket in taken:
                limiter.succeeded(ticket)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            limiter.in_flight = 0
        return sizes

    assert asyncio.run(rounds()) == [START, 2 * START, 4 * START, 8 * START, 100, 100]


def test_an_idle_window_does_not_grow() -> None:
    async def one_at_a_time() -> float:
        limiter = AdaptiveLimiter(64)
        for _ in range(50):
            limiter.succeeded(await limiter.acquire())
        return limiter.window

    assert asyncio.run(one_at_a_time()) == START


def test_a_burst_of_refusals_halves_once_and_later_ones_again() -> None:
    async def burst() -> tuple[float, float]:
        limiter = AdaptiveLimiter(8)
        for ticket in await fill(limiter):
            limiter.refused(ticket)
        after_burst = limiter.window
        limiter.refused(await limiter.acquire())
        return after_burst, limiter.window

    assert asyncio.run(burst()) == (4.0, 2.0)


def test_after_a_halving_the_window_grows_by_one_a_round() -> None:
    async def grow() -> float:
        limiter = AdaptiveLimiter(8)
        limiter.refused(await limiter.acquire())
        taken = await fill(limiter)
        others = [asyncio.create_task(limiter.acquire()) for _ in range(4)]
        await asyncio.sleep(0)
        for ticket in taken:
            limiter.succeeded(ticket)
        await asyncio.gather(*others)
        return limiter.window

    assert asyncio.run(grow()) == approx(5.0, abs=0.2)


def test_transient_faults_leave_the_window_alone() -> None:
    async def faults() -> float:
        limiter = AdaptiveLimiter(8)
        for _ in await fill(limiter):
            limiter.failed()
        return limiter.window

    assert asyncio.run(faults()) == 8.0


def test_the_window_never_falls_below_one() -> None:
    async def refuse() -> float:
        limiter = AdaptiveLimiter(8)
        for _ in range(10):
            limiter.refused(await limiter.acquire())
        return limiter.window

    assert asyncio.run(refuse()) == 1.0


def test_retry_after_stops_everybody_until_it_has_passed() -> None:
    async def pause() -> list[bool]:
        clock = Clock()
        limiter = AdaptiveLimiter(8, clock=clock)
        limiter.refused(await limiter.acquire(), retry_after_s=30.0)
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        seen = [waiting.done(), limiter.paused_s == 30.0]
        clock.now_s += 29.0
        limiter._wake()  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)
        seen.append(waiting.done())
        clock.now_s += 1.0
        limiter._wake()  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)
        seen.append(waiting.done())
        return seen

    assert asyncio.run(pause()) == [False, True, False, True]


def test_a_pause_ends_by_itself() -> None:
    async def pause() -> None:
        limiter = AdaptiveLimiter(8)
        limiter.refused(await limiter.acquire(), retry_after_s=0.05)
        async with asyncio.timeout(60):
            await limiter.acquire()

    asyncio.run(pause())


def test_places_are_given_in_order_and_none_is_lost_by_cancelling() -> None:
    async def order() -> list[int]:
        limiter = AdaptiveLimiter(1)
        first = await limiter.acquire()
        got: list[int] = []

        async def take(number: int) -> None:
            ticket = await limiter.acquire()
            got.append(number)
            await asyncio.sleep(0)
            limiter.succeeded(ticket)

        tasks = [asyncio.create_task(take(number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        limiter.succeeded(first)
        tasks[0].cancel()  # admitted in this very moment
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.in_flight == 0
        return got

    assert asyncio.run(order()) == [2, 3, 4]


def test_closing_frees_whoever_waits() -> None:
    async def close() -> None:
        limiter = AdaptiveLimiter(1)
        await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        limiter.close()
        with pytest.raises(ClosedError):
            await waiting
        with pytest.raises(ClosedError):
            await limiter.acquire()

    asyncio.run(close())
