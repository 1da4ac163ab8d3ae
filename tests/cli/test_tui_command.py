"""`geospot tui` from a shell: with and without a terminal, and what it learns of the terminal's colours."""

import itertools
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from geospot.tui import terminal as asking
from geospot.tui.terminal import Terminal, ask_terminal, is_dark_by, read_answer
from tests.support.programs import DARK, DEVICE, Program
from tests.support.written_runs import write_run

LIGHT = b"\x1b]11;rgb:ff/ff/f0\x07"


def test_without_a_terminal_it_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "geospot", "tui"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("geospot: geospot tui needs a terminal, and this isn't one.")
    assert "geospot runs list" in done.stderr


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_is_one_sentence(term: str) -> None:
    terminal = Program("tui", TERM=term)
    assert terminal.ends() == 2
    assert b"can't draw a screen" in terminal.shown
    assert b"\x1b" not in terminal.shown


def test_a_folder_that_is_not_there_is_one_sentence() -> None:
    terminal = Program("tui", "nowhere-at-all")
    assert terminal.ends() == 2
    assert b"There is no folder nowhere-at-all." in terminal.shown


@pytest.mark.parametrize("which", ["folder", "run"])
def test_it_opens_shows_the_run_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, which: str
) -> None:
    write_run(tmp_path / "a-run-to-be-seen", "sft").close("stopped", "stopped by SIGTERM")
    folder = tmp_path / "a-run-to-be-seen" if which == "run" else tmp_path
    terminal = Program("tui", str(folder))
    terminal.until(lambda shown: b"a-run-to-be-seen" in shown)
    terminal.type("\x11")  # Ctrl-Q
    assert terminal.ends() == 0
    assert terminal.shown.count(b"\x1b[?1049h") == terminal.shown.count(b"\x1b[?1049l") == 1
    assert b"rgb:" not in terminal.shown  # the answer wasn't echoed


def _our_group(terminal: int) -> int:
    del terminal
    return os.getpgrp()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers is another thread, which a busy machine lets wait."""
    monkeypatch.setattr(asking, "_WITHIN_S", 60.0)
    monkeypatch.setattr(asking, "_REST_WITHIN_S", 60.0)


class Asked:
    """A terminal in this process: what `ask_terminal` says of it, and what is left to be read."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        answer: Callable[[int], None],
        typed: bytes = b"",
        *,
        for_pixels: bool = False,
    ) -> None:
        ours, theirs = pty.openpty()
        stream = os.fdopen(theirs, "r+b", buffering=0)
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(os, "tcgetpgrp", _our_group)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("SSH_CONNECTION", raising=False)
        before = termios.tcgetattr(theirs)
        os.write(ours, typed)
        answering = threading.Thread(target=answer, args=(ours,))
        answering.start()
        start_s = time.monotonic()
        self.said: Terminal = ask_terminal(for_pixels=for_pixels)
        self.took_s = time.monotonic() - start_s
        answering.join()
        self.is_restored = termios.tcgetattr(theirs) == before
        self.shown = os.read(ours, 4096) if select.select([ours], [], [], 0)[0] else b""
        stream.close()
        os.close(ours)


def answering(*parts: bytes, pause_s: float = 0.0) -> Callable[[int], None]:
    """Answers the question with these parts, one after the other."""

    def answer(terminal: int) -> None:
        asked = b""
        while b"\x1b[c" not in asked:
            if not select.select([terminal], [], [], 60)[0]:
                return
            asked += os.read(terminal, 1024)
        for part in parts:
            os.write(terminal, part)
            time.sleep(pause_s)

    return answer


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("parts", "is_dark", "typed"),
    [
        ([DARK, DEVICE], True, ""),
        ([LIGHT, DEVICE], False, ""),
        ([DEVICE], False, ""),  # it doesn't know the question: COLORFGBG
        ([b"q", LIGHT[:9], LIGHT[9:] + b"2", DEVICE], False, "q2"),
        ([DARK[:9], DARK[9:], DEVICE[:3], DEVICE[3:]], True, ""),
    ],
)
def test_the_terminal_is_asked_for_its_background(
    monkeypatch: pytest.MonkeyPatch, parts: list[bytes], is_dark: bool, typed: str
) -> None:
    monkeypatch.setenv("COLORFGBG", "0;15")
    asked = Asked(monkeypatch, answering(*parts, pause_s=0.02))
    assert asked.said == Terminal(is_dark, typed)
    assert asked.is_restored
    assert asked.shown == b""  # nothing was echoed


