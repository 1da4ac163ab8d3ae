"""The leaderboard's screen: ranked, live, marked, sorted, exported."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from geospot.evaluation.results import SAMPLES, SUMMARY
from geospot.outcomes import Outcome
from geospot.tui.app import GeospotApp
from geospot.tui.screens.compare_results import CompareResultsScreen
from geospot.tui.screens.export import ExportDialog
from geospot.tui.screens.leaderboard import LeaderboardScreen
from geospot.tui.screens.result import ResultScreen
from geospot_leaderboard.collect import collect
from geospot_leaderboard.export import to_csv, to_markdown
from geospot_leaderboard.ranking import rank
from tests.support.result_dirs import answered, failed, write_result
from tests.support.screens import drive, opened, resized, seen, type_ahead, until, until_seen

HOSTILE = "evil\x1b[31m[red]\u202emodel"


def three(folder: Path) -> Path:
    """Two ranked results, one incomplete, one of another set of images."""
    truth = (10.0, 10.0)
    near = [answered(f"p{i}", truth, (10.0 + i / 10, 10.0)) for i in range(12)]
    far = [answered(f"p{i}", truth, (20.0 + i, 10.0)) for i in range(12)]
    write_result(folder / "near", near, model="near-vlm")
    write_result(folder / "far", far, model="far-vlm")
    part = [*near[:5], failed("p5", truth, Outcome.TRANSPORT_ERROR)]
    write_result(folder / "part", part, n=12, model="part-vlm")
    write_result(folder / "else", far, model=HOSTILE, dataset="world", fingerprint="e" * 64)
    return folder


def on(folder: Path) -> GeospotApp:
    return opened(lambda app: app.open_leaderboard([folder]), results=[folder])


def board(pilot: Pilot[None]) -> LeaderboardScreen:
    return next(s for s in pilot.app.screen_stack if isinstance(s, LeaderboardScreen))


async def filled(pilot: Pilot[None]) -> LeaderboardScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, LeaderboardScreen))
    screen = board(pilot)
    await until(pilot, lambda: screen.board is not None and screen.table.count > 0, "The table")
    await pilot.pause()
    return screen


def row_of(screen: LeaderboardScreen, name: str) -> int:
    return next(
        i
        for i, line in enumerate(screen.lines)
        if line.path is not None and line.path.name == name and line.kind == "result"
    )


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_ranked_apart_from_unranked_and_published(tmp_path: Path, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        shown = await until_seen(pilot, "near-vlm", "far-vlm", "unranked", "Published on osv5m")
        lines = shown.splitlines()
        place = {name: next(i for i, line in enumerate(lines) if name in line) for name in (
            "osv5m, test: 12", "near-vlm", "far-vlm", "unranked", "part-vlm", "Published on osv5m",
        )}  # fmt: skip
        assert list(place.values()) == sorted(place.values())
        assert " 1  " in lines[place["near-vlm"]]
        assert "!  –" in lines[place["part-vlm"]]
        assert "●" in lines[place["near-vlm"]]
        assert "─" in lines[place["part-vlm"]]
        assert "4,800.9" in lines[place["near-vlm"]]
        assert "100.0%" in lines[place["near-vlm"]]
        screen.table.cursor = row_of(screen, "part")
        shown = await until_seen(pilot, "Unranked (incomplete): Incomplete: 6 not asked, 1 lost")
        assert all(len(line) <= size[0] for line in shown.splitlines())

    drive(on(three(tmp_path)), steps, size)


def test_every_line_explains_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a long folder's name would be broken into lines

    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        for row, line in enumerate(screen.lines):
            screen.table.cursor = row
            await pilot.pause()
            if line.kind == "published":
                await until_seen(pilot, "not comparable with a selection")
            if line.kind == "heading" and line.group >= 0:
                await until_seen(pilot, "true coordinates not recorded")
        screen.table.cursor = row_of(screen, "near")
        await until_seen(pilot, "canary passed", "results/near")

    drive(on(three(Path("results"))), steps)


def test_columns_without_room_are_counted_and_take_no_line(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        shown = await until_seen(pilot, "→ 10 more columns")
        assert "answered" not in shown.splitlines()[1]
        assert screen.table.scrollable_content_region.height == screen.table.size.height
        type_ahead(pilot.app, ["right"] * 60)
        await until(pilot, lambda: "answered" in seen(screen).splitlines()[1])
        await resized(pilot, 250, 40)
        await until(pilot, lambda: "more columns" not in seen(screen))
        await until_seen(pilot, "images", "date")

    drive(on(three(tmp_path)), steps, (120, 40))


def test_the_cursor_passes_over_empty_lines(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        assert "blank" in {line.kind for line in screen.lines}
        screen.table.cursor = 0
        for key in ("down", "up"):
            for _ in screen.lines:
                await pilot.press(key)
                assert screen.lines[screen.table.cursor].kind != "blank"
            assert screen.table.cursor == (screen.table.count - 1 if key == "down" else 0)

    drive(on(three(tmp_path)), steps)


def test_bars_of_a_group_are_on_one_scale(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        lines = seen(screen.table).splitlines()
        near, far = (
            next(line for line in lines if name in line) for name in ("near-vlm", "far-vlm")
        )
        assert near.index("●") > far.index("●")

    drive(on(three(tmp_path)), steps)


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        shown = await until_seen(pilot, "evil\\x1b[31m[red]\\u202emodel")
        assert "\x1b" not in shown
        assert "\u202e" not in shown

    drive(on(three(tmp_path)), steps)


def test_sorting_by_key_and_by_header(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)

        def order() -> list[str]:
            return [p.name for line in screen.lines if line.group == 0 and (p := line.path)]

        assert order() == ["near", "far", "part"]
        await pilot.press("S")
        assert order() == ["far", "near", "part"]
        for _ in range(3):
            await pilot.press("s")
        assert "median km▲" in seen(screen.table)
        assert order() == ["near", "far", "part"]
        header = seen(screen.table).splitlines()[0]
        await pilot.click(screen.table, offset=(header.index("GeoScore") + 1, 0))
        assert order() == ["near", "far", "part"]
        await pilot.click(screen.table, offset=(header.index("GeoScore") + 1, 0))
        assert order() == ["far", "near", "part"]

    drive(on(three(tmp_path)), steps)


def test_the_cursor_stays_on_its_result_and_new_ones_appear(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        screen.table.cursor = row_of(screen, "far")
        best = [answered(f"p{i}", (10.0, 10.0), (10.0, 10.0)) for i in range(12)]
        write_result(tmp_path / "new", best, model="new-vlm")
        await until_seen(pilot, "new-vlm", "4 ranked")
        line = screen.lines[screen.table.cursor]
        assert line.path == tmp_path / "far"

    drive(on(three(tmp_path)), steps)


def test_what_is_under_way_is_shown_with_its_progress(tmp_path: Path) -> None:
    folder = three(tmp_path)
    records = [answered(f"p{i}", (1.0, 1.0), (1.0, 1.0)) for i in range(3)]
    path = write_result(folder / "going", records, n=12, model="going-vlm")
    (path / SUMMARY).unlink()

    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await until_seen(pilot, "Under way", "going-vlm", "3/12", "25.0%", "1 under way")
        screen.table.cursor = 1
        await until_seen(pilot, "3 of 12 answers so far")
        with (path / SAMPLES).open("ab") as file:
            file.write(json.dumps(records[0].to_json()).encode() + b"\n")
        await until_seen(pilot, "4/12")
        assert "can't be read" not in seen(screen)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultScreen))

    drive(on(folder), steps)


def test_what_cant_be_read_is_listed_with_its_reason(tmp_path: Path) -> None:
    folder = three(tmp_path)
    (folder / "near" / SUMMARY).write_text("{", encoding="utf-8")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await until_seen(pilot, "Left out: can't be read")
        screen.table.cursor = screen.table.count - 1
        await until_seen(pilot, "Restore it, or use another directory.")

    drive(on(folder), steps)


def test_documents_that_are_not_what_they_should_be_are_left_out(tmp_path: Path) -> None:
    folder = three(tmp_path)
    whole = json.loads((folder / "far" / SUMMARY).read_text(encoding="utf-8"))
    odd: dict[str, Any] = {
        "counts": whole | {"outcomes": {"ok": "many"}},
        "share": whole | {"collapse": {"top_share": []}},
        "pair": whole | {"ci": {"all": {"geoscore": [1.0]}}},
        "words": whole | {"ci": {"all": {"geoscore": ["a", "b"]}}},
        "cost": whole | {"cost_usd": {}},
        "usage": whole | {"usage": 7},
        "admin": whole | {"admin": "no"},
        "coverage": whole | {"coverage": "x"},
        "canary": whole | {"canary": []},
    }
    for name, summary in odd.items():
        shutil.copytree(folder / "far", folder / name)
        (folder / name / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")
    shutil.copytree(folder / "far", folder / "deep")
    (folder / "deep" / SUMMARY).write_text("[" * 100_000, encoding="utf-8")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await until_seen(pilot, "near-vlm", "Left out: can't be read")
        left_out = {line.text.rsplit("/", 1)[-1] for line in screen.lines if line.kind == "broken"}
        assert left_out == {"deep", *odd} - {"canary"}
        screen.table.cursor = row_of(screen, "canary")
        await until_seen(pilot, "canary passed")

    drive(on(folder), steps, (120, 50))


def test_two_marks_compare(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await pilot.press("c")
        assert isinstance(pilot.app.screen, LeaderboardScreen)
        screen.table.cursor = row_of(screen, "far")
        await pilot.press("space")
        await until_seen(pilot, "A is far: mark B")
        screen.table.cursor = row_of(screen, "near")
        await pilot.press("space")
        lines = seen(screen.table).splitlines()
        assert next(line for line in lines if "far-vlm" in line).strip("▌ ").startswith("A")
        assert (
            next(line for line in lines if "near-vlm" in line).strip("▌ ▎").lstrip().startswith("B")
        )
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareResultsScreen))
        compared = pilot.app.screen
        assert isinstance(compared, CompareResultsScreen)
        assert (compared.a.name, compared.b.name) == ("far", "near")
        await pilot.press("escape", "space")
        await until_seen(pilot, "A is far: mark B")
        await pilot.press("space")
        await until_seen(pilot, "A far, B near")
        screen.table.cursor = row_of(screen, "part")
        await pilot.press("space")  # a third takes B's place
        await until_seen(pilot, "A far, B part")

    drive(on(three(tmp_path)), steps)


def test_enter_opens_the_result(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        screen.table.cursor = row_of(screen, "far")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultScreen))
        result = pilot.app.screen
        assert isinstance(result, ResultScreen)
        assert result.result == tmp_path / "far"

    drive(on(three(tmp_path)), steps)


def test_a_filter_keeps_results_and_their_ranks(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await pilot.press("slash", *"geoscore<2000", "space", *"dataset:osv", "enter")
        shown = await until_seen(pilot, "1 shown by the filter", "far-vlm")
        assert "near-vlm" not in shown
        assert "Published" not in shown
        line = next(line for line in seen(screen.table).splitlines() if "far-vlm" in line)
        assert " 2 " in line
        await pilot.press("slash", "escape", *"mark:incomplete", "enter")
        await until_seen(pilot, "part-vlm", "1 shown by the filter")
        await pilot.press("slash", "escape", "escape")
        await until_seen(pilot, "near-vlm", "Published")

    drive(on(three(tmp_path)), steps)


def test_groups_are_jumped_to(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await pilot.press("n")
        assert screen.lines[screen.table.cursor].text.startswith("world")
        await pilot.press("p")
        assert screen.lines[screen.table.cursor].text.startswith("osv5m")

    drive(on(three(tmp_path)), steps)


@pytest.mark.parametrize("ending", ["csv", "md"])
def test_export_writes_what_the_command_line_writes(tmp_path: Path, ending: str) -> None:
    folder = three(tmp_path / "results")
    out = tmp_path / "out" / f"board.{ending}"
    found = collect(folder)
    groups = rank(found.results)
    expected = to_csv(groups) if ending == "csv" else to_markdown(groups, found.broken)

    async def steps(pilot: Pilot[None]) -> None:
        await filled(pilot)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportDialog))
        pilot.app.screen.query_one(Input).value = str(out)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LeaderboardScreen))
        assert out.read_text(encoding="utf-8") == expected
        await until_seen(pilot, "wrote")

    drive(on(folder), steps)


def test_export_asks_before_it_replaces_and_says_what_is_wrong(tmp_path: Path) -> None:
    folder = three(tmp_path / "results")
    out = tmp_path / "board.csv"
    out.write_text("mine", encoding="utf-8")

    async def steps(pilot: Pilot[None]) -> None:
        await filled(pilot)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportDialog))
        line = pilot.app.screen.query_one(Input)
        assert line.value == "leaderboard.csv"
        await pilot.press("tab")
        assert line.value == "leaderboard.md"
        line.value = str(tmp_path / "board.txt")
        await pilot.press("enter")
        await until_seen(pilot, "has to end in .csv or .md")
        line.value = str(out / "below.csv")
        await pilot.press("enter")
        await until_seen(pilot, "can't be written")
        line.value = str(out)
        await pilot.press("enter")
        await until_seen(pilot, "is there already")
        assert out.read_text(encoding="utf-8") == "mine"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LeaderboardScreen))
        assert out.read_text(encoding="utf-8").startswith("rank,model")
        await pilot.press("x", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LeaderboardScreen))

    drive(on(folder), steps)


def test_an_empty_folder_teaches_what_to_do(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "No results yet", "geospot eval --backend prior")
        await pilot.press("x", "c", "space", "enter", "m", "s", "n")
        write_result(tmp_path / "r", [answered("a", (1.0, 1.0), (1.0, 1.0))], model="came-later")
        await until_seen(pilot, "openai/came-later", "1 ranked")

    drive(on(tmp_path), steps, (80, 24))


def test_evaluations_of_runs_come_and_go(tmp_path: Path) -> None:
    folder, runs = three(tmp_path / "results"), tmp_path / "runs"
    record = answered("a", (1.0, 1.0), (1.0, 1.0))
    write_result(runs / "rl" / "evals" / "step-000010", [record], model="of-a-run")
    app = opened(lambda a: a.open_leaderboard([folder]), folders=[runs], results=[folder])

    async def steps(pilot: Pilot[None]) -> None:
        await filled(pilot)
        assert "of-a-run" not in seen(pilot.app.screen)
        await pilot.press("r")
        await until_seen(pilot, "of-a-run")
        await pilot.press("r")
        await until(pilot, lambda: "of-a-run" not in seen(pilot.app.screen))

    drive(app, steps)
