"""Every screen looks as it did, character by character and colour by colour, at three sizes.

What is kept is text (tests/support/looks.py), and not SVG as pytest-textual-snapshot keeps it: half a
megabyte instead of ten, it can be read in a review and in a diff, and a Textual that only draws its SVGs
in another way changes nothing. Nothing here depends on the clock, the machine or the folder: a copy of the
recorded runs is looked at from where it lies, a week after they ended. After a change that is meant, look
at the diff of

    pytest tests/tui/test_looks.py --update-looks

A screen has some seconds to become what is kept, as threads and timers fill it.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from geospot.runs import heartbeat
from geospot.runs.launching import Launched
from geospot.tui.app import GeospotApp
from geospot.tui.screens import launch_start
from geospot.tui.screens.launch_start import Starting
from tests.support.looks import difference, look_of, settled
from tests.support.screens import until_seen

RECORDINGS: Final = Path(__file__).parents[1] / "recordings"
KEPT: Final = Path(__file__).parent / "looks"
SIZES: Final = [(80, 24), (120, 40), (200, 60)]
SFT, RL = Path("runs/sft"), Path("runs/rl")

_NOW_S: Final = 1_796_731_200.0
_WRITTEN_S: Final = 1_796_006_000.0
_DEADLINE_S: Final = 60.0
_HOST: Final = "vm"
"""Where the runs were recorded."""
_STARTED: Final[list["subprocess.Popen[bytes]"]] = []
"""What a look has started, to be ended after it."""


def _stay(_app: GeospotApp) -> None:
    """Opens nothing."""


def _start(app: GeospotApp) -> None:
    """A form, and what it shows while the run that it started isn't there yet."""
    output = Path("runs/rl-2.output.log")
    output.write_text("geospot/tiny-vlm on cpu\nreading photos of world, split train\n")
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    _STARTED.append(process)
    app.open_launch("rl", {"service": "local"})
    launched = Launched("rl", Path("runs/rl-2"), output, ["geospot", "rl"], process, 0)
    app.push_screen(Starting(launched, "loading torch and the model …"))


@dataclass(frozen=True, slots=True)
class Look:
    """A screen, what is pressed in it, and what is seen when it is there."""

    name: str
    opens: Callable[[GeospotApp], None]
    seen: Sequence[str]
    keys: Sequence[str] = ()
    then: Sequence[str] = ()
    """Seen after the keys."""
    runs: Path = Path("runs")
    environment: dict[str, str] = field(default_factory=dict[str, str])
    dark: bool = True


def _run(name: str, *keys: str, of: Path = RL, **more: Any) -> Look:
    return Look(name, lambda app: app.open_run(of), ["finished"], keys, **more)


