"""Which runs the list shows and in which order: filter, sorting, marks, and the cursor among them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from geospot.tui.run_rows import SORTABLE
from geospot.tui.screens.runs import RunsScreen
from geospot.tui.widgets.table import Table
from tests.support.runs_screens import app_on, folder_of_runs, names, on_cursor, rows, until_read
from tests.support.screens import drive, resized, seen, until, until_seen
from tests.support.written_runs import write_run


def test_the_cursor_stays_on_its_run(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("down", "down")
        assert " rl " in on_cursor(app)
        write_run(runs / "newest", "rl").close("finished", "")
        await until_seen(pilot, "newest")
        await until(pilot, lambda: rows(app)[0].split()[2] == "newest", "the newest on top")
        assert " rl " in on_cursor(app)
        await pilot.press("greater_than_sign")  # by another column
        assert " rl " in on_cursor(app)
        shutil.rmtree(runs / "rl")
        await until(pilot, lambda: len(app.listing.runs) == 4, "one run less")
        await pilot.press("up", "down")
        assert on_cursor(app)

    drive(app, steps)


def test_the_cursor_is_on_its_run_again_when_a_filter_lets_it_through(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("down", "down")
        await pilot.press("slash", *"kind:rl")  # "k" alone fits nothing
        await until(pilot, lambda: len(rows(app)) == 3, "three")
        assert " rl " in on_cursor(app)[:30]
        await pilot.press("escape", *"kind:sft")
        await until(pilot, lambda: names(app) == ["sft"], "the others")
        assert " sft " in on_cursor(app)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(rows(app)) == 4, "all")
        assert "■ stopped" in on_cursor(app)
        await pilot.press("up")
        assert " died " in on_cursor(app)

    drive(app, steps)


def test_a_move_is_not_lost_to_news_that_come_at_the_same_moment(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        screen.query_one(Table).action_move(2)
        screen.on_screen_resume()  # paints before the table's message has come
        await pilot.pause()
        assert "■ stopped" in on_cursor(app)

    drive(app, steps)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind:sft", ["sft"]),
        ("kind:rl reward>0.5", ["died"]),
        ("state:died", ["died"]),
        ("model:qwen", ["deep/foreign"]),
        ("-state:finished -died", ["rl"]),
        ("foreign", ["deep/foreign"]),
        ("step>=9", ["deep/foreign", "died"]),
        ("has:eval", []),
        ("nll<7", ["sft"]),
    ],
)
def test_the_filter_shows_what_fits(tmp_path: Path, query: str, expected: Sequence[str]) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("slash")
        app.screen.query_one(Input).value = "name:rl"
        await until(pilot, lambda: names(app) == ["rl"], "another filter before")
        app.screen.query_one(Input).value = query
        await until(pilot, lambda: names(app) == expected, f"{expected}")
        status = seen(app.screen)
        if expected:
            assert f"{len(expected)} shown" in status
        else:
            assert "none fits the filter" in status
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(rows(app)) == 4, "all")

    drive(app, steps, (80, 24))


def test_a_filter_that_cannot_be_read_says_why_and_changes_nothing(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("slash", *"knid:rl")
        await until_seen(pilot, "There is no 'knid' to filter by. Did you mean 'kind'?")
        assert "/ Filter" not in seen(app.screen)  # it is typed now

    drive(app, steps)


def test_what_is_typed_fast_behind_a_key_is_for_what_the_key_opens(tmp_path: Path) -> None:
    """Keys wait in a queue where a machine or a line is slow: none of them may be taken for another one."""
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        for key, character in (("slash", "/"), *((key, key) for key in "kind"), ("colon", ":"),
                               ("r", "r"), ("l", "l"), ("enter", "\r"), ("end", None)):  # fmt: skip
            app.post_message(Key(key, character))
        await until(pilot, lambda: len(rows(app)) == 3, "three")
        await until(pilot, lambda: rows(app)[-1] == on_cursor(app), "the last one")
        assert app.screen.query_one(Input).value == "kind:rl"
        assert isinstance(app.screen, RunsScreen)

    drive(app, steps)


def test_keys_typed_fast_mark_each_run_that_they_come_to(tmp_path: Path) -> None:
    """A key may come sooner than word of the move that the last one made: it is for where the cursor is."""
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        for key, character in (("space", " "), ("space", " "), ("down", None), ("space", " ")):
            app.post_message(Key(key, character))
        await until(pilot, lambda: "3 marked" in seen(app.screen), "three marks")
        assert ["●" in row for row in rows(app)] == [True, True, False, True]

    drive(app, steps)


def test_rows_are_sorted_by_keys_both_ways(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        assert names(app) == ["deep/foreign", "died", "rl", "sft"]
        await pilot.press("r")
        assert names(app) == ["sft", "rl", "died", "deep/foreign"]
        assert "by started ▲" in seen(app.screen)
        await pilot.press("less_than_sign")
        sorted_by = seen(app.screen.query_one(Table)).split("\n")[0]
        assert "▼" in sorted_by or "▲" in sorted_by

    drive(app, steps)


def test_every_column_is_sorted_by_in_turn_and_then_in_sight(tmp_path: Path) -> None:
    """Also those for which there is no room otherwise."""
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        table = app.screen.query_one(Table)
        usual = table.render_line(0).text
        assert "Tokens" not in usual
        marked: list[str] = []
        for _ in SORTABLE:
            await pilot.press("greater_than_sign")
            head = table.render_line(0).text
            marked += [
                word for word in head.replace("Med km", "Med_km").split() if word[-1] in "▼▲"
            ]
        assert [word[:-1] for word in marked] == [
            "State", "Run", "Kind", "Model", "Step", "Rew/NLL", "Med_km", "Elapsed", "Left", "Tokens",
            "Cost",
        ]  # fmt: skip
        assert table.render_line(0).text == usual
        await pilot.press("less_than_sign", "less_than_sign")
        assert "Tokens▼" in table.render_line(0).text
        assert "▼" in seen(app.screen).split("\n")[-2]
        await resized(pilot, 81, 24)
        assert "Tokens▼" in table.render_line(0).text

    drive(app, steps, (80, 24))


@pytest.mark.parametrize(
    ("label", "once", "twice"),
    [
        ("Run", ["deep/foreign", "died", "rl", "sft"], ["sft", "rl", "died", "deep/foreign"]),
        ("Step", ["deep/foreign", "died", "sft", "rl"], ["rl", "sft", "died", "deep/foreign"]),
        # Rewards before NLLs either way.
        ("Rew/NLL", ["died", "deep/foreign", "rl", "sft"], ["rl", "deep/foreign", "died", "sft"]),
        # The nearest first, and those without a figure at the end.
        ("Med km", ["died", "rl", "deep/foreign", "sft"], ["rl", "died", "deep/foreign", "sft"]),
    ],
)
def test_a_click_on_a_header_sorts_and_another_turns_it_round(
    tmp_path: Path, label: str, once: Sequence[str], twice: Sequence[str]
) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        x = app.screen.query_one(Table).render_line(0).text.index(label)
        await pilot.click(Table, offset=(x, 0))
        assert names(app) == once
        await pilot.click(Table, offset=(x, 0))
        assert names(app) == twice

    drive(app, steps)


def test_marks_survive_sorting_and_filtering_and_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)
    compared: list[Sequence[Path]] = []
    monkeypatch.setattr(app, "open_compare_runs", compared.append)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("c")
        await until_seen(pilot, "Mark two runs or more with space")
        assert compared == []
        await pilot.press("down", "space", "space")
        assert [line for line in rows(app) if "●" in line] == rows(app)[1:3]
        assert "2 marked" in seen(app.screen)
        await pilot.press("r", "slash", *"kind:sft", "enter")
        await pilot.press("c")
        assert compared == [[runs / "died", runs / "rl"]]
        await pilot.press("slash", "escape", "escape")
        await until(pilot, lambda: len(rows(app)) == 4, "all")
        assert sum("●" in line for line in rows(app)) == 2
        await pilot.press("u")
        assert "●" not in seen(app.screen)

    drive(app, steps)


def test_a_marked_run_that_leaves_is_marked_no_more(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("space", "space")
        await until_seen(pilot, "2 marked")
        gone = app.listing.runs[0]
        shutil.rmtree(gone)
        await until(pilot, lambda: gone not in app.listing.runs, "one run less")
        await until_seen(pilot, "1 marked")
        await pilot.press("c")
        await until_seen(pilot, "Mark two runs or more")

    drive(app, steps)
