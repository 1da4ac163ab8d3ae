"""Before and while a run of the launch form starts: its service, its estimate, its process."""

import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from geospot.errors import UsageError
from geospot.evaluation.results import SAMPLES
from geospot.runs.launching import Command, Launched
from geospot.tui.app import GeospotApp
from geospot.tui.looking import Said
from geospot.tui.screens import launch_estimate
from geospot.tui.screens.launch_start import Starting
from tests.support.launch_form import (
    LARGE,
    MIDDLE,
    SMALL,
    fill,
    form_app,
    go_to,
    panel,
    ready,
)
from tests.support.result_dirs import answered, write_result
from tests.support.screens import drive, opened, seen, until, until_seen
from tests.support.vlm_server import VlmServer

pytestmark = pytest.mark.usefixtures("no_keys")

HUB = {"dataset": "a/b"}
"""Photos that nobody counts unasked, as they aren't on this machine."""


def test_models_that_a_server_has_are_offered_and_another_is_refused(tmp_path: Path) -> None:
    with VlmServer(models=["text-only", "some-vision-vlm"]) as server:

        async def steps(pilot: Pilot[None]) -> None:
            screen = await ready(pilot)
            await until(pilot, lambda: screen.look is not None and not screen.look.trouble)
            await until_seen(pilot, "reachable, 2 models")
            await until(pilot, lambda: "model" in screen.wrong, "the model isn't served")
            assert "did you mean some-vision-vlm?" in screen.wrong["model"]
            await go_to(pilot, "model")
            await pilot.press("enter", "ctrl+u")
            text = await until_seen(pilot, "text-only", "some-vision-vlm")
            assert text.index("some-vision-vlm") < text.index("text-only")
            await pilot.press("down", "enter")
            await until(pilot, lambda: screen.form.said.get("model") == "some-vision-vlm")
            await until(pilot, lambda: not screen.wrong, "nothing is wrong")

        settings = {"base_url": server.base_url, "model": "some-vision-vlmm", **HUB}
        drive(form_app(tmp_path, "eval", backend="openai", **settings), steps, LARGE)


def test_a_backend_that_needs_a_model_says_so_at_the_model(tmp_path: Path) -> None:
    with VlmServer() as server:

        async def steps(pilot: Pilot[None]) -> None:
            screen = await ready(pilot)
            await until(pilot, lambda: "model" in screen.wrong, "the reason")
            assert "needs a model" in screen.wrong["model"]
            await go_to(pilot, "backend")
            await pilot.press("enter", "ctrl+u", *"prior", "enter")
            await until(pilot, lambda: screen.look is not None and not screen.wrong, "no reason")

        app = form_app(tmp_path, "eval", backend="openai", base_url=server.base_url, **HUB)
        drive(app, steps, SMALL)


def test_a_missing_key_is_named_by_its_variable_and_one_that_is_pasted_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret-value")
    with VlmServer(key="very-secret-value") as server:

        async def steps(pilot: Pilot[None]) -> None:
            screen = await ready(pilot)
            await until_seen(pilot, "refuses the key (none was sent)")
            await fill(pilot, "api_key_env", "MY_KEY")
            await until_seen(pilot, "key in MY_KEY")
            assert "very-secret-value" not in seen(screen)
            await fill(pilot, "api_key_env", "very-secret-value")
            await until(pilot, lambda: "api_key_env" in screen.wrong)
            assert "very-secret-value" not in seen(screen)

        settings = {"base_url": server.base_url, "model": "some-vlm", **HUB}
        drive(form_app(tmp_path, "eval", backend="openai", **settings), steps, LARGE)


