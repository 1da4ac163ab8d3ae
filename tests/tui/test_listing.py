"""The list of runs behind the screen: what is read first, and that it follows the folders."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from geospot.runs.catalogue import Catalogue, RunSummary
from geospot.tui.listing import Listing
from geospot.tui.reading import Reader
from tests.support.written_runs import foreign_run, write_run

_DEADLINE_S = 120.0


def drive(folders: list[Path], steps: Callable[[Listing], Awaitable[None]]) -> None:
    async def main() -> None:
        reader = Reader()
        try:
            await steps(Listing(folders, reader))
        finally:
            reader.close()

    asyncio.run(main())


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def many(folder: Path, count: int) -> list[Path]:
    """Runs that take a moment to read, all told."""
    return [foreign_run(folder / f"run-{n:03d}", steps=300, final=True) for n in range(count)]


def test_what_is_on_screen_is_read_first(tmp_path: Path) -> None:
    runs = many(tmp_path, 120)

    async def steps(listing: Listing) -> None:
        listing.wanted = lambda: runs[100:103]
        order: list[Path] = []

        def told() -> None:
            order.extend(run for run in listing.summaries if run not in order)

        end = listing.subscribe(told)
        await until(lambda: listing.is_complete)
        end()
        assert order[:3] == runs[100:103]
        assert set(order) == set(runs)
        assert set(listing.runs) == set(runs)

    drive([tmp_path], steps)


def test_what_is_running_is_looked_at_every_time_and_others_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees the run that goes on: it is far down in the list."""
    runs = many(tmp_path, 60)
    going = write_run(tmp_path / "going")
    looks: Counter[Path] = Counter()
    summary = Catalogue.summary

    def counting(catalogue: Catalogue, run: Path) -> RunSummary:
        looks[run] += 1
        return summary(catalogue, run)

    async def steps(listing: Listing) -> None:
        end = listing.subscribe(lambda: None)
        await until(lambda: listing.is_complete)
        monkeypatch.setattr(Catalogue, "summary", counting)
        await until(lambda: sum(looks[run] for run in runs) >= 30)
        end()
        assert looks[going.path] >= 3
        assert max(looks[run] for run in runs) == 1

    drive([tmp_path], steps)
    going.close("finished", "")


def test_it_tells_of_changes_and_of_nothing_else(tmp_path: Path) -> None:
    run = write_run(tmp_path / "one")
    run.close("finished", "")

    async def steps(listing: Listing) -> None:
        told: list[float] = []
        end = listing.subscribe(lambda: told.append(time.monotonic()))
        await until(lambda: listing.is_complete)
        await asyncio.sleep(1.2)
        count = len(told)
        await asyncio.sleep(1.2)
        assert len(told) == count
        with (tmp_path / "one" / "metrics.jsonl").open("a") as file:
            file.write('{"step": 9, "env/all/reward/total": 0.75}\n')
        await until(lambda: listing.summaries[tmp_path / "one"].score == 0.75)
        assert len(told) > count
        end()

    drive([tmp_path], steps)


def test_a_folder_that_becomes_a_run_later_is_found(tmp_path: Path) -> None:
    async def steps(listing: Listing) -> None:
        end = listing.subscribe(lambda: None)
        await until(lambda: listing.has_scanned)
        assert listing.is_complete
        (tmp_path / "runs" / "late").mkdir(parents=True)
        await asyncio.sleep(1.0)
        assert not listing.runs
        write_run(tmp_path / "runs" / "late" / "run")
        await until(lambda: len(listing.running) == 1)
        end()

    drive([tmp_path / "runs"], steps)


def test_nothing_is_read_when_nobody_looks(tmp_path: Path) -> None:
    async def steps(listing: Listing) -> None:
        told: list[int] = []
        end = listing.subscribe(lambda: told.append(1))
        await until(lambda: listing.has_scanned)
        end()
        end()
        count = len(told)
        write_run(tmp_path / "one")
        await asyncio.sleep(1.2)
        assert not listing.runs
        assert len(told) == count
        end = listing.subscribe(lambda: None)
        await until(lambda: listing.is_complete and len(listing.runs) == 1)
        end()

    drive([tmp_path], steps)


def test_a_folder_is_added_once(tmp_path: Path) -> None:
    write_run(tmp_path / "theirs" / "one")

    async def steps(listing: Listing) -> None:
        end = listing.subscribe(lambda: None)
        await until(lambda: listing.has_scanned)
        listing.add_folder(tmp_path / "mine" / "below")
        listing.add_folder(tmp_path / "theirs")
        listing.add_folder(tmp_path / "theirs" / "one")
        assert listing.folders == (tmp_path / "mine", tmp_path / "theirs")
        await until(lambda: len(listing.summaries) == 1)
        end()

    drive([tmp_path / "mine"], steps)
