"""What a stranger installs: wheel and sdist, in a clean environment, beside folders of other names."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.install, pytest.mark.xdist_group("install"), pytest.mark.timeout(1200)]


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a command that has to succeed, and returns what it printed."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(bin_folder: Path, wheel: Path) -> None:
    """Into the environment of these programs, by the pip that runs here; nothing else comes with it."""
    pip = (sys.executable, "-m", "pip", "--python", bin_folder / "python", "install", "--quiet")
    # Byte code is made of the modules that are imported, and not of all.
    call(*pip, "--no-deps", "--no-compile", wheel)


def needed(wheel: Distribution) -> Iterator[Distribution]:
    """What an installed package needs, and what that needs, as it is installed here."""
    waiting = [(wheel, "")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        one, extra = waiting.pop()
        for requirement in map(Requirement, one.requires or ()):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            found = distribution(requirement.name)
            assert found.version in requirement.specifier, requirement
            for wanted in ("", *requirement.extras):
                if (requirement.name, wanted) not in seen:
                    seen.add((requirement.name, wanted))
                    waiting.append((found, wanted))
            yield found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist; the wheel is made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def clean(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with nothing but the wheel and what it needs.

    The wheel is installed; the packages that it asks for are linked from the environment that runs this.
    """
    venv = tmp_path_factory.mktemp("clean") / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    install(venv / "bin", next(built.glob("*.whl")))
    [site] = venv.glob("lib/python*/site-packages")
    [info] = site.glob("geospot_vlm-*.dist-info")
    for one in needed(Distribution.at(info)):
        for name in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(str(one.locate_file(name)))
    return venv / "bin"


def test_the_wheel_holds_three_packages_their_data_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {
        "geospot",
        "geospot_backends",
        "geospot_leaderboard",
        "geospot_vlm-0.1.0.dist-info",
    }
    for package in ("geospot", "geospot_backends", "geospot_leaderboard"):
        assert f"{package}/py.typed" in names
    assert "geospot_leaderboard/references.csv" in names
    assert any(name.endswith("LICENSE") for name in names)


def test_the_sdist_holds_what_a_distributor_needs(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "constraints.txt", "Makefile"} <= names
    assert any(name.startswith("tests/") for name in names)
    assert not any(".venv" in name or "__pycache__" in name for name in names)


def test_it_runs_from_a_folder_with_a_backends_and_a_leaderboard_of_its_own(
    clean: Path, tmp_path: Path
) -> None:
    for name in ("backends", "leaderboard", "geospot_data", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    geospot = clean / "geospot"
    call(
        *(geospot, "eval", "--backend", "prior", "--dataset", "world", "--limit", "5"),
        *("--out", "results/prior"),
        cwd=tmp_path,
    )
    call(geospot, "leaderboard", "export", "results", "--csv", "board.csv", cwd=tmp_path)
    assert "prior" in (tmp_path / "board.csv").read_text()
    where = call(clean / "python", "-c", "import geospot; print(geospot.__file__)", cwd=tmp_path)
    assert str(clean.parent) in where


def test_the_plug_in_of_the_docs_installs_and_evaluates(clean: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    files = re.findall(r"<!-- plugin: (\S+) -->\n```\w+\n(.*?)```", page, flags=re.DOTALL)
    assert [name for name, _ in files] == ["colour_backend.py", "pyproject.toml"]
    package = tmp_path / "package"
    package.mkdir()
    for name, text in files:
        (package / name).write_text(text, encoding="utf-8")
    call(sys.executable, "-m", "build", "--no-isolation", "--wheel", package)
    install(clean, next((package / "dist").glob("*.whl")))
    assert "geospot-colour 0.1" in call(clean / "geospot", "backends")
    call(
        *(clean / "geospot", "eval", "--backend", "colour", "--dataset", "world"),
        *("--limit", "20", "--out", "out"),
        cwd=tmp_path,
    )
    samples = (tmp_path / "out" / "samples.jsonl").read_text()
    assert samples.count('"outcome":"ok"') == 20
    assert samples.count("It looks ") == 20
