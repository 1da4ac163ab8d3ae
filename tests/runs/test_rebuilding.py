"""Settings are told again as they were: from config.json to a command line, and back to the same run."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from geospot.cli.eval import app as eval_app
from geospot.cli.keyvalue import read_settings
from geospot.config.learning import LearnConfig, RLConfig, SFTConfig
from geospot.config.recipes import TINY_SCRATCH, Kind, with_recipe
from geospot.errors import UsageError
from geospot.prompts import load_prompt
from geospot.runs.control import branch_settings, evaluation_settings, resume_settings
from geospot.runs.launching import Command, command_line, launch, shown
from geospot.runs.opening import changes
from geospot.runs.rebuilding import directory_of, keep_prompt, rooted, settings_again
from tests.support.run_child import checkpoint
from tests.support.written_runs import full_config

MODELS: dict[Command, type[LearnConfig]] = {"sft": SFTConfig, "rl": RLConfig}


def written(folder: Path, config: dict[str, Any]) -> Path:
    """A run directory with this configuration and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_checkpoint(run: Path) -> None:
    """A checkpoint of both kinds."""
    (run / "checkpoints.jsonl").write_text(json.dumps(checkpoint(3).to_json()) + "\n")


def told_again(run: Path) -> tuple[LearnConfig, dict[str, Any]]:
    """The configuration that a resumed run fills from its command line, and what is recorded of it."""
    kind, settings = resume_settings(run)
    config = read_settings(MODELS[kind], command_line(kind, settings)[2:], None)
    full = with_recipe(config, "rl" if kind == "rl" else "sft", TINY_SCRATCH)
    return config, full.model_dump(mode="json")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("sft", {}),
        ("rl", {"group_size": 4}),  # the model's default, and not the recipe's
        ("rl", {"coord_tau": [25.0, 2000.0], "tau_schedule": "adaptive", "trackers": ["wandb"]}),
        ("sft", {"max_image_size": None, "columns": ["lat=y", "lon=x"], "eval_limit": "all"}),
        (
            "sft",
            {"balance_by_country": True, "train_unembed": False, "lora_rank": 8, "ttl_days": None},
        ),
        (
            "sft",
            {"learning_rate": 1.2345678e-5, "adam_eps": 1e-9, "system_prompt": "a = b, 'c'\n\"d\""},
        ),
    ],
)
def test_a_resumed_run_is_told_what_it_was_told(
    tmp_path: Path, kind: Kind, said: dict[str, Any]
) -> None:
    recorded = full_config(kind, tmp_path, **said) | {"kind": kind}
    config, again = told_again(written(tmp_path, recorded))
    differing = changes(recorded, again)
    assert differing.pop("behavior_if_log_dir_exists", None) == ("ask", "resume")
    assert differing == {}
    assert config.log_path == tmp_path


def test_what_was_settled_by_another_run_is_told_as_well(tmp_path: Path) -> None:
    start = written(tmp_path / "start", full_config("sft", tmp_path) | {"kind": "sft"})
    config = full_config("rl", tmp_path, load_checkpoint_path=str(start)) | {"kind": "rl"}
    _, settings = settings_again(written(tmp_path / "run", config))
    assert settings["max_image_size"] == 512  # a default, but the other run may have had another
    assert settings["renderer_name"] == "qwen3_vl_instruct"


