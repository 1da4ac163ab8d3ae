"""The list of runs: what it shows, how it follows the folders, and where its keys lead."""

import itertools
import os
import shutil
import threading
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.runs.catalogue import Catalogue, RunSummary
from geospot.tui.screens.runs import RunsScreen
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.welcome import Welcome
from tests.support.runs_screens import app_on, folder_of_runs, names, on_cursor, rows, until_read
from tests.support.screens import drive, resized, seen, until, until_seen
from tests.support.watchdog import watchdog
from tests.support.written_runs import write_run

SIZES = [(80, 24), (120, 40), (200, 60)]


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
        assert " · 303 tokens" in screen
        assert "Tokens" not in screen
        assert str(runs / "rl")[-20:] in screen
        await resized(pilot, 80, 24)
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


def test_the_path_is_copied(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("down", "y")
        assert app.clipboard == str(runs / "died")

    drive(app, steps)


def test_two_thousand_runs_fill_in_while_the_keys_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    write_run(runs / "r0000").close("finished", "")
    for number in range(1, 2000):
        folder = runs / f"r{number:04d}"
        folder.mkdir()
        for file in ("config.json", "metrics.jsonl", "heartbeat.json"):
            os.link(runs / "r0000" / file, folder / file)
    app = app_on(runs)
    read, has_seen, summary = itertools.count(), threading.Event(), Catalogue.summary

    def unhurried(catalogue: Catalogue, run: Path) -> RunSummary:
        if next(read) > 200:
            has_seen.wait(0.05)
        return summary(catalogue, run)

    monkeypatch.setattr(Catalogue, "summary", unhurried)

    async def steps(pilot: Pilot[None]) -> None:
        with watchdog(runs) as found:
            await until(
                pilot, lambda: bool(rows(app)) and "finished" in rows(app)[-1], "a screenful"
            )
            assert not app.listing.is_complete  # what is seen came first
            has_seen.set()
            await pilot.press("end")
            await until(pilot, lambda: "finished" in on_cursor(app), "the last one")
            await until(pilot, lambda: app.listing.is_complete, "all")
            await until_seen(pilot, "2,000 runs · 0 running")
        assert found.longest_s > 0
        assert isinstance(app.screen, RunsScreen)
        assert not app.screen.query_one(Welcome).display

    drive(app, steps)
