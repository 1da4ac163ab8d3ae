"""The reference that `make docs` makes: complete docstrings, and built without a warning."""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.reference import PUBLIC, modules

ROOT = Path(__file__).parents[2]


def documented(module_name: str) -> Iterator[tuple[str, str | None]]:
    """Public names that the module makes or offers, with their docstrings, inherited ones too."""
    module = importlib.import_module(module_name)
    yield module_name, inspect.getdoc(module)
    offered = getattr(module, "__all__", None)
    names = offered or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        one = getattr(module, name)
        if not (inspect.isclass(one) or inspect.isfunction(one)):
            continue
        if offered is None and one.__module__ != module_name:
            continue
        yield f"{module_name}.{name}", inspect.getdoc(one)
        if inspect.isclass(one) and one.__module__.startswith("geospot"):
            for key, member in vars(one).items():
                plain = inspect.unwrap(getattr(member, "__func__", member))
                if not key.startswith("_") and inspect.isfunction(plain):
                    yield f"{module_name}.{name}.{key}", inspect.getdoc(getattr(one, key))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str) -> None:
    found = [
        item
        for one in modules()
        if one == name or one.startswith(f"{name}.")
        for item in documented(one)
    ]
    assert len(found) > 3
    assert [where for where, text in found if not text] == []


def test_the_reference_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="the reference is made by pdoc, of the extra dev")
    # Right as types: Python 3.11 has no array[int] when it runs; Pillow is imported when it is needed.
    known = ("array", "bytes | Path | PreparedImage | Image for geospot.renderers.photos")
    ignored = [f"ignore:Error parsing type annotation {one}:UserWarning" for one in known]
    warnings = [word for rule in ("error::UserWarning", *ignored) for word in ("-W", rule)]
    command = (*warnings, "-m", "tests.support.reference", str(tmp_path), "--without-sources")
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warn" not in done.stderr
    page = (tmp_path / "geospot" / "evaluation" / "backend.html").read_text(encoding="utf-8")
    assert "BackendFault" in page
    assert (tmp_path / "geospot" / "renderers" / "photos.html").is_file()
    assert (tmp_path / "geospot" / "runs" / "watch.html").is_file()
    assert (tmp_path / "geospot" / "rl" / "advantages.html").is_file()