@pytest.mark.usefixtures("patient")
def test_an_answer_that_has_begun_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it would be taken for keys by the app."""
    seconds = itertools.count()  # one has passed whenever somebody looks
    monkeypatch.setattr(asking, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    monkeypatch.setattr(asking, "_REST_WITHIN_S", 60.0)
    parts = [bytes([one]) for one in LIGHT[:9]]
    asked = Asked(monkeypatch, answering(*parts, LIGHT[9:] + DEVICE, pause_s=0.02))
    assert asked.said == Terminal(is_dark=False)


def test_a_terminal_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFGBG", "15;0")
    asked = Asked(monkeypatch, answering())
    assert asked.said == Terminal(is_dark=True)
    assert asked.took_s < 60
    assert asked.is_restored


def test_keys_that_were_typed_before_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, lambda _: None, typed=b"2")
    assert asked.said == Terminal(is_dark=True)
    assert (
        b"\x1b" not in asked.shown
    )  # it wasn't asked, as the answer would have come behind the key


def test_where_it_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFGBG", "0;15")
    monkeypatch.setenv("TERM", "linux")
    assert ask_terminal() == Terminal(is_dark=False)
    monkeypatch.setenv("TERM", "xterm")
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert ask_terminal() == Terminal(is_dark=False)


@pytest.mark.parametrize(
    ("value", "is_dark"),
    [
        *[("15;0", True), ("0;15", False), ("0;default;15", False), ("12;8", True), ("0;7", False)],
        *[("", True), ("junk", True), (";²", True), ("default;default", True), ("0;99", True)],
    ],
)
def test_the_variable(value: str, is_dark: bool) -> None:
    assert is_dark_by(value) is is_dark


@pytest.mark.parametrize(
    ("answer", "is_dark", "typed"),
    [
        (b"\x1b]11;rgb:0000/0000/0000\x07", True, ""),
        (b"\x1b]11;rgba:ffff/ffff/ffff/8000\x1b\\", False, ""),
        (b"\x1b]11;rgb:f/f/f\x07x\xff", False, "x"),
        (b"ab\x1b[A", True, "ab"),  # an arrow key has no character
        (b"", True, ""),
    ],
)
def test_backgrounds_as_terminals_say_them(answer: bytes, is_dark: bool, typed: str) -> None:
    assert read_answer(answer, Terminal(is_dark=True)) == Terminal(is_dark, typed)


@pytest.mark.parametrize(
    ("answer", "pixels", "cell"),
    [
        (b"\x1b[?62;4;22c", "sixel", (0, 0)),
        (b"\x1b[?62;22c", None, (0, 0)),
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?62;22c", "kitty", (0, 0)),
        (b"\x1b_Gi=31;OK\x1b\\\x1b[6;21;9t\x1b[?64;4c", "sixel", (9, 21)),
        (b"\x1b_Gi=31;ENOTSUP:no\x1b\\\x1b[?62c", None, (0, 0)),
    ],
)
def test_what_terminals_say_of_pixels(
    answer: bytes, pixels: str | None, cell: tuple[int, int]
) -> None:
    said = read_answer(b"q" + answer + b"2", Terminal(is_dark=True))
    assert (said.pixels, said.cell, said.typed) == (pixels, cell, "q2")


@pytest.mark.usefixtures("patient")
def test_only_who_shows_pixels_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that doesn't know kitty's question may write it out."""
    asked: list[bytes] = []

    def answer(terminal: int) -> None:
        asked.append(b"")
        while b"\x1b[c" not in asked[-1]:
            asked[-1] += os.read(terminal, 1024)
        os.write(terminal, DARK + b"\x1b_Gi=31;OK\x1b\\" + DEVICE)

    assert Asked(monkeypatch, answer, for_pixels=True).said.pixels == "kitty"
    Asked(monkeypatch, answer)
    assert [b"\x1b_G" in one for one in asked] == [True, False]


def test_typed_characters_are_the_keys_that_bindings_know() -> None:
    keys = [(key.key, key.character) for key in Terminal(True, "q2 ?/\r\x01").typed_keys()]
    assert [name for name, _ in keys] == ["q", "2", "space", "question_mark", "slash", "enter"]
