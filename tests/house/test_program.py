"""The program itself: arguments that look like options, and an output that takes no more."""

import json
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.photos import make_photo


def geospot(*arguments: str, full: bool = False, buffered: bool = True) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; `full` writes to /dev/full."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full" if full else os.devnull).open("wb") as sink:
        done = subprocess.run(
            [sys.executable, *([] if buffered else ["-u"]), "-m", "geospot", *arguments],
            stdout=sink if full else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout or "", done.stderr


@pytest.mark.parametrize(
    ("arguments", "latitude"),
    [
        (["-33.8688, 151.2093"], -33.8688),
        (["-.5, 151.2093"], -0.5),
        (["-33.8688, 151.2093 is where", "--truncated"], -33.8688),
        (["--truncated", "-33.8688, 151.2093 is where"], -33.8688),
        (["--", "-33.8688, 151.2093"], -33.8688),
        (["--", "--- 33.8688, 151.2093"], 33.8688),
        (["- Latitude: -33.8688\n- Longitude: 151.2093"], -33.8688),
    ],
)
def test_parse_takes_a_southern_text_for_a_text(arguments: list[str], latitude: float) -> None:
    code, out, error = geospot("parse", *arguments)

    assert (code, error) == (0, "")
    assert json.loads(out)["latitude"] == latitude
    assert json.loads(out)["longitude"] == 151.2093


def test_parse_still_knows_its_options() -> None:
    code, _, error = geospot("parse", "--trunk", "x")
    assert code == 2
    assert "--trunk" in error
    code, _, error = geospot("parse", "--jsonl", "-3.jsonl")
    assert code == 2
    assert "There is no file -3.jsonl." in error
    assert "Write -- before" in geospot("parse", "--help")[1].replace("\n", " ")


def test_parse_says_of_a_folder_that_it_is_one(tmp_path: Path) -> None:
    code, _, error = geospot("parse", "--jsonl", str(tmp_path))
    assert code == 2
    assert error == f"geospot: {tmp_path} is a folder. Name a JSON Lines file, or '-'.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize(
    "arguments", [["parse", "1.5, 2.5"], ["--help"], ["data", "check", "rows.csv"]]
)
def test_an_output_that_is_full_is_one_sentence(
    arguments: list[str], buffered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text("path,lat,lon\na.jpg,1.5,2.5\n")
    monkeypatch.chdir(tmp_path)
    code, _, error = geospot(*arguments, full=True, buffered=buffered)
    assert code == 1
    assert error.startswith("geospot: No space is left on the disk, or where the output goes.")
    assert error.count("\n") == 1


@pytest.mark.parametrize("left", [6, 20, 30])
@pytest.mark.parametrize("arguments", [["parse", "1.5, 2.5"], ["eval", "--backend", "prior"]])
def test_too_few_files_are_one_sentence(arguments: list[str], left: int, tmp_path: Path) -> None:
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (left, left))
    done = subprocess.run(
        [sys.executable, "-m", "geospot", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("geospot: No more files can be opened: Too many open files.")
    assert "ulimit -n" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_closed_streams_are_no_fault(closed: str, locale: dict[str, str]) -> None:
    for arguments, code in ((["--version"], 0), (["parse", "--trunk", "x"], 2)):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "geospot", *arguments],
            env=os.environ | {"PYTHONCOERCECLOCALE": "0"} | locale,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        shown = done.stderr if code else done.stdout
        assert bool(shown) == (("2>&-" if code else " >&-") not in f" {closed}")


def test_what_is_started_with_closed_streams_has_them_too(tmp_path: Path) -> None:
    """Else a file that it opens would be its standard output."""
    says = f"""
import os
open({str(tmp_path / "there")!r}, "w").write(str([os.fstat(number).st_mode for number in range(3)]))
"""
    starts = f"""
import subprocess, sys
import typer
from geospot.cli import run_program
program = typer.Typer()
@program.command()
def start():
    subprocess.run([sys.executable, "-c", {says!r}], check=True)
run_program(program)
"""
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", starts]
    assert subprocess.run(command, check=False).returncode == 0
    assert len(set(json.loads((tmp_path / "there").read_text()))) == 1


@pytest.mark.parametrize("encoding", ["", "ascii", "latin-1"])
def test_names_are_read_as_utf8_whatever_the_locale(encoding: str, tmp_path: Path) -> None:
    folder = tmp_path / "Straße"
    folder.mkdir()
    for name in ("München", "京都"):
        (folder / f"{name}.jpg").write_bytes(make_photo(name))
    rows = "file_name,latitude,longitude\nMünchen.jpg,48,11\n京都.jpg,35,135\n"
    (folder / "metadata.csv").write_text(rows, encoding="utf-8")
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "geospot", "data", "check", str(folder)],
        env=os.environ | poor | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"2 images examined" in done.stdout
    shown = "Straße" if encoding == "latin-1" else "Stra?e"
    assert shown.encode("latin-1") in done.stdout


def test_a_name_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/Stra\xdfe"
    Path(os.fsdecode(folder)).mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "geospot", "data", "check", folder], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.endswith(b"is not UTF-8 text. Rename the file or folder.\n")
    assert b"Traceback" not in done.stderr
