"""Which model is taken, and what is said of one that isn't served."""

import pytest

from geospot.errors import ModelNotFoundError
from geospot.services import ServedModel, choose_model, is_vision_model

HOSTED = [
    ServedModel(name)
    for name in (
        "meta-llama/Llama-3.1-8B",
        "Qwen/Qwen3-8B",
        "moonshotai/Kimi-K2.6",
        "Qwen/Qwen3.5-4B",
        "Qwen/Qwen3.6-35B-A3B",
        "Qwen/Qwen3.8-27B",
    )
]


def choose(wanted: str | None, names: list[str]) -> str:
    return choose_model(wanted, [ServedModel(name) for name in names], service="The service").name


@pytest.mark.parametrize(
    ("name", "sees"),
    [
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", True),
        ("Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("Qwen/Qwen3.8-27B", True),
        ("moonshotai/Kimi-K2.6", True),
        ("thinkingmachines/Inkling", True),
        ("geospot/tiny-vlm", True),
        ("Qwen/Qwen3-8B", False),
        ("moonshotai/Kimi-K2-Thinking", False),
        ("meta-llama/Llama-3.1-8B", False),
    ],
)
def test_vision_models_are_told_by_name(name: str, sees: bool) -> None:
    assert is_vision_model(name) is sees


def test_default_is_the_latest_open_qwen_vision_model() -> None:
    assert choose_model(None, HOSTED, service="The service").name == "Qwen/Qwen3.8-27B"
    assert choose(None, ["Qwen/Qwen3.5-9B", "Qwen/Qwen3.5-4B"]) == "Qwen/Qwen3.5-4B"
    assert choose(None, ["Qwen/Qwen3-8B", "geospot/tiny-vlm"]) == "geospot/tiny-vlm"


def test_a_service_without_vision_models_has_no_default() -> None:
    with pytest.raises(
        ModelNotFoundError, match=r"no model that is known to take images.*Qwen3-8B"
    ):
        choose(None, ["Qwen/Qwen3-8B"])


def test_what_was_asked_for_is_taken_even_if_it_is_blind() -> None:
    assert choose("Qwen/Qwen3-8B", ["Qwen/Qwen3.8-27B", "Qwen/Qwen3-8B"]) == "Qwen/Qwen3-8B"


def test_a_retired_model_is_explained_and_never_replaced() -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        choose_model("Qwen/Qwen3-VL-30B-A3B-Instruct", HOSTED, service="It", hosted=True)
    said = str(caught.value)
    assert "it was retired there on 12 June 2026" in said
    assert said.index("Qwen/Qwen3.8-27B") < said.index("meta-llama/Llama-3.1-8B")


def test_a_retired_model_that_is_served_elsewhere_is_taken() -> None:
    name = "Qwen/Qwen3-VL-30B-A3B-Instruct"
    assert choose(name, [name]) == name


def test_a_slip_is_met_with_the_nearest_name() -> None:
    with pytest.raises(ModelNotFoundError, match=r"Did you mean Qwen/Qwen3\.8-27B\?"):
        choose_model("Qwen/Qwen3.8-27b", HOSTED, service="It")


def test_names_from_a_service_are_made_harmless() -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        choose("x", ["evil\x1b[2Jvlm"])
    assert "\x1b" not in str(caught.value)
