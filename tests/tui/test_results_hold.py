"""Screens of results hold: resized, without colour, with folders that leave, with many answers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.evaluation.results import EVAL, SAMPLES, SUMMARY
from geospot.tui.app import GeospotApp
from geospot.tui.screens.leaderboard import LeaderboardScreen
from geospot.tui.screens.result import ResultScreen
from tests.support.result_dirs import answered, failed, write_result
from tests.support.screens import drive, opened, resized, seen, until, until_seen
from tests.support.watchdog import watchdog

SIZES = [(80, 24), (250, 70), (100, 30), (151, 33), (120, 40)]


def pair(folder: Path) -> tuple[Path, Path]:
    """Two results over the same photos."""
    truth = (10.0, 20.0)
    a = [answered(f"p{i}", truth, (10.0 + i, 20.0), text=f"A {i}") for i in range(30)]
    b = [answered(f"p{i}", truth, (10.0 + i / 2, 20.0), text=f"B {i}") for i in range(29)]
    return (
        write_result(folder / "a", a, model="vlm-a"),
        write_result(folder / "b", [*b, failed("p29", truth)], model="vlm-b"),
    )


def screens(folder: Path) -> dict[str, tuple[Callable[[GeospotApp], None], str]]:
    """What opens each screen, and what it then shows."""
    a, b = pair(folder)
    return {
        "board": (lambda app: app.open_leaderboard([folder]), "vlm-b"),
        "result": (lambda app: app.open_result(b), "30 of 30 answers"),
        "compare": (lambda app: app.open_compare_results(a, b), "B is better in GeoScore"),
    }


@pytest.mark.parametrize("name", ["board", "result", "compare"])
def test_resized_while_it_is_shown(tmp_path: Path, name: str) -> None:
    first, shown = screens(tmp_path)[name]

    async def steps(pilot: Pilot[None]) -> None:
        for width, height in SIZES:
            await resized(pilot, width, height)
            await until_seen(pilot, shown)
            await until(pilot, lambda h=height: len(seen(pilot.app.screen).splitlines()) == h)
            lines = seen(pilot.app.screen).splitlines()
            assert all(len(line) <= width for line in lines)
            await pilot.press("tab")
            await pilot.press("down")

    drive(opened(first, results=[tmp_path]), steps)


@pytest.mark.parametrize("name", ["board", "result", "compare"])
def test_without_colour_nothing_is_lost(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    first, shown = screens(tmp_path)[name]

    async def steps(pilot: Pilot[None]) -> None:
        text = await until_seen(pilot, shown)
        marks = {"board": "├", "result": "▓", "compare": "▓"}
        assert marks[name] in text

    drive(opened(first, results=[tmp_path]), steps)


def test_a_folder_that_leaves_and_returns(tmp_path: Path) -> None:
    _, b = pair(tmp_path)
    kept = tmp_path.parent / f"{tmp_path.name}-kept"

    async def board(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "vlm-b", "vlm-a")
        shutil.move(b, kept)
        await until(pilot, lambda: "vlm-b" not in seen(pilot.app.screen), "The removal")
        shutil.move(kept, b)
        await until_seen(pilot, "vlm-b", "vlm-a")

    drive(opened(lambda app: app.open_leaderboard([tmp_path])), board)

    async def result(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "GeoScore (0–5000)")
        shutil.move(b, kept)
        await until_seen(pilot, "There is no folder")
        await pilot.press("l", "enter")
        shutil.move(kept, b)
        await until_seen(pilot, "30 of 30 answers")

    drive(opened(lambda app: app.open_result(b)), result, (80, 24))


def test_many_answers_fill_in_while_the_screen_answers(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))])
    row = json.loads((path / SAMPLES).read_text(encoding="utf-8"))
    lines = [json.dumps(row | {"id": f"photo-{i}", "text": "x" * 300}) for i in range(10_000)]
    (path / SAMPLES).write_text("\n".join(lines) + "\n", encoding="utf-8")

    async def steps(pilot: Pilot[None]) -> None:
        with watchdog(path):  # from before the first byte is read
            screen = ResultScreen(path)
            pilot.app.push_screen(screen)
            await until_seen(pilot, "GeoScore (0–5000)")
            await pilot.press("l", "down", "s")
            await until(pilot, lambda: len(screen.order_N) == 10_000, "All answers")
        await until_seen(pilot, "10,000 of")

    drive(GeospotApp([], []), steps)


def test_many_results_are_ranked_beside_the_screen(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r0", [answered("p", (1.0, 1.0), (2.0, 1.0))])
    for i in range(1, 300):
        other = tmp_path / f"r{i}"
        other.mkdir()
        for name in (EVAL, SUMMARY):
            shutil.copy(path / name, other / name)

    async def steps(pilot: Pilot[None]) -> None:
        with watchdog(tmp_path):  # from before the first byte is read
            screen = LeaderboardScreen([tmp_path])
            pilot.app.push_screen(screen)
            await until_seen(pilot, "300 ranked")
            await pilot.press("end", "s", "home", "S")
        assert sum(line.kind == "result" for line in screen.lines) == 300

    drive(GeospotApp([], []), steps, (80, 24))
