"""The pages on results and runs name every file and key that the program really writes, with its type.

A format that isn't ours is refused by everything that reads or goes on with a result.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import geospot
from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_SCRATCH
from tests.support.evaluating import environment
from tests.support.learning import embedded_url, small

ROOT = Path(__file__).parents[2]
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "list": list,
    "object": dict,
}


def tables(page: str) -> dict[str, dict[str, str]]:
    """Of each file that a heading names, key → type, from the reference tables of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for name, body in re.findall(
        r"^### Keys of `([^`]+)`\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE
    ):
        rows = re.findall(r"^\| (`.+?`) \| ([a-z, ]+) \|", body, re.MULTILINE)
        found[name] = {key: kinds for keys, kinds in rows for key in re.findall(r"`([^`]+)`", keys)}
    return found


def unknown(value: Any, known: dict[str, str], prefix: str = "") -> Iterator[str]:
    """Keys of a document that the table lacks, or whose value is of another type than it says."""
    for key, one in value.items():
        name = f"{prefix}{key}"
        kinds = next((kind for entry, kind in known.items() if named(entry, name)), None)
        if kinds is None:
            yield f"{name} isn't on the page"
        elif not any(fits(one, kind.strip()) for kind in kinds.split(",")):
            yield f"{name} is {one!r}, and the page says {kinds}"
        elif isinstance(one, dict) and any(entry.startswith(f"{name}.") for entry in known):
            yield from unknown(one, known, f"{name}.")


def named(entry: str, name: str) -> bool:
    """Whether a table's key is this one; `…` stands for any part of a name."""
    return re.fullmatch(".+".join(re.escape(part) for part in entry.split("…")), name) is not None


def fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def called(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geospot", *map(str, words)],
        cwd=cwd,
        env=environment({"TINKER_API_KEY": "tml-anything"}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    options = ("--dataset", "world", "--limit", "5", "--samples", "2", "--out", "out")
    done = called("eval", "--backend", "prior", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An SFT and a GRPO run with nearly everything on that writes a figure."""
    folder = tmp_path_factory.mktemp("runs")
    with embedded_url(folder / "state") as url:
        settings = small(url, folder / "sft", max_steps=3, eval_every=2, eval_limit=2, nll_every=1)
        sft = [f"{name}={value}" for name, value in settings.items()]
        done = called("sft", *sft, "price_prefill=1", "price_sample=1", "price_train=1", cwd=folder)
        assert done.returncode == 0, done.stderr
        kept = {name: value for name, value in settings.items() if name in RLConfig.model_fields}
        kept |= {"log_path": folder / "rl", "load_checkpoint_path": folder / "sft", "batch_size": 2}
        kept |= {"group_size": 2, "min_rollouts": 0, "kl_penalty_coef": 0.01, "replay_hard": 0.5}
        rl = [f"{name}={value}" for name, value in kept.items() if value != TINY_SCRATCH]
        done = called("rl", *rl, cwd=folder)
        assert done.returncode == 0, done.stderr
    return [folder / "sft", folder / "rl"]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_page_on_results_has_every_key(result: Path) -> None:
    known = tables("results.md")
    assert {path.name for path in result.iterdir()} - {".lock"} == known.keys()
    for name, table in known.items():
        documents = (
            lines(result / name)
            if name.endswith("l")
            else [json.loads((result / name).read_text())]
        )
        assert documents
        assert {wrong for document in documents for wrong in unknown(document, table)} == set(), (
            name
        )


@pytest.mark.timeout(280)
def test_the_page_on_runs_has_every_file_and_key(runs: list[Path]) -> None:
    known = tables("runs.md")
    page = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    lost: set[str] = set()
    for run in runs:
        for path in run.iterdir():
            name = re.sub("_[0-9]{6}", "_NNNNNN", path.name)
            if f"`{name}" not in page:
                lost.add(name)
            if name in known:
                table = known[name]
                documents = lines(path) if name.endswith("l") else [json.loads(path.read_text())]
                lost |= {f"{name}: {wrong}" for row in documents for wrong in unknown(row, table)}
    assert lost == set()
    written = {path.name for run in runs for path in run.iterdir()}
    assert known.keys() - written == set()


def test_a_missing_key_and_a_wrong_type_are_found() -> None:
    table = {"a": "integer", "b": "object", "b.c": "number, null", "d/…": "number"}
    assert list(unknown({"a": 1, "b": {"c": None}, "d/x": 2.5}, table)) == []
    assert len(list(unknown({"a": "1", "b": {"e": 1}, "d/": True}, table))) == 3


@pytest.mark.parametrize("file", ["eval.json", "summary.json"])
def test_another_format_is_refused_and_left_alone(result: Path, tmp_path: Path, file: str) -> None:
    folder = tmp_path / "newer"
    folder.mkdir()
    for path in result.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    document = json.loads((folder / file).read_text())
    assert document["format"] == 1
    (folder / file).write_text(json.dumps(document | {"format": 2}))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for command in (["rescore", folder], ["leaderboard", "compare", folder, result]):
        done = called(*command, cwd=tmp_path)
        assert done.returncode != 0
        assert "is of format 2, not 1" in done.stderr
    if file == "eval.json":
        options = ("--backend", "prior", "--dataset", "world", "--limit", "5", "--samples", "2")
        done = called("eval", *options, "--out", folder, cwd=tmp_path)
        assert done.returncode == 1
        assert "is of format 2, not 1" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["version"] == geospot.__version__
    assert re.search(rf"^## \[?{re.escape(geospot.__version__)}\]?", changes, re.MULTILINE)
