"""The run screen: live runs, every view, every key, hostile and broken directories, at several sizes."""

import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from geospot.runs import control
from geospot.runs.directory import RunDirectory
from geospot.runs.heartbeat import HEARTBEAT
from geospot.tui.app import GeospotApp
from geospot.tui.screens.run import VIEWS, RunScreen
from geospot.tui.screens.run_config import ConfigView, defaults_of, settings_of
from geospot.tui.screens.run_histograms import Histograms
from geospot.tui.screens.run_overview import Overview
from geospot.tui.screens.run_picker import Picker
from geospot.tui.widgets.chart import Chart
from geospot.tui.widgets.confirm import Confirm
from geospot.tui.widgets.heatmap import GUTTER, HEAD
from geospot.tui.widgets.logpane import LogPane, read_line
from geospot.tui.widgets.ridgeline import Ridgeline
from tests.support.rollouts import HOSTILE_TEXT, step_rollouts
from tests.support.run_child import checkpoint
from tests.support.screens import drive, seen, until, until_seen
from tests.support.written_runs import foreign_run, full_config, write_beat, write_run

RECORDINGS = Path(__file__).parents[1] / "recordings"
SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)
SIZES = [SMALL, MIDDLE, LARGE]


def rl_row(step: int) -> dict[str, Any]:
    return {
        "env/all/reward/total": 0.3 + 0.01 * step,
        "geo/geoscore": 1000.0 + step,
        "geo/median_km": 2000.0 - 10 * step,
        "geo/answered": 0.75,
        "optim/entropy": 0.9,
        "optim/kl_sample_train_v2": 1e-6,
        "optim/lr": 1e-4,
        "time/total": 2.0,
        "reward/tau_km": 2000.0,
        "env/all/acc_25km": 0.05,
        "tokens/sample": 1000 * (step + 1),
        "cost/usd": 0.125 * (step + 1),
    }


def do_step(run: RunDirectory, step: int, *, rollouts: bool = True) -> None:
    """What a step of GRPO leaves."""
    run.metrics(step, rl_row(step))
    reward = np.array([0.0, 0.25, 0.5, -0.1])
    km = np.array([10.0, 600.0, 3000.0, 20015.087])
    run.histogram(step, reward, km, {"frac_mixed": 0.5, "frac_all_bad": 0.5, "frac_all_good": 0.0})
    if rollouts:
        run.rollouts(step, step_rollouts(step))
    run.beat("sampling", step + 1)


@contextmanager
def going(folder: Path, steps: int = 6, total: int = 10, **said: Any) -> Generator[RunDirectory]:
    """A run of GRPO that is going on, in this process."""
    config = full_config("rl", folder, **said)
    run = RunDirectory.open(folder, config, kind="rl", if_exists="raise", ask=None)
    run.start(0, total)
    for step in range(steps):
        do_step(run, step)
    try:
        yield run
    finally:
        run.close("finished")


def evaluated(folder: Path, step: int, **figures: Any) -> Path:
    """The directory of an evaluation on the way; without figures it is under way."""
    result = folder / "evals" / f"step-{step:06d}"
    result.mkdir(parents=True)
    if figures:
        (result / "summary.json").write_text(json.dumps(figures))
    return result


def calls_of(monkeypatch: pytest.MonkeyPatch, target: object, *names: str) -> list[tuple[Any, ...]]:
    """Functions that only note from now on that they were called, and with what."""
    calls: list[tuple[Any, ...]] = []

    def noting(name: str) -> Callable[..., None]:
        def note(*given: Any) -> None:
            calls.append((name, *(one for one in given if not isinstance(one, GeospotApp))))

        return note

    for name in names:
        monkeypatch.setattr(target, name, noting(name))
    return calls


def shown(
    folder: Path,
    steps: Callable[[Pilot[None], RunScreen], Awaitable[None]],
    size: tuple[int, int] = MIDDLE,
) -> None:
    """Opens the run's screen, waits until its files are read, and does the steps."""

    async def begin(pilot: Pilot[None]) -> None:
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: "reading the run …" not in seen(screen), "The first look")
        await steps(pilot, screen)

    drive(GeospotApp((folder.parent,), first=lambda app: app.open_run(folder)), begin, size)


