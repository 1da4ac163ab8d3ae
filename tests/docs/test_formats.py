"""The pages on results and runs name every file and key that the program really writes, with its type.

A format that isn't ours is refused by everything that reads or goes on with a result.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import geospot
from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.recipes import TINY_MODEL
from tests.support.evaluating import environment
from tests.support.learning import engine_url, small
from tests.support.vlm_server import Asked, Behaviour, VlmServer
from tests.support.warm import Warm

ROOT = Path(__file__).parents[2]
SMALL = ("--dataset", "world", "--limit", "5")
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "list": list,
    "object": dict,
}


# Keys that nothing here writes, and why.
UNSEEN = {
    "eval.json": {
        "backend.exported": "of a model that was exported",
        "backend.default_prompt": "of a base model that has a prompt of its own",
        "rescored": "`geospot rescore` writes it",
    },
    "events.jsonl": {
        "done": "every 10 s",
        "worker": "of --engine ray",
        "open": "of --engine ray",
    },
    "checkpoints.jsonl": {"diverged": "where training diverges"},
    "metrics.jsonl": {
        f"env/{tag}/turn_{turn}/geoscore": "of three turns about photos shown again"
        for tag in ("fresh", "replayed")
        for turn in (1, 2, 3)
    },
}
ANYTHING = ", ".join(TYPES)


def spelled_out(entry: str) -> list[str]:
    """The keys that an entry stands for: `{a,b}` is each of them."""
    before, brace, rest = entry.partition("{")
    if not brace:
        return [entry]
    choices, _, after = rest.partition("}")
    return [before + choice + end for choice in choices.split(",") for end in spelled_out(after)]


def tables(page: str) -> dict[str, dict[str, str]]:
    """Of each file that a heading names, key → type, from the reference tables of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for name, body in re.findall(
        r"^### Keys of `([^`]+)`\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE
    ):
        rows = re.findall(r"^\| (`.+?`) \| ([a-z, ]+) \|", body, re.MULTILINE)
        found[name] = {
            key: kinds
            for keys, kinds in rows
            if set(kinds.split(", ")) <= TYPES.keys()  # or it is another table below the heading
            for entry in re.findall(r"`([^`]+)`", keys)
            for key in spelled_out(entry)
        }
    return found


def unknown(value: Any, known: dict[str, str], prefix: str = "") -> Iterator[str]:
    """Keys of a document that the table lacks, or whose value is of another type than it says."""
    for key, one in value.items():
        name = f"{prefix}{key}"
        kinds = known.get(name)
        if kinds is None:
            yield f"{name} isn't on the page"
        elif not any(fits(one, kind.strip()) for kind in kinds.split(",")):
            yield f"{name} is {one!r}, and the page says {kinds}"
        elif isinstance(one, dict) and any(entry.startswith(f"{name}.") for entry in known):
            yield from unknown(one, known, f"{name}.")


