"""What the pages show besides `geospot` is run, too: make, pytest, pip, the shell, our own tools.

Each command is the page's, with settings behind it that make it small. What can't be had is a package index.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.support.doc_commands import ROOT, run_module, shown
from tests.support.evaluating import environment
from tests.support.shapefiles import shapefile

BIN = Path(sys.executable).parent
RECORDINGS = ROOT / "tests" / "recordings"
BRINGS = {"ray": "ray", "report": "matplotlib"}
LAYER = "geopandas/datasets/naturalearth_lowres/naturalearth_lowres"


def ran(line: str, cwd: Path, **more: str) -> str:
    """What a command says that has to end well, with the programs of this environment at hand."""
    kept = {k: v for k, v in environment().items() if not k.startswith(("PYTEST_", "MAKE"))}
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=cwd,
        env=kept | {"PATH": f"{BIN}:{os.environ['PATH']}"} | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


# A recipe's programs, by how they are called, and what stands behind that here.
SMALL = {
    "basedpyright ": '"$@" errors.py',
    "python -m pytest": '"$@" -n 0 -p no:cacheprovider tests/house/test_numbertext.py',
    "python -m pip": "-m pip --version",  # the fuzzers' package isn't here
    "python -m tests.drills": '"$@" --short --times 3 --out "$OUT" broken_runs',
}
SAID = {
    "make check": ("All checks passed!", "already formatted", "0 errors", "0 broken"),
    "make test": (r"\d+ passed",),
    "make drill": (r"broken_runs +│ .* │ +3 │ +0 │ +0 │",),
}


@pytest.fixture
def small_programs(tmp_path: Path) -> Path:
    """A folder with programs that stand before those of this environment, and ask less of them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    cases = "".join(f'"{call}"*) set -- {words} ;;\n' for call, words in SMALL.items())
    called = f'case "$(basename "$0") $*" in\n{cases}esac\n'
    for name in ("ruff", "basedpyright", "lint-imports", "python"):
        script = f'#!/bin/sh\n{called}exec "{BIN / name}" "$@"\n'
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("line", [one for one in shown("make ") if one != "make demo"])
def test_make_does_what_the_pages_say(line: str, small_programs: Path, tmp_path: Path) -> None:
    """But for the demo, which is in tests/cli.

    ruff and basedpyright read one module alone: the state of the others is no test.
    """
    place = ROOT
    if line == "make check":
        place = tmp_path / "checked"
        place.mkdir()
        for name in ("Makefile", "pyproject.toml", "geospot/errors.py"):
            shutil.copy(ROOT / name, place)
    settings = f"--assume-old=.venv/.installed BIN={shlex.quote(str(small_programs))}"
    said = ran(f"{line} {settings}", place, OUT=str(tmp_path / "out"))
    for pattern in SAID[line]:
        assert re.search(pattern, said), said


def test_an_environment_is_entered(tmp_path: Path) -> None:
    if not (BIN / "activate").is_file():
        pytest.skip("the tests run in no environment that can be entered")
    [line] = shown("source ")
    (tmp_path / ".venv").symlink_to(BIN.parent)
    assert (
        ran(f"{line} && command -v geospot", tmp_path, PATH=os.defpath)
        .strip()
        .endswith(f"{BIN.name}/geospot")
    )


@pytest.mark.parametrize("line", shown("pip install"))
def test_extras_are_installed_by_their_names(line: str, tmp_path: Path) -> None:
    """Here they are there already, or they couldn't be had without a package index."""
    [extra] = re.findall(r"\[(\w+)\]", line)
    if find_spec(BRINGS[extra]) is None:
        pytest.skip(f"the extra {extra} isn't installed")
    said = ran(f"{line} --no-index", tmp_path)
    assert "does not provide the extra" not in said
    assert "Requirement already satisfied: geospot-vlm" in said


def test_outlines_are_packed_from_what_pip_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [download] = shown("pip download")
    [pack] = shown("python -m geospot.tui.atlas.pack")
    index = tmp_path / "index"
    (index / LAYER).parent.mkdir(parents=True)
    square = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    shapefile((index / LAYER).parent, [square], ["DEU/Germany"], Path(LAYER).name)
    name, version = re.findall(r"(\w+)==([\d.]+)", download)[0]
    with zipfile.ZipFile(index / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for end in (".shp", ".dbf"):
            wheel.write(index / f"{LAYER}{end}", f"{LAYER}{end}")
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{name}-{version}.dist-info/METADATA", about)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{name}-{version}.dist-info/WHEEL", tags)
    ran(f"{download} --no-index --find-links {index}", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_module([*shlex.split(pack), "--out", tmp_path / "out.npz"], monkeypatch) == 0
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays.files


def test_a_look_is_told_and_kept(tmp_path: Path) -> None:
    """In a copy of what the tests of looks need, one screen at one size."""
    tells, keeps = sorted(shown("pytest "), key=len)
    support = ("support", "recordings", "tui/test_looks.py", "tui/conftest.py", "conftest.py")
    looks = tmp_path / "tests" / "tui" / "looks"
    looks.mkdir(parents=True)
    for part in (*support, "__init__.py"):
        source, target = ROOT / "tests" / part, tmp_path / "tests" / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    known = (ROOT / "tests" / "tui" / "looks" / "welcome-80x24.txt").read_text(encoding="utf-8")
    kept = looks / "welcome-80x24.txt"
    one = "-k welcome-80x24 -p no:cacheprovider"
    assert "1 passed" in ran(f"{keeps} {one}", tmp_path)
    assert kept.read_text(encoding="utf-8") == known
    assert "1 passed" in ran(f"{tells} {one}", tmp_path)


def test_a_picture_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of recorded runs, as if they were the demo's."""
    [line] = shown("python -m tests.support.take_pictures")
    [*_, target] = words = shlex.split(line)
    (tmp_path / target).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert run_module([*words, RECORDINGS, "leaderboard"], monkeypatch) == 0
    [picture] = (tmp_path / target).iterdir()
    assert picture.name == "leaderboard.svg"
    assert "ranked" in picture.read_text(encoding="utf-8")