def chart_of(screen: RunScreen, title: str) -> Chart:
    return next(
        chart
        for chart in screen.query(Chart)
        if chart.render_line(0).text.strip().startswith(title)
    )


# State


@pytest.mark.parametrize("size", SIZES)
def test_the_top_says_how_a_running_run_stands(tmp_path: Path, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        text = await until_seen(pilot, "▶ running", "step 6 of 10", "60%")
        assert "reward 0.35" in text
        assert "median 1,950 km" in text
        if size != SMALL:
            assert "about 8s left" in text
            assert "6,000 tokens" in text
            assert "$0.75" in text
            assert "sampling" in text
            assert "answered 75.0%" in text
        await until(
            pilot,
            lambda: any("0.35" in chart.render_line(0).text for chart in screen.query(Chart)),
            "a chart with its newest value",
        )

    with going(tmp_path / "run") as _:
        shown(tmp_path / "run", steps, size)


def test_a_step_that_is_done_appears(tmp_path: Path) -> None:
    with going(tmp_path / "run") as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "step 6 of 10", "reward 0.35")
            do_step(run, 6)
            await until_seen(pilot, "step 7 of 10", "reward 0.36")
            assert "0.36" in chart_of(screen, "Reward").render_line(0).text

        shown(tmp_path / "run", steps)


@pytest.mark.parametrize("size", [SMALL, MIDDLE])
@pytest.mark.parametrize(
    ("beat", "said"),
    [
        ({"pid": 2**22 + 1, "birth": ""}, ["died", "its process 4194305 is gone"]),
        ({"ago": 300.0}, ["silent", "no sign of life for 5m0"]),
        ({"state": "failed", "reason": "the disk is full"}, ["failed", "the disk is full"]),
        ({"state": "stopped", "reason": "asked to"}, ["stopped", "asked to"]),
        ({"state": "finished"}, ["finished"]),
        ({"host": "elsewhere"}, ["running", "on elsewhere, read only"]),
        ({"stopping": True}, ["running", "stopping, as asked"]),
        ({"phase": "waiting for the service"}, ["running", "waiting for the service"]),
        ({"ago": -9000.0}, ["running"]),
    ],
    ids=[
        "died",
        "silent",
        "failed",
        "stopped",
        "finished",
        "elsewhere",
        "stopping",
        "waiting",
        "future",
    ],
)
def test_the_state_is_what_the_heartbeat_says(
    tmp_path: Path, beat: dict[str, Any], said: list[str], size: tuple[int, int]
) -> None:
    folder = tmp_path / "run"
    write_run(folder).close("finished")
    changed = dict(beat)
    then = time.time() - changed.pop("ago", 0.0)
    write_beat(folder, **({"time": then, "started": then - 60} | changed))

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.pause()
        head = "\n".join(seen(screen).split("\n")[1:2])
        for word in said if size != SMALL else said[:1]:
            assert word in head
        others = {"running", "silent", "died", "failed", "stopped", "finished"} - {said[0]}
        assert not any(f" {other} " in head for other in others)

    shown(folder, steps, size)


def test_a_run_that_falls_silent_is_not_called_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot.runs.heartbeat.STALE_S", 6.0)
    folder = tmp_path / "run"
    write_run(folder).close("finished")
    write_beat(folder)

    async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
        await until_seen(pilot, "running")
        await until_seen(pilot, "silent", "no sign of life for", "since")

    shown(folder, steps)


@pytest.mark.parametrize(
    ("age_s", "said"),
    [
        (0, ["running", "no heartbeat, but it wrote"]),
        (3600, ["unknown", "nothing written for 1h00m"]),
    ],
)
def test_a_foreign_run_has_its_curves_and_what_its_files_tell(
    tmp_path: Path, age_s: int, said: list[str]
) -> None:
    folder = foreign_run(tmp_path / "cookbook", steps=5)
    for path in folder.iterdir():
        then_s = time.time() - age_s
        os.utime(path, (then_s, then_s))

    async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
        text = await until_seen(pilot, *said, "Reward", "step 5 of 10")
        assert "Qwen/Qwen3-VL" in text
        await pilot.press("c")
        await until_seen(pilot, "model.model_name")

    shown(folder, steps)


