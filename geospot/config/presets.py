"""Settings to begin with, each a run that works as it stands or with one thing filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from geospot.config.recipes import TINY_MODEL

LaunchKind = Literal["sft", "rl", "eval"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A named beginning.

    `fill` says what a person has to give before it can start. `starts_from` is the kind of run whose newest
    checkpoint it begins with, where it needs one; `folder` is what its own folder is called.
    """

    title: str
    kind: LaunchKind
    meaning: str
    settings: Mapping[str, Any]
    folder: str
    fill: tuple[str, ...] = ()
    starts_from: LaunchKind | None = None


def _preset(
    title: str,
    kind: LaunchKind,
    meaning: str,
    folder: str,
    *,
    fill: tuple[str, ...] = (),
    starts_from: LaunchKind | None = None,
    **settings: Any,
) -> Preset:
    return Preset(title, kind, meaning, MappingProxyType(settings), folder, fill, starts_from)


PRESETS: Final = (
    _preset(
        "Demo world, SFT",
        "sft",
        "The tiny model from random weights on drawn street scenes. No key, no GPU, no download; "
        "1,400 steps took two minutes on two CPU cores.",
        "demo-sft",
        service="local",
        hf_repo="world",
        max_samples=12_000,
        num_epochs=3,
        max_steps=1400,
        save_every=100,
        eval_every=0,
    ),
    _preset(
        "Demo world, GRPO from an SFT run",
        "rl",
        "Goes on from the newest SFT run of the tiny model with a reward that reaches 2,000 km. "
        "125 steps took a minute on two CPU cores.",
        "demo-rl",
        starts_from="sft",
        service="local",
        hf_repo="world",
        coord_tau=[2000.0],
        max_steps=125,
        save_every=50,
        eval_every=0,
    ),
    _preset(
        "OSV-5M, SFT hosted",
        "sft",
        "A Qwen vision model on 20,000 real photos, trained by the hosted Tinker service. Needs "
        "TINKER_API_KEY.",
        "osv-sft",
        service="tinker",
        hf_repo="osv5m/osv5m",
        max_samples=20_000,
        batch_size=64,
    ),
    _preset(
        "OSV-5M, GRPO hosted, tau 2000→25",
        "rl",
        "Goes on from an SFT run; the reward begins at the scale of a continent and ends at that of a "
        "city. Needs TINKER_API_KEY.",
        "osv-rl",
        starts_from="sft",
        service="tinker",
        hf_repo="osv5m/osv5m",
        max_samples=5000,
        batch_size=32,
        group_size=8,
        tau_schedule="geometric",
        tau_start=2000.0,
        coord_tau=[25.0],
    ),
    _preset(
        "Evaluate the tiny model",
        "eval",
        "The shipped tiny model on 500 photos of the demo world. No key, no GPU, no download.",
        "eval-tiny",
        backend="local",
        model=TINY_MODEL,
        dataset="world",
        limit=500,
        max_tokens=96,
    ),
    _preset(
        "Evaluate my newest run",
        "eval",
        "The final checkpoint of the newest run here, asked as it was trained, on 500 photos of the "
        "demo world.",
        "eval-run",
        starts_from="rl",
        backend="local",
        dataset="world",
        limit=500,
    ),
    _preset(
        "Evaluate an OpenAI-compatible server",
        "eval",
        "Any server with chat completions: vLLM, Ollama, OpenRouter, OpenAI. Give its address, model "
        "and, where it asks for one, the name of the variable with the key.",
        "eval-server",
        fill=("model",),
        backend="openai",
        base_url="http://127.0.0.1:8000/v1",
        dataset="osv5m/osv5m",
        split="test",
        limit=1000,
    ),
    _preset(
        "Evaluate the baseline `prior`",
        "eval",
        "What a guess without looking scores: the floor that a model has to be above.",
        "eval-prior",
        backend="prior",
        dataset="world",
        limit=500,
    ),
)