def test_prompts_are_told_by_name_text_or_file(tmp_path: Path) -> None:
    texts = {"prompt": "inline", "prompt_text": "Where = this?\nSay it."}
    run = written(tmp_path / "inline", full_config("sft", tmp_path) | texts | {"kind": "sft"})
    kind, settings = resume_settings(run)
    config = read_settings(SFTConfig, command_line(kind, settings)[2:], None)
    assert load_prompt(str(config.prompt)) == load_prompt(texts["prompt_text"])

    texts = {"prompt": "mine.txt", "prompt_text": "Where?"}
    run = written(tmp_path / "file", full_config("sft", tmp_path) | texts | {"kind": "sft"})
    _, settings = resume_settings(run)
    assert not (run / "prompt").exists()  # nothing is written until it goes on
    keep_prompt(run, settings)
    prompt = load_prompt(str(settings["prompt"]))
    assert (prompt.name, prompt.text) == ("mine.txt", "Where?")

    other = full_config("rl", tmp_path, load_checkpoint_path=str(run)) | texts | {"kind": "rl"}
    _, settings = settings_again(written(tmp_path / "other", other))
    assert "prompt" not in settings  # it is that of the run it started from

    evil = full_config("sft", tmp_path) | {"prompt": "../../x", "prompt_text": "a b", "kind": "sft"}
    with pytest.raises(UsageError, match="is no file's name"):
        settings_again(written(tmp_path / "evil", evil))


def test_relative_paths_are_meant_from_where_the_run_was_started(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    config = full_config("sft", tmp_path) | {"provenance": {"cwd": str(tmp_path)}, "kind": "sft"}
    run = written(tmp_path / "run", config)
    assert directory_of(run) == tmp_path
    assert rooted(run, "photos") == str(tmp_path / "photos")
    assert rooted(run, "osv5m/osv5m") == "osv5m/osv5m"
    for name in ("train-000.tar", "train-001.tar"):
        (tmp_path / "photos" / name).touch()
    for pattern in ("photos/train-{000..001}.tar", "photos/*.tar"):
        assert rooted(run, pattern) == str(tmp_path / pattern)
    for nothing in ("photos/train-{000..002}.tar", "gone/*.tar", "photos/train-{0..9999999}.tar"):
        assert rooted(run, nothing) == nothing
    for gone in ({}, {"provenance": 3}, {"provenance": {"cwd": str(tmp_path / "gone")}}):
        assert directory_of(written(tmp_path / "run", config | {"provenance": None} | gone)) is None


@pytest.mark.parametrize("value", [None, 7, [], {"a": 1}, ["x"], "\x00"])
def test_a_configuration_that_somebody_spoilt_is_a_sentence(tmp_path: Path, value: Any) -> None:
    config = dict.fromkeys(full_config("rl", tmp_path), value) | {"kind": "rl", "provenance": value}
    run = written(tmp_path / "run", config)
    write_checkpoint(run)
    for act in (
        lambda: launch(*settings_again(run), tmp_path / "new"),
        lambda: launch(*branch_settings(run, "000003", {}, tmp_path / "new"), tmp_path / "new"),
    ):
        with pytest.raises(UsageError):
            act()
    assert isinstance(evaluation_settings(run, "000003", {}), dict)


@pytest.mark.parametrize("name", ["none", "null", "None"])
def test_a_word_that_would_be_read_as_nothing_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no value at all"):
        command_line("sft", {"project": name})
    with pytest.raises(UsageError, match="no setting 'group_size'"):
        command_line("sft", {"group_size": 3})


def test_the_command_of_an_evaluation_is_read_as_it_was_meant() -> None:
    settings: dict[str, Any] = {
        "backend": "constant",
        "model": "-33.8,151.2",
        "limit": "all",
        "canary": False,
        "dry_run": True,
        "resume": True,
        "columns": ["lat=y", "lon=x"],
        "extra_body": {"top_p": 0.9},
        "price_in": 0.5,
        "base_url": None,
    }
    command = command_line("eval", settings)
    context = typer.main.get_command(eval_app).make_context("eval", command[2:])
    read = {key: value for key, value in context.params.items() if value not in (None, [], ())}
    expected = {key: value for key, value in settings.items() if value is not None}
    assert read | {"columns": list(read["columns"])} == expected | {"extra_body": '{"top_p": 0.9}'}
    assert "'--extra-body={\"top_p\": 0.9}'" in shown(command)
    with pytest.raises(UsageError, match="max-image-size is nothing"):
        command_line("eval", {"max_image_size": None})
