"""The embedded engine in process, on the tiny model: what sharing and batching save.

Each figure is the median of alternating runs on one thread.
"""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.records import Figure, Table
from benchmarks.rounds import alternate
from geospot.data.world import open_world
from geospot_backends.local import forward, tiny_vlm
from geospot_backends.local.api import (
    Chunks,
    Datum,
    SampleRequest,
    SampleResult,
    SamplingParams,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.models import load_tokenizer
from geospot_backends.local.train_tiny import prompt
from tests.support.engines import rollout

NAME: Final = "Embedded engine (geospot/tiny-vlm, one thread)"
GROUP: Final = 8
MAX_TOKENS: Final = 64


def main(quick: bool) -> Table:
    """The table. A full run takes about a minute."""
    rounds = 1 if quick else 5
    trained, sampled = ((4, 8), (1, 4)) if quick else ((4, 8, 16, 32), (1, 4, 16, 64))
    with tempfile.TemporaryDirectory() as state:
        engine = LocalEngine(Path(state), device="cpu")
        engine.create_model("m", tiny_vlm.NAME, None)
        engine.snapshot_sampler("m", "s")
        tokenizer = load_tokenizer(tiny_vlm.FOLDER)
        data = open_world("train", size=max(trained + sampled))
        prompts = [prompt(tokenizer, data.read_image(one)) for one in data.table]
        figures = [_trained(engine, prompts[:images], rounds) for images in trained]
        figures += [_sampled(engine, prompts[:images], rounds) for images in sampled]
    return Table(
        figures,
        {"torch": version("torch")},
        "Our own engine both ways: ours shares prefixes and batches, the other is the obvious way. A "
        f"training pass is over {GROUP} rollouts of each photo.",
    )


def _trained(engine: LocalEngine, prompts: list[Chunks], rounds: int) -> Figure:
    """A training pass over the rollouts of these photos; the first round warms up both ways."""
    datums = _rollouts(engine, prompts)
    shared, flat = alternate(
        rounds, lambda: _pass(engine, datums), lambda: _without_sharing(engine, datums)
    )
    return Figure(
        "training pass", "s", shared, "each sequence whole", flat, size=len(datums), axis="rollouts"
    )


def _sampled(engine: LocalEngine, prompts: list[Chunks], rounds: int) -> Figure:
    """An answer about each of these photos, asked for at once and one by one."""
    together, single = alternate(
        rounds, lambda: _ask(engine, prompts), lambda: [_ask(engine, [one]) for one in prompts]
    )
    size = len(prompts)
    return Figure(
        "single-image samples", "s", together, "one by one", single, size=size, axis="photos"
    )


def _ask(engine: LocalEngine, prompts: list[Chunks], samples: int = 1) -> list[SampleResult]:
    params = SamplingParams(max_tokens=MAX_TOKENS, seed=0)
    results = engine.sample([SampleRequest("s", one, params, samples) for one in prompts])
    return [result for result in results if isinstance(result, SampleResult)]


def _rollouts(engine: LocalEngine, prompts: list[Chunks]) -> list[Datum]:
    """GROUP sampled answers about each photo as reinforcement learning sends them."""
    return [
        rollout(one, answer.tokens, answer.logprobs, number - (GROUP - 1) / 2)
        for one, result in zip(prompts, _ask(engine, prompts, GROUP), strict=True)
        for number, answer in enumerate(result.sequences)
    ]


def _pass(engine: LocalEngine, datums: list[Datum]) -> None:
    engine.forward_backward("m", datums, "importance_sampling")


def _without_sharing(engine: LocalEngine, datums: list[Datum]) -> None:
    least = forward.SHORTEST_SHARED
    try:
        forward.SHORTEST_SHARED = 1 << 30  # pyright: ignore[reportConstantRedefinition]
        _pass(engine, datums)
    finally:
        forward.SHORTEST_SHARED = least  # pyright: ignore[reportConstantRedefinition]
