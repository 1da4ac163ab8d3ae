"""What the shell is offered behind an option or a setting's `=`."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geospot.cli import app
from geospot.cli.keyvalue import complete_key
from geospot.config.learning import LearnConfig

RECORDINGS = Path(__file__).parents[1] / "recordings"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("geospot eval --backend loc", "local"),
        ("geospot eval --backend local --model geospot/tiny-vlm-", "geospot/tiny-vlm-scratch"),
        ("geospot checkpoints list --service ti", "tinker"),
        ("geospot sft service=lo", "service=local"),
    ],
)
def test_values_of_options(typed: str, offered: str) -> None:
    assert completed(typed) == [offered]


def completed(typed: str) -> list[str]:
    """What bash is offered behind these words."""
    env = {
        "_GEOSPOT_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    return CliRunner().invoke(app, prog_name="geospot", env=env).stdout.split()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with runs and results where they usually lie, and one elsewhere."""
    for name in ("results", "runs"):
        shutil.copytree(RECORDINGS / name, tmp_path / name, symlinks=True)
    shutil.copytree(RECORDINGS / "results" / "prior", tmp_path / "elsewhere" / "prior")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("geospot rescore results/p", ["results/prior"]),
        ("geospot rescore elsewhere/", ["elsewhere/prior"]),
        ("geospot leaderboard compare results/rl results/s", ["results/sft"]),
        ("geospot report results/pr", ["results/prior"]),
        (
            "geospot report results/prior runs/rl",
            ["runs/rl", *(f"runs/rl/evals/step-{step:06d}" for step in (0, 6, 12))],
        ),
    ],
)
def test_results_and_runs(here: Path, typed: str, offered: list[str]) -> None:
    assert completed(typed) == offered


def test_values_of_settings() -> None:
    assert complete_key(LearnConfig, "service=l") == ["service=local"]
    assert "model_name=geospot/tiny-vlm" in complete_key(LearnConfig, "model_name=")
    assert complete_key(LearnConfig, "seed=") == []
    assert complete_key(LearnConfig, "servi") == ["service="]
