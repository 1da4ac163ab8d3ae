"""Recorded evaluations and runs on the screens of results: what stands in their files is what is seen."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from geospot.evaluation.results import SUMMARY
from geospot.tui.screens.compare_results import CompareResultsScreen
from geospot_leaderboard.compare import compare
from tests.support.screens import drive, opened, seen, until, until_seen

RECORDINGS = Path(__file__).parents[1] / "recordings"
RESULTS, RUNS = RECORDINGS / "results", RECORDINGS / "runs"
SIZES = [(80, 24), (200, 60)]


def summary(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name / SUMMARY).read_text(encoding="utf-8"))


@pytest.mark.parametrize("size", SIZES)
def test_leaderboard(size: tuple[int, int]) -> None:
    names = sorted(("rl", "sft", "prior"), key=lambda name: -summary(name)["all"]["geoscore"])
    scores = [f"{summary(name)['all']['geoscore']:,.1f}" for name in names]

    async def steps(pilot: Pilot[None]) -> None:
        shown = await until_seen(pilot, *scores, "3 ranked")
        places = [shown.index(score) for score in scores]
        assert places == sorted(places)
        await pilot.press("r")
        await until_seen(pilot, "sets of images" if size[0] > 80 else "ranked")

    drive(opened(lambda app: app.open_leaderboard([RESULTS]), folders=[RUNS]), steps, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["rl", "sft", "prior"])
def test_result(name: str, size: tuple[int, int]) -> None:
    known = summary(name)
    low, high = known["ci"]["all"]["geoscore"]
    outcomes = [f"{key} {count:,} (" for key, count in known["outcomes"].items() if count]

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(
            pilot, f"{low:,.1f} – {high:,.1f}", *outcomes, f"of {known['n']:,} answers"
        )
        for key in ("l", "t", "m", "i"):
            await pilot.press(key)
            await pilot.pause()
            assert all(len(line) <= size[0] for line in seen(pilot.app.screen).splitlines())

    drive(opened(lambda app: app.open_result(RESULTS / name)), steps, size)


@pytest.mark.parametrize("size", SIZES)
def test_comparison(size: tuple[int, int]) -> None:
    known = compare(RESULTS / "sft", RESULTS / "rl")

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(
            pilot,
            f"B wins {known.wins:,}, ties {known.ties:,}, loses {known.losses:,}",
            f"{known.geoscore.difference:+,.1f}",
            f"{known.geoscore.p:.3g}",
        )
        screen = pilot.app.screen
        assert isinstance(screen, CompareResultsScreen)
        assert screen.pairs is not None
        first = [screen.pairs.images_a.ids[int(row)] for row in screen.order_N[:5]]
        assert first == [one.id for one in known.regressions[:5]]

    drive(
        opened(lambda app: app.open_compare_results(RESULTS / "sft", RESULTS / "rl")), steps, size
    )


@pytest.mark.parametrize("size", SIZES)
def test_runs(size: tuple[int, int]) -> None:
    folders = [RUNS / "sft", RUNS / "rl"]

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "finished", "settings differ")
        await pilot.press("x")
        await until_seen(pilot, "by tokens")
        await pilot.press("d")
        await until(pilot, lambda: "learning_rate" in seen(pilot.app.screen), "Differences")

    drive(opened(lambda app: app.open_compare_runs(folders)), steps, size)
