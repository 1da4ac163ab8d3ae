"""Presets fit the commands that they are for, and settings survive being written down."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from geospot.cli.keyvalue import read_settings
from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.load import build, read_toml
from geospot.config.presets import PRESETS, Preset
from geospot.config.save import save_toml, toml_text
from geospot.config.text import (
    is_choice,
    read_option,
    read_setting,
    setting_text,
    shell_line,
    words_of,
)
from geospot.errors import UsageError
from geospot.runs.launching import MODELS
from geospot.textsafe import printable


@pytest.mark.parametrize("preset", PRESETS, ids=[preset.title for preset in PRESETS])
def test_a_preset_fits_its_command_once_what_it_asks_for_is_given(preset: Preset) -> None:
    given = dict.fromkeys(preset.fill, "a-model")
    config = build(MODELS[preset.kind], preset.settings, given, dashes=False)
    for name, value in preset.settings.items():
        assert getattr(config, name) == value
    assert preset.meaning.endswith(".")
    assert Path(preset.folder).name == preset.folder


@pytest.mark.parametrize(
    "value",
    [0.0005, 1e-8, 0.1, 1 / 3, 123456.789, 2000.0, True, False, 7, "Where = here?", None],
)
def test_what_is_written_for_a_value_is_read_as_that_value(value: Any) -> None:
    names: dict[type, str] = {float: "coord_coef", bool: "train_attn", int: "seed", str: "project"}
    name = "max_image_size" if value is None else names[type(value)]
    config = read_settings(RLConfig, [f"{name}={setting_text(value)}"], None)
    assert getattr(config, name) == value


def test_lists_are_written_with_commas_and_an_item_that_holds_one_is_refused() -> None:
    assert setting_text([25.0, 2000.0]) == "25,2000"
    field = RLConfig.model_fields["coord_tau"]
    assert read_setting(field, "25, 2000,") == ["25", "2000"]
    for items in (["lat=a,b"], [""], [" x"]):
        with pytest.raises(UsageError, match="commas"):
            setting_text(items)


def test_nothing_has_a_word_for_keys_and_none_for_options() -> None:
    field = SFTConfig.model_fields["max_image_size"]
    assert read_setting(field, "none") is None
    temperature = MODELS["eval"].model_fields["temperature"]
    assert read_option(temperature, "none") == "none"
    body = MODELS["eval"].model_fields["extra_body"]
    assert read_option(body, '{"top_p": 0.5}') == {"top_p": 0.5}
    for text in ('{"top_p": NaN}', "[1]", "{", "[" * 100_000):
        with pytest.raises(UsageError, match="extra-body"):
            read_option(body, text)


def test_a_shell_reads_the_words_that_were_written_and_nothing_else() -> None:
    words = ["a b", "it's", "x\x1b[31m'y\\n\n\u202e", "$HOME", "", "ä"]
    line = shell_line(["printf", "%s\\0", *words])
    assert printable(line) == line
    utf8 = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env=utf8)
    assert done.stdout.decode().split("\0")[:-1] == words


def test_choices_are_told_from_words_among_other_values() -> None:
    fields = SFTConfig.model_fields
    assert is_choice(fields["lr_schedule"])
    assert words_of(fields["lr_schedule"]) == ("cosine", "linear", "constant")
    assert not is_choice(fields["eval_limit"])
    assert words_of(fields["eval_limit"]) == ("all",)
    assert not is_choice(fields["trackers"])
    assert words_of(fields["trackers"]) == ("wandb", "trackio", "tensorboard")
    assert not is_choice(fields["seed"])


def test_settings_written_as_toml_are_the_same_when_they_are_read(tmp_path: Path) -> None:
    settings = {
        "hf_repo": 'a "world"\n\x1b[31m\u202e',
        "learning_rate": 1 / 3,
        "columns": ["lat=y", "lon=x"],
        "log_path": Path("runs/ä b"),
        "train_attn": False,
    }
    file = tmp_path / "sft.toml"
    save_toml(file, settings, "geospot sft --config sft.toml")
    assert file.read_text(encoding="utf-8").startswith("# geospot sft --config sft.toml\n")
    assert build(SFTConfig, read_toml(file)) == build(SFTConfig, settings)


def test_what_toml_cannot_say_is_named() -> None:
    with pytest.raises(UsageError, match="max_image_size=none"):
        toml_text({"max_image_size": None})
    with pytest.raises(UsageError, match="TOML"):
        toml_text({"extra_body": {"stop": None}})


def test_a_file_that_is_no_configuration_gets_one_sentence(tmp_path: Path) -> None:
    long, binary, deep = tmp_path / "long.toml", tmp_path / "bin.toml", tmp_path / "deep.toml"
    number, pipe = tmp_path / "number.toml", tmp_path / "pipe.toml"
    long.write_text("a = 1\n" * 2000)
    binary.write_bytes(b"\xff\xfe\x00")
    deep.write_text("a = " + "[" * 5000)
    number.write_text("a = " + "9" * 5000)
    os.mkfifo(pipe)
    said = {
        long: "too long",
        binary: "not valid TOML",
        deep: "nested too deeply",
        number: "not valid TOML",
        pipe: "not a file",
        tmp_path: "not a file",
        tmp_path / "none.toml": "can't be read",
    }
    for file, words in said.items():
        with pytest.raises(UsageError, match=words) as refusal:
            read_toml(file, limit_bytes=10_000)
        assert "\n" not in str(refusal.value)
