"""Run directories: which checkpoint is meant, and how its model was asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from geospot.errors import UsageError
from geospot.prompts import PROMPTS
from geospot.runs.checkpoints import choose_checkpoint, read_settings


def run_with(folder: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "checkpoints.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def row(name: str, batch: int, *, sampler: bool = True) -> dict[str, Any]:
    paths = {"state_path": f"tinker://r/weights/{name}"}
    if sampler:
        paths["sampler_path"] = f"tinker://r/sampler_weights/{name}"
    return {"name": name, "batch": batch} | paths


def test_the_final_checkpoint_is_taken(tmp_path: Path) -> None:
    run = run_with(tmp_path, row("000010", 10), row("final", 20), row("000030", 30))
    assert choose_checkpoint(run).sampler_path == "tinker://r/sampler_weights/final"


def test_without_a_final_one_the_newest_that_can_be_sampled(tmp_path: Path) -> None:
    run = run_with(tmp_path, row("000010", 10), row("000020", 20), row("final", 3, sampler=False))
    assert choose_checkpoint(run).name == "000020"


def test_one_is_picked_by_name(tmp_path: Path) -> None:
    run = run_with(tmp_path, row("000010", 10), row("final", 20))
    assert choose_checkpoint(run, "000010").batch == 10
    with pytest.raises(UsageError, match=r"no checkpoint '000011'.*000010, final"):
        choose_checkpoint(run, "000011")


def test_a_checkpoint_for_training_only_is_refused_with_the_others(tmp_path: Path) -> None:
    run = run_with(tmp_path, row("a", 1, sampler=False), row("b", 2))
    with pytest.raises(UsageError, match=r"not for sampling.*It has b"):
        choose_checkpoint(run, "a")


def test_torn_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    run = run_with(tmp_path, row("000010", 10), "[1]", '{"batch": 3}', '{"name": "final", "sam')
    assert choose_checkpoint(run).name == "000010"


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run directory with checkpoints"):
        choose_checkpoint(tmp_path)
    with pytest.raises(UsageError, match="no checkpoint to sample from"):
        choose_checkpoint(run_with(tmp_path))


def test_settings_of_ours_and_of_the_cookbook(tmp_path: Path) -> None:
    ours = {
        "model_name": "geospot/tiny-vlm",
        "renderer_name": "qwen3_vl_instruct",
        "prompt": "coordinates",
        "max_image_size": 96,
    }
    (tmp_path / "config.json").write_text(json.dumps(ours), encoding="utf-8")
    settings = read_settings(tmp_path)
    assert (settings.model_name, settings.renderer_name) == (
        "geospot/tiny-vlm",
        "qwen3_vl_instruct",
    )
    assert settings.max_image_size == 96
    assert settings.prompt is not None
    assert settings.prompt.text == PROMPTS["coordinates"]
    nested = {
        "model_name": "Qwen/Qwen3.8-27B",
        "dataset_builder": {"common_config": {"renderer_name": "qwen3_8_disable_thinking"}},
    }
    (tmp_path / "config.json").write_text(json.dumps(nested), encoding="utf-8")
    settings = read_settings(tmp_path)
    assert settings.renderer_name == "qwen3_8_disable_thinking"
    assert settings.prompt is None


def test_the_prompt_s_own_text_wins_over_its_name(tmp_path: Path) -> None:
    config = {"prompt": "mine.txt", "prompt_text": "Where?", "system_prompt": "Be brief."}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    prompt = read_settings(tmp_path).prompt
    assert prompt is not None
    assert (prompt.name, prompt.text, prompt.system) == ("mine.txt", "Where?", "Be brief.")


def test_no_settings_and_broken_ones(tmp_path: Path) -> None:
    assert read_settings(tmp_path).model_name is None
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"config\.json can't be read"):
        read_settings(tmp_path)