LOOKS: Final = [
    Look("runs", _stay, ["4 runs", "finished"]),
    Look("runs-light", _stay, ["4 runs", "finished"], dark=False),
    Look("welcome", _stay, ["There are no runs yet"], runs=Path("elsewhere")),
    Look("palette", _stay, ["4 runs"], ["ctrl+p"], ["Compare  (c)"]),
    _run("run-overview"),
    _run("run-overview-sft", of=SFT),
    _run("run-chart", "enter"),
    _run("run-histograms", "h", then=["step 11"]),
    _run("run-histograms-km", "h", "t", then=["step 11"]),
    _run("run-histograms-ridges", "h", "g", then=["⏎ opens"]),
    _run("run-histograms-without-colour", "h", then=["step 11"], environment={"NO_COLOR": "1"}),
    _run("run-log", "l", then=["lines"]),
    _run("run-configuration", "c", then=["settings"]),
    _run("run-checkpoints", "p", then=["final"]),
    _run("run-keys", "question_mark", then=["This screen"]),
    _run("run-figures", "slash", then=["Any figure of this run"]),
    _run("run-branch", "b", then=["Branch off which"]),
    _run("run-checkpoint", "p", "enter", then=["Copy the path"]),
    Look("runs-aside", _stay, ["4 runs", "finished"], ["d"], ["Set rl aside?"]),
    Look("jump", _stay, ["4 runs", "finished"], ["ctrl+o"], ["A letter goes"]),
    Look("map-of-run", lambda app: app.open_run_map(RL), ["answers"]),
    Look("map-of-result", lambda app: app.open_result_map(Path("results/rl")), ["answers"]),
    Look("map-of-countries", lambda app: app.open_result_map(Path("results/rl")), ["answers"], ["c"],
         ["median and"]),
    Look("map-without-colour", lambda app: app.open_run_map(RL), ["answers"],
         environment={"NO_COLOR": "1"}),
    Look("rollouts", lambda app: app.open_rollouts(RL), ["16 answers", "▀"]),
    Look("compare-runs", lambda app: app.open_compare_runs([SFT, RL]), ["settings differ"]),
    Look("compare-results",
         lambda app: app.open_compare_results(Path("results/sft"), Path("results/rl")), ["p = "]),
    Look("launch-sft", lambda app: app.open_launch("sft", {"service": "local"}), ["local: installed"]),
    Look("launch-rl", lambda app: app.open_launch("rl", {"service": "local"}), ["local: installed"]),
    Look("launch-eval", lambda app: app.open_launch("eval", {"backend": "local"}),
         ["local: installed", "tokens out"]),
    Look("launch-presets", lambda app: app.open_launch("rl", {"service": "local"}),
         ["local: installed"], ["p"], ["Begin with"]),
    Look("launch-open", lambda app: app.open_launch("rl", {"service": "local"}),
         ["local: installed"], ["o"], ["Fill the form from a TOML file"]),
    Look("compare-metric", lambda app: app.open_compare_runs([SFT, RL]), ["rl 4,581"], ["m"],
         ["part of a name"]),
    Look("result-answer", lambda app: app.open_result(Path("results/rl")), ["of 40 answers"],
         ["l", "enter"], ["tokens in"]),
    Look("runs-watch", _stay, ["4 runs", "finished"], ["o"], ["Whose runs?"]),
    Look("starting", _start, ["reading photos", "ready"]),
    Look("leaderboard", lambda app: app.open_leaderboard(), ["3 ranked"]),
    Look("leaderboard-export", lambda app: app.open_leaderboard(), ["3 ranked"],
         ["x", "ctrl+u", *"/opt/board.md"], ["Markdown, into /opt"]),
    Look("result", lambda app: app.open_result(Path("results/rl")), ["of 40 answers"]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A copy of the recordings to look at from where it lies; clock, host, time zone and colours."""
    for source, target in (("runs", "runs"), ("cookbook", "runs/cookbook"), ("results", "results")):
        shutil.copytree(RECORDINGS / source, tmp_path / target)
    for path in (tmp_path / "runs").rglob("*"):
        os.utime(path, (_WRITTEN_S, _WRITTEN_S))
    local = time.localtime
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: _NOW_S)
    monkeypatch.setattr(time, "localtime", lambda seconds=_NOW_S: local(seconds))
    monkeypatch.setattr(heartbeat, "this_host", lambda: _HOST)
    monkeypatch.setattr(launch_start, "time", SimpleNamespace(monotonic=lambda: _NOW_S))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("GEOSPOT_IMAGES", "cells")
    for name in (
        "NO_COLOR",
        "TINKER_API_KEY",
        "TINKER_BASE_URL",
        "OPENAI_API_KEY",
        "TEXTUAL_THEME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "textual_image.widget", raising=False)
    time.tzset()
    yield
    while _STARTED:
        with _STARTED.pop() as process:
            process.kill()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_look(
    look: Look, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    for name, value in look.environment.items():
        monkeypatch.setenv(name, value)
    path = KEPT / f"{look.name}-{size[0]}x{size[1]}.txt"
    shown = ""
    updates = bool(pytestconfig.getoption("--update-looks"))
    known = None if updates else path.read_text(encoding="utf-8")

    async def steps(pilot: Pilot[None]) -> None:
        nonlocal shown
        await until_seen(pilot, *look.seen)
        for key in look.keys:
            await pilot.press(key)
        await until_seen(pilot, *look.then)
        for line in pilot.app.screen.query(Input):
            line.cursor_blink = False
        shown = await (settled(pilot) if known is None else _awaited(pilot, known))

    _drive(
        GeospotApp([look.runs], [Path("results")], dark=look.dark, first=look.opens), steps, size
    )
    if known is None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    elif apart := difference(known, shown):
        pytest.fail(f"{path.name}\n{apart}", pytrace=False)


def _drive(
    app: GeospotApp, steps: Callable[[Pilot[None]], Awaitable[None]], size: tuple[int, int]
) -> None:
    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            await steps(pilot)

    asyncio.run(main())


async def _awaited(pilot: Pilot[None], known: str) -> str:
    """What is shown when it is twice what is known, or after some seconds."""
    end_s = time.monotonic() + _DEADLINE_S
    before = ""
    while True:
        shown = look_of(pilot.app.screen)
        if shown == before == known or time.monotonic() > end_s:
            return shown
        before = shown
        await pilot.pause(0.05)