def test_what_an_evaluation_takes_is_counted_anew_for_every_change(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until(pilot, lambda: "8 of world" in panel(screen), "the estimate, without a key")
        assert "nothing: this machine computes" in panel(screen)
        assert " u Estimate" not in seen(screen)
        await fill(pilot, "limit", "5")
        await until(pilot, lambda: "8 of world" not in panel(screen), "the old one to go")
        await until(pilot, lambda: "5 of world" in panel(screen), "the new one")

    drive(form_app(tmp_path, "eval", backend="local", dataset="world", limit=8), steps, SMALL)


def test_data_on_the_hub_is_counted_when_somebody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    async def answer(words: Sequence[str], *, limit_s: float) -> Said:
        asked.append(words)
        cost = "cost         unknown; give --price-in and --price-out, or --other"
        return Said(0, f"fingerprint  abc\nimages       {len(asked)} of it\n{cost}".encode(), b"")

    monkeypatch.setattr(launch_estimate, "ask_process", answer)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until_seen(pilot, "u counts photos and tokens", " u Estimate")
        await pilot.pause(0.6)
        assert asked == []
        await pilot.press("u")
        await until(pilot, lambda: "1 of it" in panel(screen))
        assert "give price_in and price_out, or --other" in panel(
            screen
        )  # as the fields are called
        await pilot.press("u")  # it is there
        await fill(pilot, "out", "elsewhere")  # which changes nothing of it
        await pilot.pause(0.6)
        assert len(asked) == 1
        assert "1 of it" in seen(screen)
        await fill(pilot, "limit", "9")
        await until_seen(pilot, "u counts photos and tokens")
        assert len(asked) == 1

    drive(form_app(tmp_path, "eval", backend="prior", **HUB, limit=8), steps, MIDDLE)


def test_a_place_that_is_taken_back_is_named_when_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[tuple[str, Path]] = []

    def refuse(kind: str, _settings: Any, folder: Path) -> None:
        launched.append((kind, folder))
        raise UsageError("Not in this test.")

    monkeypatch.setattr("geospot.tui.screens.launch.launch", refuse)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        for kind, name in (("e", "out"), ("s", "log_path")):
            await pilot.press(kind)
            await until(pilot, lambda name=name: name in screen.form.by_name)
            if kind == "s":
                await fill(pilot, "service", "local")
            await go_to(pilot, name)
            await pilot.press("backspace", "ctrl+s")
            await until_seen(pilot, "Not in this test.")
            screen.trouble = ""
        assert launched == [("eval", tmp_path / "results" / "eval"), ("sft", Path("runs/sft"))]

    drive(form_app(tmp_path, "eval", backend="prior", **HUB), steps, SMALL)


def test_an_evaluation_is_started_detached_and_its_result_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Path] = []

    def open_result(_app: GeospotApp, result: Path) -> None:
        shown.append(result)

    monkeypatch.setattr(GeospotApp, "open_result", open_result)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(shown), "the result")
        assert shown == [tmp_path / "results" / "eval"]
        await until(pilot, (shown[0] / "summary.json").is_file, "its summary")
        assert screen not in pilot.app.screen_stack

    drive(form_app(tmp_path, "eval", backend="prior", dataset="world", limit=8), steps, SMALL)


def test_a_process_that_ends_at_once_says_why_in_the_form(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "ended before" in screen.trouble, "the reason")
        assert pilot.app.screen is screen
        text = await until_seen(pilot, "nothing-in-it")
        assert "Traceback" not in text

    empty = tmp_path / "nothing-in-it"  # it is there, which is all that can be seen beforehand
    empty.mkdir()
    drive(form_app(tmp_path, "eval", backend="prior", dataset=str(empty), limit=8), steps, SMALL)


def started(folder: Path, kind: Command, code: str) -> Launched:
    """A process of which the form doesn't know yet how far it is."""
    output = folder.with_name(f"{folder.name}.output.log")
    words = [sys.executable, "-u", "-c", code]
    with output.open("wb") as out:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=out, stderr=out)
    return Launched(kind, folder, output, words, process, 0)


def waiting_for(
    launched: Launched, steps: Callable[[Pilot[None], list[Any]], Awaitable[None]]
) -> None:
    """Waits for it as the form does; steps get the list that the answer comes to."""
    answers: list[Any] = []

    def first(app: GeospotApp) -> None:
        app.push_screen(Starting(launched, "connecting …"), answers.append)

    try:
        drive(opened(first), lambda pilot: steps(pilot, answers), SMALL)
    finally:
        launched.process.kill()
        launched.process.wait()


GOES_ON = "print('reading photos'); import sys; sys.stdin.read()"


def test_an_evaluation_that_goes_on_is_opened_when_it_has_written_again(tmp_path: Path) -> None:
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))])

    async def steps(pilot: Pilot[None], answers: list[Any]) -> None:
        await until_seen(pilot, "geospot eval", "starting: connecting", "reading photos")
        await pilot.pause(0.6)  # it looks some times more
        assert answers == []
        with (result / SAMPLES).open("ab") as file:
            file.write(b"{}\n")
        await until(pilot, lambda: answers == [("live", "")], "the new answer")

    waiting_for(started(result, "eval", GOES_ON), steps)


def test_an_evaluation_with_nothing_left_to_ask_is_opened_when_it_ends(tmp_path: Path) -> None:
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))])

    async def steps(pilot: Pilot[None], answers: list[Any]) -> None:
        await until(pilot, lambda: answers == [("live", "")], "its end")

    waiting_for(started(result, "eval", "print('nothing to ask')"), steps)


def test_what_is_left_alone_goes_on(tmp_path: Path) -> None:
    launched = started(tmp_path / "run", "rl", GOES_ON)

    async def steps(pilot: Pilot[None], answers: list[Any]) -> None:
        await until_seen(pilot, "reading photos")
        await pilot.press("escape")
        await until(pilot, lambda: answers == [("left", str(launched.output))], "the way back")
        assert launched.process.poll() is None

    waiting_for(launched, steps)


def test_a_training_that_ends_before_its_first_sign_of_life_says_its_last_lines(
    tmp_path: Path,
) -> None:
    async def steps(pilot: Pilot[None], answers: list[Any]) -> None:
        await until(pilot, lambda: bool(answers), "its end")
        assert answers == [("ended", "one\n\\x1b[2Jtwo")]  # shown, and not done

    waiting_for(started(tmp_path / "run", "sft", "print('one'); print('\x1b[2Jtwo')"), steps)
