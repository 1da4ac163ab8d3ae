"""What the shell is offered behind an option or a setting's `=`."""

import pytest
from typer.testing import CliRunner

from geospot.cli import app
from geospot.cli.keyvalue import complete_key
from geospot.config.learning import LearnConfig


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
    env = {
        "_GEOSPOT_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    done = CliRunner().invoke(app, prog_name="geospot", env=env)
    assert done.stdout.split() == [offered]


def test_values_of_settings() -> None:
    assert complete_key(LearnConfig, "service=l") == ["service=local"]
    assert "model_name=geospot/tiny-vlm" in complete_key(LearnConfig, "model_name=")
    assert complete_key(LearnConfig, "seed=") == []
    assert complete_key(LearnConfig, "servi") == ["service="]