def test_a_folder_that_goes_away_is_said_and_what_was_known_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder) as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            shutil.move(folder, tmp_path / "elsewhere")
            text = await until_seen(pilot, "gone", "this is what was known of it")
            assert "reward 0.35" in text
            assert "0.35" in chart_of(screen, "Reward").render_line(0).text
            for _, _, key in VIEWS:
                await pilot.press(key)
            await pilot.press("o", "r")
            shutil.move(tmp_path / "elsewhere", folder)
            await pilot.press("escape")
            await until(pilot, lambda: "what was known" not in seen(screen))

        shown(folder, steps)
        assert run.path == folder


@pytest.mark.parametrize("size", SIZES)
def test_a_run_without_rows_says_what_is_to_come(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = tmp_path / "run"
    with going(folder, steps=0):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(
                pilot, "No figures yet", "no figures yet", "waiting for its first step"
            )
            await pilot.press("h")
            assert "No histograms yet" in seen(screen)
            await pilot.press("enter", "t", "left")
            await pilot.press("p")
            assert "None yet." in seen(screen)
            await pilot.press("l")
            assert "from step 0 to 10" in seen(screen)
            await pilot.press("slash")

        shown(folder, steps, size)


def test_an_empty_folder_and_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        for _, _, key in VIEWS:
            await pilot.press(key)
            await pilot.pause()
        assert "There is no config.json" in seen(screen) or "None yet" in seen(screen)
        await pilot.press("s", "R", "escape")

    shown(tmp_path / "empty", steps)
    shown(tmp_path / "never", steps)


def test_one_step_is_a_curve_and_a_histogram(tmp_path: Path) -> None:
    with going(tmp_path / "run", steps=1):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.3")
            await pilot.press("left", "plus", "a")
            await pilot.press("h")
            assert "█ step 0" in seen(screen)
            assert "┃ step" not in seen(screen)

        shown(tmp_path / "run", steps)


# Overview


@pytest.mark.parametrize(("size", "columns"), [(SMALL, 2), (MIDDLE, 3), (LARGE, 4)])
def test_charts_fill_the_screen_and_none_is_cut(
    tmp_path: Path, size: tuple[int, int], columns: int
) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            overview = screen.query_one(Overview)
            await until(pilot, lambda: overview.grid[0] == columns)
            inside = overview.content_region
            for chart in overview.charts:
                region = chart.region
                whole = inside.contains_region(region)
                assert whole or not inside.overlaps(region)
                assert region.width >= 34
            seen_now = [c for c in overview.charts if inside.contains_region(c.region)]
            assert len(seen_now) >= min(2 * columns, len(overview.charts))

        shown(tmp_path / "run", steps, size)


def test_keys_go_to_the_first_chart_and_over_the_grid(tmp_path: Path) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None)
            charts = overview.charts
            assert screen.focused is charts[0]
            await pilot.press("tab")
            assert screen.focused is charts[1]
            await pilot.press("down")
            assert screen.focused is charts[1 + overview.grid[0]]
            await pilot.press("up", "shift+tab")
            assert screen.focused is charts[0]

        shown(tmp_path / "run", steps)


def test_all_charts_have_the_same_cursor_zoom_and_smoothing(tmp_path: Path) -> None:
    with going(tmp_path / "run", steps=30, total=30):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None and len(overview.charts) > 5)
            await pilot.press("left", "left", "plus", "a")
            first = overview.charts[0]
            assert (first.cursor, first.smoothing) == (28, 0.6)
            await until(
                pilot,
                lambda: all(
                    (c.cursor, c.window, c.smoothing) == (28, first.window, 0.6)
                    for c in overview.charts
                ),
            )
            assert "step 28" in chart_of(screen, "Median").render_line(0).text
            assert not overview.charts[1].log_y
            assert chart_of(screen, "Median").log_y

        shown(tmp_path / "run", steps)


