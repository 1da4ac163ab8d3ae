"""The list of runs: what it shows, how it follows the folders, and what its keys do."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from geospot.runs.heartbeat import read_heartbeat
from geospot.tui.app import GeospotApp
from geospot.tui.screens.runs import RunsScreen
from geospot.tui.widgets.confirm import Confirm
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.welcome import Welcome
from tests.support.screens import drive, seen, until, until_seen
from tests.support.watchdog import watchdog
from tests.support.written_runs import foreign_run, write_beat, write_run

SIZES = [(80, 24), (120, 40), (200, 60)]


def folder_of_runs(tmp_path: Path) -> Path:
    """Four runs, started one after the other: sft, rl, died, foreign (newest)."""
    runs = tmp_path / "runs"
    write_run(runs / "sft", "sft", steps=4).close("finished", "")
    write_run(runs / "rl", "rl", steps=3).close("stopped", "asked to")
    write_run(runs / "died", "rl", steps=9).close("finished", "")
    write_beat(runs / "died", pid=2**22 + 7, birth="", step=9, total=10, time=time.time() - 500)
    foreign_run(runs / "deep" / "foreign", final=True)
    for age, name in enumerate(("deep/foreign", "died", "rl", "sft")):
        at = time.time() - 100 * (age + 1)
        os.utime(runs / name / "config.json", (at, at))
    return runs


def app_on(*folders: Path) -> GeospotApp:
    return GeospotApp(folders, [folders[0].parent / "results"])


def rows(app: GeospotApp) -> list[str]:
    """What the table shows, line by line, without the header and blank lines."""
    table = app.screen.query_one(Table)
    lines = [table.render_line(y).text for y in range(1, table.size.height)]
    return [line for line in lines if line.strip()]


def names(app: GeospotApp) -> list[str]:
    """The names in the list, from the top."""
    known = ("deep/foreign", "died", "rl", "sft")
    return [next(word for word in line.split() if word in known) for line in rows(app)]


def on_cursor(app: GeospotApp) -> str:
    (line,) = [line for line in rows(app) if line.startswith("▌")]
    return line


async def until_read(pilot: Pilot[None], app: GeospotApp, count: int = 4) -> None:
    await until(
        pilot, lambda: app.listing.is_complete and len(app.listing.runs) == count, "every run"
    )
    await until(
        pilot, lambda: len(rows(app)) == count and "reading" not in seen(app.screen), "the rows"
    )


@pytest.mark.parametrize("size", SIZES)
def test_every_run_is_shown_newest_first_with_its_state_in_words(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        assert names(app) == ["deep/foreign", "died", "rl", "sft"]
        foreign, died, rl, sft = rows(app)
        assert "✓ finished" in foreign
        assert "† died" in died
        assert "■ stopped" in rl
        assert "✓ finished" in sft
        assert "3/10" in rl
        assert "0.3" in rl
        assert "▁▄█" in rl.replace(" ", "")
        assert "898" in rl
        assert "6 " in sft  # its NLL
        screen = seen(app.screen)
        assert "4 runs · 0 running" in screen
        for label in ("State", "Run", "Kind", "Step", "Rew/NLL", "Med km"):
            assert label in screen
        assert ("Tokens" in screen) is (size[0] == 200)
        assert all(len(line) <= size[0] for line in screen.split("\n"))

    drive(app, steps, size)


def test_new_runs_appear_changes_are_shown_and_deleted_runs_leave(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        run = write_run(runs / "new" / "one", "rl", steps=1)
        await until_seen(pilot, "new/one", "▶ running", "1 running")
        run.metrics(1, {"env/all/reward/total": 0.8125})
        run.beat("training", 2)
        await until_seen(pilot, "2/10", "0.812")
        run.close("failed", "out of luck")
        await until_seen(pilot, "✗ failed")
        shutil.rmtree(runs / "new")
        shutil.rmtree(runs / "sft")
        await until_read(pilot, app, 3)
        assert "sft" not in names(app)

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


def test_the_cursor_stays_on_its_run(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("down", "down")
        assert " rl " in on_cursor(app)
        write_run(runs / "newest", "rl").close("finished", "")
        await until_seen(pilot, "newest")
        assert rows(app)[0].split()[2] == "newest"
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


def test_enter_and_a_second_click_open_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)
    opened: list[Path] = []
    monkeypatch.setattr(app, "open_run", opened.append)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: opened == [runs / "died"], "the run")
        await pilot.click(Table, offset=(20, 4))
        await pilot.pause(0.6)  # not as a double click
        await pilot.click(Table, offset=(20, 4))
        await until(pilot, lambda: opened == [runs / "died", runs / "sft"], "the other run")

    drive(app, steps)


@pytest.mark.parametrize(
    ("key", "method", "told"),
    [
        ("n", "open_launch", ()),
        ("2", "open_launch", ()),
        ("E", "open_launch", ("eval",)),
        ("l", "open_leaderboard", ()),
        ("3", "open_leaderboard", ()),
    ],
)
def test_keys_lead_to_other_screens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, method: str, told: tuple[str, ...]
) -> None:
    app = app_on(folder_of_runs(tmp_path))
    opened: list[tuple[str, ...]] = []

    def note(*args: str) -> None:
        opened.append(args)

    monkeypatch.setattr(app, method, note)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press(key)
        assert opened == [told]

    drive(app, steps)


def test_a_tall_terminal_previews_the_run_under_the_cursor(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    (runs / "rl" / "logs.log").write_text("first line\nlast \x1b[31mline [bold]\n")
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("down", "down")
        screen = await until_seen(pilot, "000003", "last \\x1b[31mline [bold]", "asked to")
        assert str(runs / "rl")[-20:] in screen
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "000003" not in seen(app.screen)

    drive(app, steps, (120, 40))


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_hostile_names_are_shown_harmless(tmp_path: Path, size: tuple[int, int]) -> None:
    runs = tmp_path / "runs"
    for name in ("[bold red]x[/]", "\x1b[2Jcleared", "‮reversed", "日本語" * 20, "a\nb"):
        write_run(runs / name, model_name="[blink]m\x07").close("failed", "[/] \x1b]0;title\x07")
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app, 5)
        for _ in range(5):
            await pilot.press("down")
            await pilot.pause(0.3)
        screen = seen(app.screen)
        assert "\x1b" not in screen
        assert "\x07" not in screen
        assert "‮" not in screen
        if size[0] > 80:
            assert "[bold red]x[/]" in screen
            assert "\\x1b[2Jcleared" in screen
        await pilot.press("ctrl+p", *"open run")
        await until_seen(pilot, "Open run [bold red]x[/]")
        await pilot.press("escape")

    drive(app, steps, size)


def test_torn_and_foreign_files_are_shown_as_far_as_they_go(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, config, metrics in (
        ("torn", b'{"kind": "rl"', b'{"step": 0, "env/all/reward/total": 0.5}\n{"step": 1, "en'),
        ("nan", b'{"kind": "rl"}', b'{"step": 0, "env/all/reward/total": NaN}\n'),
        ("binary", bytes(range(256)), bytes(range(256))),
        ("list", b"[1]", b"[1]\n3\n"),
    ):
        (runs / name).mkdir(parents=True)
        (runs / name / "config.json").write_bytes(config)
        (runs / name / "metrics.jsonl").write_bytes(metrics)
        (runs / name / "heartbeat.json").write_bytes(b'{"state": "running", "time": 1e400}')
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app, 4)
        assert "0.5" in next(line for line in rows(app) if " torn " in line)
        for _ in range(5):
            await pilot.press("down", "greater_than_sign")

    drive(app, steps)


def first_start(tmp_path: Path) -> GeospotApp:
    return GeospotApp([tmp_path / "runs"], [tmp_path / "results"])


def test_without_runs_it_explains_what_one_can_do_and_shows_a_run_as_it_starts(
    tmp_path: Path,
) -> None:
    app = first_start(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await until_seen(
            pilot, "There are no runs yet", "See it work", "Train", "Evaluate"
        )
        for key in ("D", "n", "E", "o"):
            assert f" {key} " in screen
        assert "q Quit" in screen
        assert "Stop" not in screen  # there is nothing to stop
        assert "Filter" not in screen
        await pilot.press("s", "space", "c", "slash", "r")
        write_run(tmp_path / "runs" / "first")
        await until_seen(pilot, "▶ running", "first")
        assert isinstance(app.focused, Table)
        assert "Filter" in seen(app.screen)
        shutil.rmtree(tmp_path / "runs" / "first")
        await until_seen(pilot, "There are no runs yet")

    drive(app, steps, (80, 24))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["down", "enter"], ()),
        (["n"], ()),
        (["down", "down", "enter"], ("eval",)),
        (["E"], ("eval",)),
    ],
)
def test_the_first_start_leads_to_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Sequence[str], told: tuple[str, ...]
) -> None:
    app = first_start(tmp_path)
    opened: list[tuple[str, ...]] = []

    def note(*args: str) -> None:
        opened.append(args)

    monkeypatch.setattr(app, "open_launch", note)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "There are no runs yet")
        await pilot.press(*keys)
        await pilot.pause()
        assert opened == [told]

    drive(app, steps)


def test_the_runs_of_somebody_elses_folder_are_shown_too(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    write_run(theirs / "hers").close("finished", "")
    app = first_start(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "There are no runs yet")
        await pilot.press("o", *"/nowhere", "enter")
        await until_seen(pilot, "There is no such folder.")
        app.screen.query_one(Input).value = "~\0"
        await pilot.press("enter")
        await until_seen(pilot, "There is no such folder.")
        app.screen.query_one(Input).value = str(theirs)
        await pilot.press("enter")
        await until_seen(pilot, "hers", "1 run ·")

    drive(app, steps)


def test_the_demo_is_started_after_a_question_and_its_runs_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = first_start(tmp_path)
    started: list[Path] = []

    class Going:
        is_over = False

        def trouble(self) -> str | None:
            return "The demo ended: no room" if self.is_over else None

    going = Going()

    def start(out: Path) -> Going:
        started.append(out)
        return going

    monkeypatch.setattr("geospot.tui.demo.start_demo", start)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "There are no runs yet")
        await pilot.press("enter")  # the first thing is the demo
        await until_seen(pilot, "Start the demo?")
        await pilot.press("enter")  # the safe answer
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list")
        assert started == []
        await pilot.press("D", "y")
        await until(pilot, lambda: started == [tmp_path / "results" / "demo"], "the demo")
        await until_seen(pilot, "The demo is asking the untrained model first")
        write_run(tmp_path / "results" / "demo" / "runs" / "sft", "sft")
        await until_seen(pilot, "▶ running", "sft")
        going.is_over = True
        await until_seen(pilot, "The demo ended: no room")

    drive(app, steps)


@pytest.fixture
def stoppable(tmp_path: Path) -> "Callable[[], Path]":
    """A run in a process of its own, which can be stopped."""

    def start() -> Path:
        folder = tmp_path / "runs" / "going"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.stoppable_child", str(folder)],
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"running\n"
            child.returncode = 0  # it goes on without us
        return folder

    return start


def test_a_run_is_stopped_after_a_question(tmp_path: Path, stoppable: Callable[[], Path]) -> None:
    folder = stoppable()
    app = app_on(folder.parent)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "▶ running", "going")
        await pilot.press("s")
        await until_seen(pilot, "Stop going?", "saves a checkpoint")
        await pilot.press("escape", "s", "enter")  # both answers are no
        await pilot.pause(0.3)
        assert read_heartbeat(folder).state == "running"  # pyright: ignore[reportOptionalMemberAccess]
        await pilot.press("s", "y")
        await until_seen(pilot, "■ stopped")
        for key in ("s", "S"):  # it says so before anybody is asked
            await pilot.press(key)
            await until_seen(pilot, "going is over: stopped. There is nothing to stop.")
            assert "Stop going" not in seen(pilot.app.screen)
            pilot.app.clear_notifications()

    drive(app, steps)


def test_a_run_is_ended_at_once_after_a_question(
    tmp_path: Path, stoppable: Callable[[], Path]
) -> None:
    folder = stoppable()
    app = app_on(folder.parent)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "▶ running", "going")
        await pilot.press("S")
        await until_seen(pilot, "Stop going at once?", "are lost")
        await pilot.press("y")
        await until_seen(pilot, "† died")

    drive(app, steps)


def test_a_run_is_set_aside_but_not_while_it_is_running(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        write_run(runs / "going")
        await until_seen(pilot, "going")
        await pilot.press("home", "d", "y")
        await until_seen(pilot, "going is running; it can't be set aside")
        assert (runs / "going").is_dir()
        await pilot.press("end", "d", "n")
        await pilot.pause(0.3)
        assert (runs / "sft").is_dir()
        await pilot.press("d", "y")
        await until(pilot, lambda: len(app.listing.runs) == 4, "one less")
        assert not (runs / "sft").exists()
        assert list(runs.glob("sft.aside-*"))

    drive(app, steps)


def test_a_run_that_is_over_goes_on_or_it_is_said_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)
    resumed: list[Path] = []

    class Going:
        pid = 77
        kind = "rl"

        def trouble(self) -> str:
            return "no service answers"

    def resume(run: Path) -> Going:
        resumed.append(run)
        return Going()

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("end", "R")
        await until_seen(pilot, "has finished; there is", "Branch off one of its")
        monkeypatch.setattr("geospot.runs.control.resume", resume)
        await pilot.press("up", "R")
        await until_seen(pilot, "rl goes on as process 77.", "geospot rl ended at once: no")
        assert resumed == [runs / "rl"]

    drive(app, steps)


@pytest.mark.parametrize("key", ["b", "e"])
def test_a_branch_and_an_evaluation_open_the_form_for_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    runs = tmp_path / "runs"
    run = write_run(runs / "rl", steps=2)
    from tests.support.run_child import checkpoint

    run.add_checkpoint(checkpoint(7))
    run.close("finished", "")
    app = app_on(runs)
    opened: list[tuple[str, dict[str, Any]]] = []

    def note(kind: str, settings: dict[str, Any]) -> None:
        opened.append((kind, settings))

    monkeypatch.setattr(app, "open_launch", note)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app, 1)
        await pilot.press(key)
        await until_seen(pilot, "which checkpoint?", "000007", "000002")
        await pilot.press("escape", key)
        await until_seen(pilot, "which checkpoint?")
        await pilot.press("down", "enter")
        await until(pilot, lambda: bool(opened), "the form")
        ((kind, settings),) = opened
        if key == "b":
            assert kind == "rl"
            assert settings["load_checkpoint_path"] == f"{runs / 'rl'}@000002"
            assert settings["log_path"] == runs / "rl-branch-1"
        else:
            assert kind == "eval"
            assert settings["model"] == f"{runs / 'rl'}@000002"

    drive(app, steps)


def test_the_path_is_copied(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("down", "y")
        assert app.clipboard == str(runs / "died")

    drive(app, steps)


def test_two_thousand_runs_fill_in_while_the_keys_answer(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_run(runs / "r0000").close("finished", "")
    for number in range(1, 2000):
        folder = runs / f"r{number:04d}"
        folder.mkdir()
        for file in ("config.json", "metrics.jsonl", "heartbeat.json"):
            os.link(runs / "r0000" / file, folder / file)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        with watchdog(runs) as found:
            await until(
                pilot, lambda: bool(rows(app)) and "finished" in rows(app)[-1], "a screenful"
            )
            assert not app.listing.is_complete  # what is seen came first
            await pilot.press("end")
            await until(pilot, lambda: "finished" in on_cursor(app), "the last one")
            await until(pilot, lambda: app.listing.is_complete, "all")
            await until_seen(pilot, "2,000 runs · 0 running")
        assert found.longest_s > 0
        assert isinstance(app.screen, RunsScreen)
        assert not app.screen.query_one(Welcome).display

    drive(app, steps)


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    """Keys of the list do nothing while a question stands over it."""
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("d", "d", "s", "q", "1", "slash")
        assert isinstance(app.screen, Confirm)
        assert len(app.screen_stack) == 3
        assert app.is_running

    drive(app, steps)
