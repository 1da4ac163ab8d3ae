"""The form of a configuration: its fields, what is said and wrong, and the command that does the same."""

from pathlib import Path

import pytest

from geospot.cli.keyvalue import read_settings
from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_SCRATCH
from geospot.errors import UsageError
from geospot.runs.launching import MODELS, Command
from geospot.tui.form import HIDDEN, Form, fields_of, fitting_kind
from geospot.tui.screens.launch_list import rows_of


@pytest.mark.parametrize("kind", ["sft", "rl", "eval"])
def test_every_setting_of_a_command_is_a_field_with_a_section_and_a_meaning(kind: Command) -> None:
    fields = fields_of(kind)
    assert {field.name for field in fields} == MODELS[kind].model_fields.keys() - {"dry_run"}
    assert all(field.section and field.description for field in fields)
    sections = [field.section for field in fields]
    assert sections == [s for name in dict.fromkeys(sections) for s in sections if s == name]
    for section in dict.fromkeys(sections):
        usual = [field.is_usual for field in fields if field.section == section]
        assert usual == sorted(usual, reverse=True)


def test_what_is_said_makes_the_same_configuration_as_its_command() -> None:
    form = Form("rl", {"hf_repo": "world", "coord_tau": [25.0, 2000.0], "max_image_size": None})
    form.say("learning_rate", "1e-4")
    form.say("normalize_advantages", "true")
    form.say("prompt", "Where is 'this'?")
    command = form.command()
    assert command[:2] == ["geospot", "rl"]
    assert read_settings(RLConfig, command[2:], None) == form.check().config


def test_each_field_has_its_own_reason_and_the_model_its_own() -> None:
    form = Form("rl")
    form.say("batch_size", "0")
    form.say("lr_schedule", "sine")
    form.say("coord_tau", "25,-1")
    checked = form.check()
    assert checked.config is None
    assert checked.wrong.keys() == {"batch_size", "lr_schedule", "coord_tau"}
    assert "greater than or equal to 1" in checked.wrong["batch_size"]
    for name in checked.wrong:
        form.take_back(name)
    form.say("num_substeps", "99")
    assert "num_substeps is larger than batch_size" in form.check().whole
    with pytest.raises(UsageError):
        form.command()


def test_usual_values_are_those_of_the_recipe_for_the_model() -> None:
    form = Form("sft")
    assert form.shown("learning_rate") == "0.0005"
    form.say("service", "local")
    assert form.base_model == TINY_SCRATCH
    assert (form.shown("learning_rate"), form.shown("batch_size")) == ("0.003", "16")
    form.say("model_name", "Qwen/some-VL")
    assert (form.shown("learning_rate"), form.shown("batch_size")) == ("0.0005", "8")
    form.checkpoint_model = TINY_SCRATCH
    form.take_back("model_name")
    form.take_back("service")
    assert form.shown("prompt") == "tiny"


def test_keys_that_are_no_settings_are_kept_and_named_with_the_nearest() -> None:
    form = Form("sft", {"batchsize": 3, "zzz": [1], "seed": 4})
    assert form.unknown == {"batchsize": "3", "zzz": "1"}
    checked = form.check()
    assert checked.config is None
    assert checked.wrong["batchsize"] == "no such setting; did you mean batch_size?"
    assert checked.wrong["zzz"] == "no such setting"
    form.take_back("batchsize")
    form.take_back("zzz")
    assert form.check().config is not None


def test_the_record_of_a_run_fills_a_form_with_what_makes_it_this_run() -> None:
    record = {
        "kind": "rl",
        "provenance": {"git": None},
        "prompt": "mine.txt",
        "prompt_text": "Where is this?\nSay it.",
        "service": "tinker",
        "model_name": "Qwen/some-VL",
        "learning_rate": 5e-4,
        "batch_size": 64,
        "load_checkpoint_path": None,
        "max_image_size": None,
    }
    form = Form("rl", record)
    form.leave_out_what_is_usual()
    assert form.said == {
        "model_name": "Qwen/some-VL",
        "prompt": "Where is this?\nSay it.",
        "max_image_size": "none",
        "batch_size": "64",
    }
    assert not form.unknown


def test_a_key_that_is_pasted_in_the_place_of_its_name_is_never_shown() -> None:
    form = Form("eval")
    form.say("api_key_env", "sk-secret-123")
    assert form.shown("api_key_env") == HIDDEN
    assert "NAME" in form.check().wrong["api_key_env"]
    assert "secret" not in str(form.check().wrong)


def test_a_file_is_taken_for_the_command_that_knows_most_of_it() -> None:
    assert fitting_kind(["backend", "model", "limit"], "sft") == "eval"
    assert fitting_kind(["group-size", "hf-repo"], "sft") == "rl"
    assert fitting_kind(["hf_repo"], "rl") == "rl"
    assert fitting_kind([], "eval") == "eval"


def test_unusual_fields_are_folded_away_until_something_is_said_or_wrong() -> None:
    form = Form("sft")
    rows = rows_of(form, frozenset(), {})
    assert not any(row.name == "adam_eps" for row in rows)
    folded = next(row for row in rows if row.what == "more" and row.name == "How the weights move")
    assert folded.folded == 7
    form.say("adam_eps", "1e-7")
    assert any(row.name == "adam_eps" for row in rows_of(form, frozenset(), {}))
    assert any(row.name == "split" for row in rows_of(Form("sft"), frozenset(), {"split": "no"}))
    every = frozenset(field.section for field in form.fields)
    unfolded = [row.name for row in rows_of(form, every, {}) if row.what == "field"]
    assert unfolded == [field.name for field in form.fields]


def test_settings_are_given_as_values_of_their_types() -> None:
    form = Form("eval", {"model": "a", "limit": "all", "out": "results/a", "canary": False})
    assert form.settings() == {
        "model": "a",
        "limit": "all",
        "out": Path("results/a"),
        "canary": False,
    }