@pytest.mark.parametrize("size", SIZES)
def test_one_chart_gets_all_the_room_and_gives_it_back(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None)
            await pilot.press("enter")
            await pilot.pause()
            first = overview.charts[0]
            assert overview.is_large
            assert first.size.height == overview.size.height
            assert first.size.width >= size[0] - 4
            assert not overview.charts[1].display or overview.charts[1].size.height == 0
            await pilot.press("down")
            await pilot.pause()
            assert screen.focused is overview.charts[1]
            assert overview.charts[1].size.height == overview.size.height
            await pilot.press("escape")
            await pilot.pause()
            assert pilot.app.screen is screen
            assert not overview.is_large
            assert first.size.height < overview.size.height
            await pilot.press("escape")
            await pilot.pause()
            assert pilot.app.screen is not screen

        shown(tmp_path / "run", steps, size)


def test_any_figure_is_found_by_parts_of_its_name(tmp_path: Path) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None)
            await pilot.press("slash")
            await pilot.pause()
            assert isinstance(pilot.app.screen, Picker)
            pilot.app.screen.query_one(Input).value = "25KM acc"
            await until(pilot, lambda: "optim/lr" not in seen(pilot.app.screen))
            assert "env/all/acc_25km" in seen(pilot.app.screen)
            await pilot.press("enter")
            await until(pilot, lambda: overview.is_large)
            await until_seen(pilot, "env/all/acc_25km")
            assert overview.added == ["env/all/acc_25km"]
            await pilot.press("escape")
            assert "env/all/acc_25km" in [
                c.render_line(0).text.strip().split("  ")[0] for c in overview.charts
            ]
            await pilot.press("slash", "escape")
            assert pilot.app.screen is screen
            overview.charts[-1].focus()
            await pilot.press("x")
            assert overview.added == []
            # One that is shown already isn't shown twice.
            await pilot.press("slash", *"entropy", "enter")
            await until(pilot, lambda: overview.is_large)
            assert overview.added == []
            assert chart_of(screen, "Entropy").has_focus

        shown(tmp_path / "run", steps)


def test_figures_that_are_no_numbers_are_counted_and_keys_may_be_anything(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder, steps=0) as run:
        for step in range(8):
            row = rl_row(step) | {
                "evil\x1b[31m[/b]\u202e": 1.0,
                "geo/geoscore": 1e300 if step == 3 else 5,
            }
            run.metrics(step, row | ({"geo/median_km": None} if step == 4 else {}))
        with (folder / "metrics.jsonl").open("ab") as file:
            file.write(b'not json\n{"step": 9, "env/all/reward/total": NaN}\n{"step": 7, "geo/')

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.37")
            await until(
                pilot, lambda: "1 not finite" in chart_of(screen, "GeoScore").render_line(0).text
            )
            await pilot.press("slash", *"evil")
            text = await until_seen(pilot, "evil\\x1b[31m[/b]\\u202e")
            assert "\x1b" not in text
            await pilot.press("enter")
            await until_seen(pilot, "evil\\x1b[31m[/b]\\u202e")

        shown(folder, steps)


# Histograms


