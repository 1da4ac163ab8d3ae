"""The demo as a process that goes on without the app."""

import os
import sys
from pathlib import Path

import pytest

from geospot.durable import WriteError
from geospot.tui.demo import Demo, start_demo


def program(tmp_path: Path, body: str) -> str:
    """A program in Python's place, which notes what it is told."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/told\n{body}\n')
    path.chmod(0o755)
    return str(path)


def ended(demo: Demo) -> Demo:
    demo.process.wait(120)
    return demo


def test_it_is_told_where_and_belongs_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program(tmp_path, "ps -o sid= -p $$; ps -o pid= -p $$"))
    demo = ended(start_demo(tmp_path / "new" / "demo"))
    told = (tmp_path / "told").read_text().split("\n")
    assert told == ["-P", "-m", "geospot", "demo", f"--out={tmp_path / 'new' / 'demo'}", ""]
    session, process = demo.output.read_text().split()
    assert session == process != str(os.getsid(0))
    assert demo.is_over
    assert demo.trouble() is None


def test_what_it_said_last_is_its_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "echo before; echo 'geospot: There is no torch \033[31m.'; echo Install it.; exit 1"
    monkeypatch.setattr(sys, "executable", program(tmp_path, body))
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "output.log").write_text("geospot: an older trouble\n")
    demo = ended(start_demo(folder))
    assert demo.trouble() == "The demo ended: There is no torch \\x1b[31m.\nInstall it."
    monkeypatch.setattr(sys, "executable", program(tmp_path, "exit 1"))
    assert ended(start_demo(folder)).trouble() == "The demo ended: it said nothing."


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        start_demo(tmp_path / "file" / "demo")
