"""The commands that the pages show, found and made small enough to be run here.

What stands in is what can't be had: a server of OpenAI's protocol, the hub, the hosted Tinker service. The
command is otherwise the page's own, with settings behind it that make it small; the last one said counts.
"""

import json
import re
import runpy
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from geospot.config.recipes import TINY_SCRATCH

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

# Commands that no test runs, by how they begin, and the reason.
NOT_RUN: Final = {
    "make bench": "measures for an hour and more, beside peers that it installs from the package index",
    "python -m tests.support.record_runs": "trains and evaluates over what tests look at; takes minutes",
}

# Commands that a test elsewhere runs, by how they begin, and where: it has their words from `shown`.
ELSEWHERE: Final = {
    "make demo": "tests/cli/test_score.py",
    "make ": "tests/docs/test_other_programs.py",
    "source ": "tests/docs/test_other_programs.py",
    "pip install": "tests/docs/test_other_programs.py",
    "pip download": "tests/docs/test_other_programs.py",
    "pytest ": "tests/docs/test_other_programs.py",
    "python -m geospot.tui.atlas.pack": "tests/docs/test_other_programs.py",
    "python -m tests.support.take_pictures": "tests/docs/test_other_programs.py",
    "python -m tests.drills": "tests/drills/test_drills_short.py",
    "HF_HUB_OFFLINE=1 transformers serve": "tests/server/test_transformers_serve.py",
    "geospot serve": "tests/server/test_serve_command.py",
    "geospot eval --engine ray": "tests/evaluation/test_ray_engine.py",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a page's block, with its continuations."""

    page: str
    line: str

    @property
    def reason(self) -> str | None:
        """Why no test runs it, None where one does."""
        return next((why for start, why in NOT_RUN.items() if self.line.startswith(start)), None)

    @property
    def elsewhere(self) -> str | None:
        """The file of the test that runs it, None where that is its page's."""
        return next((at for start, at in ELSEWHERE.items() if self.line.startswith(start)), None)


@dataclass(frozen=True, slots=True)
class StandIns:
    """Addresses of what stands in, and a run whose checkpoints can be named."""

    vlm: str
    tinker: str
    run: Path


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        body
        for name, body in re.findall(r"^```(\S*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if name in languages
    ]


def commands(page: Path) -> list[Command]:
    """Every command line of a page; of a block that shows output, the lines behind `$ `."""
    found: list[Command] = []
    for body in blocks(page, "sh"):
        lines = re.sub(r"\\\n\s*", "", body).splitlines()
        shown = any(line.startswith("$ ") for line in lines)
        for line in lines:
            if (shown and not line.startswith("$ ")) or not line.strip():
                continue
            plain = re.sub(r"\s+#.*", "", line.removeprefix("$ ")).strip()
            if plain and not plain.startswith("#"):
                found.append(Command(page.name, plain))
    return found


def shown(start: str) -> list[str]:
    """What the pages show that begins so and can be run, each once, for the tests in `ELSEWHERE`."""
    found = [one for page in PAGES for one in commands(page) if one.line.startswith(start)]
    return list(dict.fromkeys(one.line for one in found if one.reason is None))


def run_module(words: Sequence[str | Path], monkeypatch: pytest.MonkeyPatch) -> int:
    """`python -m MODULE …` in this process, which has most of its imports; the exit code."""
    monkeypatch.setattr(sys, "argv", [*map(str, words[2:])])
    try:
        runpy.run_module(str(words[2]), run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def small(command: Command, there: StandIns) -> list[str]:
    """The words of the command as it is run here, without `geospot`.

    Raises:
        AssertionError: it is no command of geospot.
    """
    line = command.line.replace("http://127.0.0.1:8000/v1", there.vlm)
    line = line.replace("http://HOST:8000", there.tinker)  # a cluster's, where no GPU is needed
    line = line.replace("Qwen/Qwen3-VL-4B-Instruct", "geospot/tiny-vlm")
    line = line.replace("geospot eval … ", "geospot eval --backend constant ")
    line = re.sub(
        r"tinker://…/([a-z_]+)/(\S+)", lambda found: _path(there.run, found[1], found[2]), line
    )
    line = re.sub("@000100", lambda _: f"@{_rows(there.run)[1]['name']}", line)
    program, name, *words = shlex.split(line)
    assert program in ("geospot", "geospot-sft", "geospot-train"), command
    if name == "eval":
        if "--backend" not in words or ("openai" in words and there.vlm not in words):
            words += ["--base-url", there.vlm]
        words += ["--limit", "3", "--no-resume"]
    if name in ("sft", "rl"):
        words = [word for word in words if word != "service=local"] + [f"service={there.tinker}"]
        words += [
            "max_steps=3",
            "max_samples=24",
            "batch_size=2",
            "num_epochs=1",
            "save_every=1",
            "eval_every=0",
        ]
        words += ["max_tokens=24", "behavior_if_log_dir_exists=delete"]
        if name == "sft":
            words += ["test_size=2", f"model_name={TINY_SCRATCH}", "lora_rank=4"]
        else:
            words += ["group_size=2", "min_rollouts=0"]
    return [name, *words]


def _rows(run: Path) -> list[dict[str, str]]:
    file = run / "checkpoints.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _path(run: Path, kind: str, name: str) -> str:
    rows = _rows(run)
    row = rows[-1] if name in ("final", "…") else rows[0]
    return row["sampler_path" if kind == "sampler_weights" else "state_path"]