@pytest.mark.parametrize("size", SIZES)
def test_a_cell_of_the_heat_map_opens_exactly_its_rollouts(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            await pilot.press("h")
            view = screen.query_one(Histograms)
            assert view.heat_map.has_focus
            await pilot.press(*["down"] * 60)
            await until_seen(pilot, "step 5 · failures · 1 of 4 (25.0%)", "⏎ opens step 5")
            await pilot.press("enter")
            await pilot.press("left", "enter", "t", *["down"] * 60, "enter")
            assert view.quantity == "distance_km"
            await pilot.press("r")
            assert "distance in km" in seen(screen)

        shown(folder, steps, size)
    assert opened == [
        ("open_rollouts", folder, 5, "reward<0"),
        ("open_rollouts", folder, 4, "reward<0"),
        ("open_rollouts", folder, 4, "km>20015"),
        ("open_rollouts", folder, 4),
    ]


def test_of_several_steps_the_newest_on_record_is_opened_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder, steps=0) as run:
        for step in range(400):
            do_step(run, step, rollouts=step % 7 == 0)

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "step 400 of 10")
            await pilot.press("h", *["down"] * 60, "home")
            view = screen.query_one(Histograms)
            stride = view.heat_map.binned.stride
            assert stride > 2
            await pilot.press("right", "right", "enter")
            low, high = 2 * stride, 3 * stride - 1
            newest = max(step for step in range(low, high + 1) if step % 7 == 0)
            assert [call[2] for call in opened] == [newest]
            await until_seen(pilot, f"step {newest}, the newest of {stride} steps")

        shown(folder, steps)


def test_steps_without_rollouts_on_record_open_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder, steps=0) as run:
        do_step(run, 0, rollouts=False)

        async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.3")
            await pilot.press("h", *["down"] * 60, "enter")
            await until_seen(pilot, "No rollouts of it are on record.")
            await pilot.press("up", "up", "up", "enter")
            assert opened == []

        shown(folder, steps)


def test_a_click_on_a_cell_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            await pilot.press("h")
            heat_map = screen.query_one(Histograms).heat_map
            failed = HEAD + len(heat_map.binned.rows) - 1
            await pilot.click(heat_map, offset=(GUTTER, failed))

        shown(tmp_path / "run", steps)
    assert [call[2:] for call in opened] == [(0, "reward<0")]


@pytest.mark.parametrize("size", SIZES)
def test_ridges_stand_one_behind_another_and_open_their_steps(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder, steps=4) as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.33")
            await pilot.press("h", "g")
            ridges = screen.query_one(Ridgeline)
            assert ridges.has_focus
            text = await until_seen(pilot, "the newest in front", "█ step 3")
            lines = [line[:10].strip() for line in text.split("\n")]
            feet = [lines.index(label) for label in ("0", "1", "2", "3◆")]
            assert feet == sorted(feet)
            assert sum("\u2801" <= c <= "\u28ff" for c in seen(ridges)) > 40
            await pilot.press("up", "enter")
            await until_seen(pilot, "█ step 2", "⏎ opens step 2")
            await pilot.press("home", "enter", "r")
            do_step(run, 4)
            await until_seen(pilot, "step 5 of 10")
            assert "█ step 0" in seen(screen)
            await pilot.press("end")
            await until_seen(pilot, "█ step 4")
            await pilot.press("t")
            await until_seen(pilot, "distance in km", "<20,015" if size != SMALL else "failed")
            await pilot.press("g")
            assert screen.query_one(Histograms).heat_map.has_focus

        shown(folder, steps, size)
    assert opened == [
        ("open_rollouts", folder, 2, ""),
        ("open_rollouts", folder, 0, ""),
        ("open_rollouts", folder, 0),
    ]