def seen(value: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a document, those of objects in it behind a dot."""
    for key, one in value.items():
        yield f"{prefix}{key}"
        if isinstance(one, dict):
            yield from seen(one, f"{prefix}{key}.")


def fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def run(warm: Warm, cwd: Path, *words: str | Path) -> None:
    """The program, which has to succeed."""
    done = warm.run(words, cwd, environment({"TINKER_API_KEY": "tml-anything"}))
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    run(warm, folder, "eval", "--backend", "prior", *SMALL, "--samples", "2", "--out", "prior")
    return folder / "prior"


@pytest.fixture(scope="module")
def results(result: Path, runs: list[Path], warm: Warm) -> list[Path]:
    """A result of each backend, and of a finished file; the server of one fails at first."""
    folder = result.parent
    sick = Behaviour(kind="status", status=503, headers=(("Retry-After", "0"),))

    def plan(asked: Asked) -> Behaviour:
        return sick if asked.attempt == 0 else Behaviour()

    with VlmServer(plan) as server:
        asked = ("--backend", "openai", "--base-url", server.base_url, "--model", "some-vlm")
        run(warm, folder, "eval", *asked, *SMALL, "--out", "openai")
    run(warm, folder, "eval", "--backend", "constant", *SMALL, "--out", "constant")
    file = folder / "openai" / "samples.jsonl"
    run(warm, folder, "eval", "--backend", "replay", "--model", file, *SMALL, "--out", "replay")
    run(warm, folder, "score", file, "--dataset", "world", "--limit", "5", "--out", "score")
    evaluations = sorted((runs[0] / "evals").iterdir())
    written = ("prior", "openai", "constant", "replay", "score")
    return [*(folder / name for name in written), evaluations[-1]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> list[Path]:
    """Runs of SFT and GRPO with nearly everything on that writes a figure."""
    folder = tmp_path_factory.mktemp("runs")
    with engine_url(folder / "state") as url:
        settings = small(url, folder / "sft", max_steps=3, eval_every=2, eval_limit=2, nll_every=1)
        settings |= {f"price_{kind}": 1 for kind in ("prefill", "sample", "train")}
        run(warm, folder, "sft", *told(settings))
        # Nothing is shown again in the first nine steps, nor where nothing is answered.
        kept = {name: value for name, value in settings.items() if name in RLConfig.model_fields}
        kept |= {"model_name": TINY_MODEL, "max_tokens": 96, "coord_tau": 2000, "max_steps": 13}
        kept |= {"batch_size": 2, "group_size": 2, "eval_every": 13}
        kept |= {"kl_penalty_coef": 0.01, "replay_hard": 0.5}
        kept |= {f"{name}_coef": 0.1 for name in ("city", "region", "country")}
        run(warm, folder, "rl", *told(kept | {"log_path": folder / "rl"}))
        turns = {"env": "telescoping", "kl_reference": "base", "max_steps": 2}
        turns |= {"log_path": folder / "turns", "replay_hard": 0}
        run(warm, folder, "rl", *told(kept | turns | {"eval_every": 0}))
    return [folder / "sft", folder / "rl", folder / "turns"]


def told(settings: dict[str, Any]) -> list[str]:
    """Settings as words."""
    return [f"{name}={value}" for name, value in settings.items()]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def documents(file: Path) -> list[dict[str, Any]]:
    return lines(file) if file.suffix == ".jsonl" else [json.loads(file.read_text())]


def wrong_on_page(known: dict[str, dict[str, str]], folders: list[Path]) -> list[str]:
    """Where the tables and what is written differ, in either direction."""
    lost: dict[str, None] = {}
    for name, table in known.items():
        there = [one for folder in folders if (folder / name).is_file()
                 for one in documents(folder / name)]  # fmt: skip
        lost |= dict.fromkeys(f"{name}: {one}" for row in there for one in unknown(row, table))
        never = table.keys() - {key for row in there for key in seen(row)}
        lost |= dict.fromkeys(f"{name}: {key} is on the page, and nothing has it"
                              for key in sorted(never - UNSEEN.get(name, {}).keys()))  # fmt: skip
        lost |= dict.fromkeys(f"{name}: {key} is excused here, and isn't on the page"
                              for key in sorted(UNSEEN.get(name, {}).keys() - table.keys()))  # fmt: skip
    return list(lost)


@pytest.mark.timeout(900)
def test_the_page_on_results_has_every_key(results: list[Path]) -> None:
    known = tables("results.md")
    assert {path.name for path in results[0].iterdir()} - {".lock"} == known.keys()
    wrong = wrong_on_page(known, results)
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(900)  # also for the runs, which the first test of them makes
def test_the_page_on_runs_has_every_file_and_key(runs: list[Path]) -> None:
    known = tables("runs.md")
    page = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    written = {re.sub("_[0-9]{6}", "_NNNNNN", path.name) for run in runs for path in run.iterdir()}
    assert [name for name in sorted(written) if f"`{name}" not in page] == []
    settings = SFTConfig.model_fields.keys() | RLConfig.model_fields.keys()
    known["config.json"] |= dict.fromkeys(settings, ANYTHING)
    wrong = wrong_on_page(known, runs)
    assert not wrong, "\n".join(wrong)


def test_a_key_that_nothing_writes_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": {"c": 1}}')
    known = {"a.json": {"b": "object", "b.c": "integer", "d": "string"}}
    assert wrong_on_page(known, [tmp_path]) == ["a.json: d is on the page, and nothing has it"]


def test_a_missing_key_and_a_wrong_type_are_found() -> None:
    table = {"a": "integer", "b": "object", "b.c": "number, null"}
    table |= dict.fromkeys(spelled_out("d/{x,y}/{1,2}km"), "number")
    assert list(unknown({"a": 1, "b": {"c": None}, "d/y/2km": 2.5}, table)) == []
    assert len(list(unknown({"a": "1", "b": {"e": 1}, "d/x/1km": True}, table))) == 3


@pytest.mark.parametrize("file", ["eval.json", "summary.json"])
def test_another_format_is_refused_and_left_alone(
    result: Path, tmp_path: Path, warm: Warm, file: str
) -> None:
    folder = tmp_path / "newer"
    folder.mkdir()
    for path in result.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    document = json.loads((folder / file).read_text())
    assert document["format"] == 1
    (folder / file).write_text(json.dumps(document | {"format": 2}))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for command in (("rescore", folder), ("leaderboard", "compare", folder, result)):
        done = warm.run([*command], tmp_path, environment())
        assert done.returncode != 0
        assert "is of format 2, not 1" in done.stderr
    if file == "eval.json":
        words = ["eval", "--backend", "prior", *SMALL, "--samples", "2", "--out", folder]
        done = warm.run(words, tmp_path, environment())
        assert done.returncode == 1
        assert "is of format 2, not 1" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["version"] == geospot.__version__
    assert re.search(rf"^## \[?{re.escape(geospot.__version__)}\]?", changes, re.MULTILINE)
