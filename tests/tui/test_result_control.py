"""Stopping an evaluation from its screen, going on with it, and seeing whether its process is there."""

import json
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.errors import UsageError
from geospot.evaluation.results import EVENTS, SAMPLES, SUMMARY
from geospot.runs import evaluations
from geospot.runs.processes import birth_of, this_host
from geospot.tui.screens.result import ResultScreen
from tests.support.evaluating import start_geospot, wait_for
from tests.support.result_dirs import answered, write_result
from tests.support.screens import drive, opened, seen, until, until_seen
from tests.support.vlm_server import Behaviour, VlmServer


def test_an_evaluation_is_stopped_after_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a long folder's name would break the sentences in which it stands
    out = Path("out")
    with VlmServer(lambda _: Behaviour(text="52.5, 13.4", latency_s=1.0)) as server:
        process = start_geospot(
            *("eval", "--backend", "openai", "--base-url", server.base_url, "--model", "some-vlm"),
            *("--dataset", "world", "--limit", "200", "--concurrency", "2", "--out", out),
        )
        wait_for((out / SAMPLES).is_file)

        async def steps(pilot: Pilot[None]) -> None:
            await until_seen(pilot, "answers so far", "x Stop")
            await pilot.press("x")
            await until_seen(pilot, "Stop out?", "under way and ends")
            await pilot.press("n")
            more = len((out / SAMPLES).read_bytes().splitlines()) + 5
            await until(
                pilot, lambda: len((out / SAMPLES).read_bytes().splitlines()) > more, "more answers"
            )
            assert process.poll() is None
            await pilot.press("x", "y")
            await until_seen(pilot, "It was asked to stop")
            await until(pilot, lambda: process.poll() == 130, "its end")
            shown = await until_seen(pilot, "Unranked (incomplete)", "R Resume")
            assert "x Stop" not in shown
            await pilot.press("x")
            await until_seen(pilot, "Stop out?")
            await pilot.press("y")
            await until_seen(pilot, "out is over. There is nothing to stop.")
            await pilot.press("R")
            await until_seen(pilot, "Go on with out?", "--model=some-vlm", "--limit=200")
            await pilot.press("y")
            await until_seen(pilot, "out goes on as process")
            await until_seen(pilot, "answers so far", "x Stop")
            server.plan = lambda _: Behaviour(text="52.5, 13.4")
            await until_seen(pilot, "200 of 200 answers")
            await until(
                pilot,
                lambda: not any(one in seen(pilot.app.screen) for one in ("so far", "x Stop")),
                "its figures",
            )
            assert "R Resume" not in seen(pilot.app.screen)
            assert len((out / SAMPLES).read_bytes().splitlines()) == 200  # none was asked again

        try:
            drive(opened(lambda app: app.open_result(out)), steps)
        finally:
            process.kill()
            with suppress(UsageError):  # the one that went on, if it is there still
                evaluations.stop_evaluation(out, now=True)


def test_nobody_is_asked_whether_to_stop_what_is_complete(tmp_path: Path) -> None:
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))])

    async def steps(pilot: Pilot[None]) -> None:
        shown = await until_seen(pilot, "1 of 1 answers")
        assert "x Stop" not in shown
        await pilot.press("x")
        await until_seen(pilot, "r is over. There is nothing to stop.")

    drive(opened(lambda app: app.open_result(result)), steps)


def test_an_evaluation_whose_process_is_killed_is_waited_for_no_more(tmp_path: Path) -> None:
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))], n=5)
    (result / SUMMARY).unlink()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    noted = {"pid": process.pid, "host": this_host(), "birth": birth_of(process.pid)}
    event = json.dumps({"time": 1.0, "event": "session", "process": noted})
    (result / EVENTS).write_text(f"{event}\n")

    async def steps(pilot: Pilot[None]) -> None:
        shown = await until_seen(pilot, "1 of 5 answers so far", "x Stop")
        assert "gone" not in shown
        process.kill()
        process.wait()
        shown = await until_seen(pilot, "its process is gone: R goes on with it")
        assert "x Stop" not in shown

    drive(opened(lambda app: app.open_result(result)), steps, (80, 24))


def test_what_it_wrote_last_is_read_before_its_end_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on after a stop, and writes its figures and ends between two looks of the screen."""
    near = [answered(f"p{at}", (1.0, 1.0), (2.0, 1.0)) for at in range(3)]
    result = write_result(tmp_path / "r", near[:2], n=3)
    over = write_result(tmp_path / "over", near, n=3)
    noted = {"event": "session", "process": evaluations.this_process()}
    events = [noted, {"event": "session_end"}]
    (result / EVENTS).write_text("".join(f"{json.dumps(event)}\n" for event in events))
    goes_on, is_offered = evaluations.goes_on, ResultScreen.is_offered
    may_end = threading.Event()
    offered: set[str] = set()

    def asked(folder: Path) -> bool:
        if may_end.is_set():
            for name in (SAMPLES, SUMMARY):
                shutil.copy(over / name, folder / name)
        return goes_on(folder)

    def noting(screen: ResultScreen, action: str) -> bool:
        if is_so := is_offered(screen, action):
            offered.add(action)
        return is_so

    monkeypatch.setattr(evaluations, "goes_on", asked)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "2 of 3 answers so far", "x Stop")
        monkeypatch.setattr(ResultScreen, "is_offered", noting)
        may_end.set()
        await until_seen(pilot, "3 of 3 answers")
        assert "x Stop" not in await until_seen(pilot, "tab Next view")
        assert "resume" not in offered

    drive(opened(lambda app: app.open_result(result)), steps)


def test_events_that_cant_be_read_for_a_while_say_nothing_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))], n=5)
    (result / SUMMARY).unlink()
    (result / EVENTS).unlink(missing_ok=True)
    (result / EVENTS).mkdir()
    asked: list[Path] = []
    has_died = evaluations.has_died

    def asking(folder: Path) -> bool:
        asked.append(folder)
        return has_died(folder)

    monkeypatch.setattr(evaluations, "has_died", asking)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(asked) > 1, "it looked twice")
        shown = await until_seen(pilot, "1 of 5 answers so far", "x Stop")
        assert "gone" not in shown

    drive(opened(lambda app: app.open_result(result)), steps)