@pytest.mark.parametrize("size", SIZES)
def test_a_recorded_run_of_tinker_cookbook_has_its_histograms(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = RECORDINGS / "cookbook" / "rl"

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await until_seen(pilot, "no heartbeat", "reward 0")
        await pilot.press("h")
        view = screen.query_one(Histograms)
        await until(pilot, lambda: len(view.heat_map.spreads) > 0)
        rows = len(view.heat_map.binned.rows)
        for _ in range(rows):
            await pilot.press("up")
        for _ in range(rows):
            await pilot.press("enter", "down")
        assert opened
        assert {call[2] for call in opened} == {view.heat_map.step}

    shown(folder, steps, size)


def test_supervised_runs_say_why_there_are_no_histograms(tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    write_run(folder, "sft", steps=5).close("finished")

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await until_seen(pilot, "NLL 5", "✓ finished", "nats a token")
        await pilot.press("h")
        text = await until_seen(pilot, "there are no rewards to be spread")
        assert "(o)" in text
        await pilot.press("t", "enter", "f")

    shown(folder, steps)


# Log, configuration, checkpoints


@pytest.mark.parametrize("size", SIZES)
def test_the_log_follows_its_end_unless_one_has_scrolled(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run") as run:
        for number in range(200):
            run.log(f"line {number}")

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("l")
            await until_seen(pilot, "line 199")
            run.log("one more")
            await until_seen(pilot, "one more")
            await pilot.press("home")
            await until_seen(pilot, "line 0")
            run.log("and another")
            pane = screen.query_one(LogPane)
            await until(pilot, lambda: pane.lines[-1].text == "and another")
            await pilot.pause()
            assert "line 0" in seen(screen)
            assert "and another" not in seen(screen)
            await pilot.press("end")
            await until_seen(pilot, "and another")
            run.log("the last")
            await until_seen(pilot, "the last")

        shown(tmp_path / "run", steps, size)


def test_warnings_stand_out_and_hostile_lines_are_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder) as run:
        run.log("the sampler is far away", level="WARNING")
        run.log("[bold red]no markup[/] " + HOSTILE_TEXT, level="ERROR")
        with (folder / "logs.log").open("ab") as file:
            file.write(
                b"\xff\xfe broken \x1b]0;title\x07 bytes\n" + "long 東京 ".encode() * 400 + b"\n"
            )

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("l")
            text = await until_seen(
                pilot, "ERROR", "[bold red]no markup[/]", "long 東京", "more characters"
            )
            assert "\x1b" not in text
            pane = screen.query_one(LogPane)
            await pilot.press("slash", *"level:warning", "enter")
            await until_seen(pilot, "WARNING")
            assert [line.text for line in pane.lines] == ["the sampler is far away"]
            await until_seen(pilot, "1 of ")
            await pilot.press("slash", "escape", *"nosuchword", "enter")
            await until_seen(pilot, "No line passes the filter.")

        shown(folder, steps)


def test_lines_of_other_programs_are_read() -> None:
    ours = read_line("2026-11-30T01:27:40Z WARNING careful")
    assert (ours.when, ours.level, ours.text) == ("2026-11-30 01:27:40", "warning", "careful")
    assert read_line("tinker_cookbook.train:120 [INFO] fine").level == "info"
    assert read_line("x:12 [WARNING] hm").level == "warning"
    assert read_line("ValueError: no").level == "error"
    assert read_line("Traceback (most recent call last):").level == "error"


@pytest.mark.parametrize("size", SIZES)
def test_settings_that_are_not_the_default_are_marked(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run", group_size=16, learning_rate=0.5):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("c")
            await until_seen(pilot, "Setting", "service")
            view = screen.query_one(ConfigView)
            await pilot.press("slash", *"group_size", "enter")
            text = await until_seen(pilot, "group_size", "≠ 4")
            assert "service" not in text.split("Setting")[1].split("settings")[0]
            await pilot.press("y")
            assert pilot.app.clipboard == "group_size=16"
            await pilot.press("slash", "escape", *"changed:yes", "enter")
            await until(pilot, lambda: "batch_size" not in seen(view))
            assert "hf_repo" in seen(view)
            assert "of them" not in seen(view)

        shown(tmp_path / "run", steps, size)


def test_hostile_configurations_are_shown_safely() -> None:
    config = {
        "a\x1b[2J": "x\u202ey",
        "deep": {"er": {"list": [1, {"k": "v"}]}},
        "group_size": 16,
        "long": "z" * 100_000,
        "learning_rate": 3.0,
        "nothing": None,
    }
    rows = {one.key: one for one in settings_of(config, defaults_of("rl"))}
    assert rows["a\\x1b[2J"].value == "x\\u202ey"
    assert rows["deep.er.list"].value == '[1, {"k": "v"}]'
    assert rows["group_size"].default == "≠ 4"
    assert rows["group_size"].is_other
    assert not rows["learning_rate"].is_other
    assert rows["learning_rate"].default == "open until settled"
    assert len(rows["long"].value) <= 2000
    assert rows["nothing"].value == "none"
    assert defaults_of("other") == {}


@pytest.mark.parametrize("size", SIZES)
def test_checkpoints_and_evaluations_are_listed_and_opened(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = calls_of(monkeypatch, GeospotApp, "open_result")
    folder = tmp_path / "run"
    with going(folder) as run:
        run.add_checkpoint(checkpoint(4))
        figures = {"all": {"geoscore": 2345.6, "median_km": 987.6}, "coverage": 0.95}
        old = evaluated(folder, 0, n=200, complete=True, **figures)
        evaluated(folder, 5)

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("p")
            text = await until_seen(pilot, "2,346", "under way", "95.0%")
            assert "000004" in text
            await pilot.press("tab", "down", "enter")
            await pilot.pause()
            assert results == [("open_result", old)]
            (folder / "evals" / "step-000005" / "summary.json").write_text("{broken")
            do_step(run, 6)
            await until_seen(pilot, "step 7 of 10")
            await pilot.press("shift+tab", "enter")
            await until_seen(pilot, "Checkpoint 000004", "Evaluate it", "Branch: a new run")
            await pilot.press("escape")
            assert pilot.app.screen is screen

        shown(folder, steps, size)


def test_a_checkpoint_is_branched_and_evaluated_from_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = calls_of(monkeypatch, GeospotApp, "open_launch")
    folder = tmp_path / "run"
    with going(folder) as run:
        run.add_checkpoint(checkpoint(4))

        async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
            await pilot.press("p")
            await until_seen(pilot, "000004")
            await pilot.press("enter")
            await until_seen(pilot, "Evaluate it")
            await pilot.press("enter")
            await until(pilot, lambda: len(launched) == 1)
            await pilot.press("enter")
            await until_seen(pilot, "Branch: a new run")
            await pilot.press("down", "enter")
            await until(pilot, lambda: len(launched) == 2)

        shown(folder, steps)
    assert launched[0][1] == "eval"
    assert launched[0][2]["model"].endswith("run@000004")
    assert launched[1][1] == "rl"
    assert launched[1][2]["load_checkpoint_path"].endswith("run@000004")


# Keys of the screen


@pytest.mark.parametrize("size", SIZES)
def test_every_view_has_a_key_and_a_name_to_click(tmp_path: Path, size: tuple[int, int]) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            for name, title, key in VIEWS:
                await pilot.press(key)
                assert screen.view == name
                assert title in seen(screen)
                if name != "saved":  # of which there is nothing yet
                    assert screen.focused is not None
                    assert screen.focused.region.overlaps(screen.region)
            names = seen(screen).split("\n")[3]
            for name, title, _ in VIEWS:
                await pilot.click(offset=(names.index(title) + 1, 3))
                assert screen.view == name
            await pilot.press("full_stop")
            assert screen.view == "overview"
            await pilot.press("comma")
            assert screen.view == "saved"

        shown(tmp_path / "run", steps, size)


def test_rollouts_and_map_open_at_the_cursors_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts", "open_run_map")
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until(pilot, lambda: screen.focused is not None)
            await pilot.press("r", "m", "home", "right", "r", "m")

        shown(folder, steps)
    assert opened == [
        ("open_rollouts", folder, None),
        ("open_run_map", folder, None),
        ("open_rollouts", folder, 1),
        ("open_run_map", folder, (1, 1)),
    ]


def test_stopping_asks_first_and_no_is_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = calls_of(monkeypatch, control, "stop", "stop_now")
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            await pilot.press("s")
            await until_seen(pilot, "Stop run?", "saves a checkpoint")
            await pilot.press("n")
            assert pilot.app.screen is screen
            assert stopped == []
            await pilot.press("s", "y")
            await until(pilot, lambda: len(stopped) == 1)
            await pilot.press("S")
            assert isinstance(pilot.app.screen, Confirm)
            await until_seen(pilot, "Stop run at once?", "Stop now (y)")
            await pilot.press("y")
            await until(pilot, lambda: len(stopped) == 2)

        shown(folder, steps)
    assert stopped == [("stop", folder), ("stop_now", folder)]


def test_what_can_not_be_done_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder).close("finished")

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        def toasts() -> str:
            return " ".join(" ".join(seen(toast).split()) for toast in screen.query("Toast"))

        await pilot.press("R")  # not offered any more, and yet it says why not
        await until(pilot, lambda: "has finished; there is nothing to go on with" in toasts())

    shown(folder, steps)


def foot(screen: RunScreen) -> str:
    return seen(screen).split("\n")[-1]


@pytest.mark.parametrize("size", [SMALL, MIDDLE])
def test_the_foot_offers_first_what_can_be_done_with_the_run_now(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run") as run:

        async def live(pilot: Pilot[None], screen: RunScreen) -> None:
            await until(pilot, lambda: isinstance(screen.focused, Chart))
            await until(pilot, lambda: "s Stop  r Rollouts  e Evaluate" in foot(screen))
            assert "Resume" not in foot(screen)
            run.close("stopped", "as asked")
            await until(pilot, lambda: "r Rollouts  R Resume  e Evaluate" in foot(screen))
            assert "Stop" not in foot(screen)
            await pilot.press("question_mark")
            await until_seen(pilot, "This screen", "Resume")
            assert "Stop now" not in seen(pilot.app.screen)

        shown(tmp_path / "run", live, size)


def test_the_foot_of_a_supervised_run_that_has_finished_has_no_rollouts(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "sft").close("finished", "")

    async def over(pilot: Pilot[None], screen: RunScreen) -> None:
        await until(pilot, lambda: "e Evaluate" in foot(screen), "the keys")
        for word in ("Rollouts", "Map", "Resume", "Stop"):
            assert word not in foot(screen)

    shown(tmp_path / "run", over)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("steps_done", [0, 2])
def test_the_whole_reason_of_a_failed_run_is_shown(
    tmp_path: Path, size: tuple[int, int], steps_done: int
) -> None:
    reason = "The data set nowhere can't be read: " + "as it isn't there, " * 12 + "sadly."
    run = write_run(tmp_path / "run", "rl", steps=steps_done)
    run.close("failed", reason)

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await until_seen(pilot, "✗ failed · why stands below", reason)
        if not steps_done:
            await until_seen(pilot, "It ended before its first step", "l shows its log")
        assert "No figures yet" not in seen(screen)

    shown(tmp_path / "run", steps, size)


def test_a_run_that_went_on_says_so_and_knows_its_steps_while_it_starts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder, steps=5) as run:
        for step in (5, 6):
            run.metrics(step, rl_row(step) | {"progress/done_frac": (step + 1) / 10})
    write_beat(folder, state="running", step=7, total=0, started=time.time() - 9, time=time.time())

    async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
        await until_seen(pilot, "step 7 of 10", "since resumed")

    shown(folder, steps)


@pytest.mark.parametrize("size", SIZES)
def test_it_resizes_while_it_is_live(tmp_path: Path, size: tuple[int, int]) -> None:
    with going(tmp_path / "run") as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            step = 6
            for _, _, key in VIEWS:
                await pilot.press(key)
                for other in (*SIZES, (250, 70), (60, 10), size):
                    await pilot.resize_terminal(*other)
                    do_step(run, step)
                    step += 1
                    await pilot.pause()
            await until_seen(pilot, f"step {step} of 10")
            assert all(len(line) <= size[0] for line in seen(screen).split("\n"))

        shown(tmp_path / "run", steps, size)


def test_metrics_that_begin_again_are_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            other = folder / "metrics.new"
            other.write_text(
                json.dumps({"step": 0} | rl_row(0) | {"env/all/reward/total": 0.77}) + "\n"
            )
            os.replace(other, folder / "metrics.jsonl")  # noqa: PTH105 — as a run that goes on does
            await until_seen(pilot, "reward 0.77")

        shown(folder, steps)


def test_a_heartbeat_that_can_not_be_read_claims_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder).close("finished")
    (folder / HEARTBEAT).write_text('{"state": "running", "pid": "x", "time": 1e400}')

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.pause()
        assert "▶ running" not in seen(screen)

    shown(folder, steps)
