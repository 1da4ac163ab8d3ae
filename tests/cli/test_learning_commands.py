"""`geospot sft` and `geospot rl`: what they can be told, and how they answer what makes no sense."""

import asyncio
import json
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from geospot.cli.eval import app as evaluation
from geospot.cli.keyvalue import complete_key, read_settings, setting_rows
from geospot.cli.learning import train
from geospot.cli.rl import app as rl
from geospot.cli.sft import app as sft
from geospot.config.evaluation import EvalConfig
from geospot.config.learning import LearnConfig, RLConfig, SFTConfig
from geospot.errors import UsageError
from geospot.evaluation.evaluate import evaluate
from geospot.evaluation.progress import TerminalView
from geospot.learning.session import Finished
from tests.support.evaluating import geospot
from tests.support.learning import checkpoint_rows, engine_url, rows_of
from tests.support.vlm_server import dead_port


def test_settings_are_read_as_they_are_written() -> None:
    config = read_settings(
        RLConfig,
        [
            "hf_repo=world",
            "coord_tau=25,2000",
            "learning-rate=1e-4",
            "balance_by_country=true",
            "max_image_size=none",
            "columns=lat=y,lon=x",
            "prompt=Where = here?",
            "eval_limit=all",
            "batch_size=2",
            "batch_size=3",
        ],
        None,
    )
    assert config.coord_tau == [25.0, 2000.0]
    assert config.learning_rate == 1e-4
    assert config.balance_by_country
    assert config.max_image_size is None
    assert config.columns == ["lat=y", "lon=x"]
    assert config.prompt == "Where = here?"
    assert config.eval_limit == "all"
    assert config.batch_size == 3


def test_what_is_said_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sft.toml"
    file.write_text('batch_size = 4\nseed = 7\ncolumns = ["lat=y"]\n')
    for arguments, config in ((["seed=8"], file), (["seed=8", f"config={file}"], None)):
        read = read_settings(SFTConfig, arguments, config)
        assert (read.batch_size, read.seed, read.columns) == (4, 8, ["lat=y"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("batchsize=3", "Did you mean 'batch_size'"),
        ("group_size=3", "There is no setting 'group_size'"),  # belongs to rl
        ("batch_size", "is no setting"),
        ("=3", "is no setting"),
        ("batch_size=three", "batch_size: input should be a valid integer"),
        ("batch_size=0", "batch_size"),
        ("lr_schedule=sine", "lr_schedule"),
        ("config=nowhere.toml", "nowhere.toml"),
    ],
)
def test_what_makes_no_sense_is_told(argument: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_settings(SFTConfig, [argument], None)


@pytest.mark.parametrize(("app", "model"), [(sft, SFTConfig), (rl, RLConfig)])
def test_help_lists_every_setting(app: typer.Typer, model: type[LearnConfig]) -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).output
    lines = [
        line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line.strip()
    ]
    assert set(model.model_fields) <= set(lines)


def test_help_tells_unit_default_and_what_a_tiny_model_gets() -> None:
    told = dict(setting_rows(RLConfig, "rl"))
    assert "[km, default: 25]" in told["coord_tau"]
    assert "[steps, default: 20]" in told["save_every"]
    assert "[default: 32, tiny models: 0]" in told["lora_rank"]
    assert "[default: false]" in told["balance_by_country"]
    assert "[default" not in told["api_key_env"]  # its sentence says which


def test_the_shell_completes_keys() -> None:
    assert complete_key(SFTConfig, "batch") == ["batch_size="]
    assert complete_key(SFTConfig, "batch_size=") == []
    assert "config=" in complete_key(SFTConfig, "")


@pytest.mark.timeout(900)
def test_from_nothing_to_a_model_that_can_be_evaluated(tmp_path: Path) -> None:
    state = {"GEOSPOT_STATE_DIR": str(tmp_path / "state")}
    settings = {
        "service": "local",
        "hf_repo": "world",
        "max_samples": 32,
        "test_size": 8,
        "eval_limit": 4,
        "max_tokens": 24,
        "log_path": tmp_path / "sft",
    }
    command = ["sft", *(f"{key}={value}" for key, value in settings.items())]
    trained = geospot(*command, env=state)
    assert trained.returncode == 0, trained.stderr
    assert "2 of 2 steps done." in trained.stdout
    opening = "Training all weights of geospot/tiny-vlm-scratch on 32 photos of world"
    assert opening in trained.stderr
    assert [row["name"] for row in checkpoint_rows(tmp_path / "sft")][-2:] == [
        "final",
        "eval-000002",
    ]
    assert {"train_mean_nll", "eval/geoscore"} <= rows_of(tmp_path / "sft")[0].keys()
    written = json.loads((tmp_path / "sft" / "config.json").read_bytes())
    assert (written["batch_size"], written["lora_rank"], written["prompt"]) == (16, 0, "tiny")

    with engine_url(tmp_path / "state") as url:
        config = EvalConfig(
            backend="tinker",
            base_url=url,
            model=str(tmp_path / "sft"),
            limit=3,
            max_tokens=24,
            out=tmp_path / "result",
        )
        done = asyncio.run(evaluate(config, TerminalView()))
    assert done.ending == "complete"
    assert done.manifest["prompt"]["text"] == "Where was this photo taken?"

    with dead_port() as port:  # refused before anybody is asked
        again = geospot(*command, f"service=http://127.0.0.1:{port}", env=state)
    assert again.returncode == 2
    assert "already holds a run" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.fixture
def in_the_background() -> Generator[None]:
    """As a shell starts what a script has in the background: what Ctrl-C sends is ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def _starts_for_ever(*_: object, **__: object) -> Finished:
    """What `geospot runs stop` sends while a run starts, and a run that doesn't end by itself."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(60)
    raise AssertionError("nobody heard")


@pytest.mark.usefixtures("in_the_background")
def test_a_training_in_the_background_of_a_script_hears_of_its_end_while_it_starts() -> None:
    with pytest.raises(KeyboardInterrupt):
        train(_starts_for_ever, SFTConfig())


@pytest.mark.usefixtures("in_the_background")
def test_an_evaluation_in_the_background_of_a_script_does_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geospot.evaluation.evaluate.evaluate", _starts_for_ever)
    done = CliRunner().invoke(evaluation, ["--backend", "constant"])
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 130
    assert "Every answer is kept" in done.output
