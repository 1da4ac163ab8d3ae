"""The server, the wire and the SDK: what they cost above the engine's own work, on the tiny model.

The same engine answers twice: called directly, and through the real SDK over a loopback socket. One
step of reinforcement learning is 16 prompts × 8 samples, forward_backward, optim_step, new sampler.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import tinker
from tinker import types

from geospot.data.world import open_world
from geospot.images import prepare_image
from geospot.prompts import COORDINATES
from geospot.renderers import get_renderer
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import (
    AdamParams,
    Chunk,
    Chunks,
    Datum,
    ImageChunk,
    SampleRequest,
    SampleResult,
    SamplingParams,
    TokenChunk,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from geospot_backends.tinker_target import load_tokenizer

NAME: Final = "Tinker server (geospot/tiny-vlm, one thread, client in the same process)"
IMAGES: Final = 16
GROUP: Final = 8
MAX_TOKENS: Final = 48
_NO_STOP: Final[list[int]] = []
"""Every answer has MAX_TOKENS tokens, so that both ways compute the same."""


def main(quick: bool) -> str:
    """The tables, as Markdown."""
    rounds = 2 if quick else 9
    prompts = _prompts()
    with tempfile.TemporaryDirectory() as state:
        engine = LocalEngine(Path(state), device="cpu")
        with EmbeddedServer(engine, engine.checkpoints) as server:
            direct, through = asyncio.run(_steps(engine, server.base_url, prompts, rounds))
            together, single = asyncio.run(_samples(server.base_url, prompts, rounds))
    return "\n".join(
        [
            "| work | through the SDK, s | engine alone, s | above it, ms |",
            "| --- | --- | --- | --- |",
            f"| step of {IMAGES} × {GROUP} | {through:.3f} | {direct:.3f} "
            f"| {1000 * (through - direct):.0f} |",
            "",
            "| 16 single-image samples | s | beside | s | ratio |",
            "| --- | --- | --- | --- | --- |",
            f"| asked at once, coalesced | {together:.3f} | one after the other | {single:.3f} "
            f"| {single / together:.1f} |",
        ]
    )


def _prompts() -> list[types.ModelInput]:
    renderer = get_renderer(tiny_vlm.NAME, load_tokenizer(tiny_vlm.NAME))
    world = open_world("test", size=IMAGES)
    prompts: list[types.ModelInput] = []
    for sample in world.table:
        photo = prepare_image(world.read_image(sample))
        content: Any = [{"type": "image", "image": photo}, {"type": "text", "text": COORDINATES}]
        prompts.append(renderer.build_generation_prompt([{"role": "user", "content": content}]))
    return prompts


async def _steps(
    engine: LocalEngine, url: str, prompts: list[types.ModelInput], rounds: int
) -> tuple[float, float]:
    """Median seconds of a step, directly and through the SDK, in turns."""
    engine.create_model("direct", tiny_vlm.NAME, None)
    service = await asyncio.to_thread(tinker.ServiceClient, base_url=url, api_key="tml-bench")
    client = await service.create_lora_training_client(tiny_vlm.NAME, rank=32, seed=0)
    engine.unload_model("direct")
    info = engine.info(client.model_id)
    engine.create_model("direct", tiny_vlm.NAME, info.lora)
    number = 0

    async def directly() -> None:
        nonlocal number
        number += 1
        await asyncio.to_thread(_direct_step, engine, prompts, f"direct-{number}")

    async def through() -> None:
        await _sdk_step(client, prompts)

    direct_s, through_s = await _alternate(rounds, directly, through)
    await service.close("success")
    return direct_s, through_s


def _direct_step(engine: LocalEngine, prompts: list[types.ModelInput], sampler: str) -> None:
    engine.snapshot_sampler("direct", sampler)
    params = SamplingParams(max_tokens=MAX_TOKENS, seed=0, stop=_NO_STOP)
    asked = [SampleRequest(sampler, _chunks(prompt), params, GROUP) for prompt in prompts]
    datums: list[Datum] = []
    for request, prompt, result in zip(asked, prompts, engine.sample(asked), strict=True):
        assert isinstance(result, SampleResult)
        *before, last = request.prompt
        assert isinstance(last, TokenChunk)
        for index, answer in enumerate(result.sequences):
            arrays = _arrays(prompt.length, answer.tokens, answer.logprobs, index)
            tokens = TokenChunk((*last.tokens, *answer.tokens[:-1]))
            datums.append(Datum((*before, tokens), arrays))
    engine.forward_backward("direct", datums, "importance_sampling")
    engine.optim_step("direct", AdamParams(learning_rate=1e-6))


async def _sdk_step(client: tinker.TrainingClient, prompts: list[types.ModelInput]) -> None:
    sampler = await client.save_weights_and_get_sampling_client()
    params = types.SamplingParams(max_tokens=MAX_TOKENS, seed=0, stop=_NO_STOP)
    results = await asyncio.gather(*(sampler.sample(prompt, GROUP, params) for prompt in prompts))
    datums: list[types.Datum] = []
    for prompt, result in zip(prompts, results, strict=True):
        last = prompt.chunks[-1]
        assert isinstance(last, types.EncodedTextChunk)
        for index, answer in enumerate(result.sequences):
            arrays: dict[str, Any] = dict(
                _arrays(prompt.length, answer.tokens, list(answer.logprobs or []), index)
            )
            text = types.EncodedTextChunk(tokens=[*last.tokens, *answer.tokens[:-1]])
            whole = types.ModelInput(chunks=[*prompt.chunks[:-1], text])
            datums.append(types.Datum(model_input=whole, loss_fn_inputs=arrays))
    loss = client.forward_backward(datums, "importance_sampling")
    step = client.optim_step(types.AdamParams(learning_rate=1e-6))
    await loss
    await step


def _arrays(
    known: int, tokens: list[int], logprobs: list[float], index: int
) -> dict[str, "np.ndarray[Any, Any]"]:
    """What importance sampling needs, for a prompt of `known` tokens and an answer."""
    advantage = index - (GROUP - 1) / 2
    return {
        "target_tokens": np.array([0] * (known - 1) + tokens),
        "logprobs": np.array([0.0] * (known - 1) + logprobs, dtype=np.float32),
        "advantages": np.array([0.0] * (known - 1) + [advantage] * len(tokens), dtype=np.float32),
    }


async def _samples(url: str, prompts: list[types.ModelInput], rounds: int) -> tuple[float, float]:
    """Median seconds of 16 single-image samples, asked at once and one after the other."""
    service = await asyncio.to_thread(tinker.ServiceClient, base_url=url, api_key="tml-bench")
    sampler = await service.create_sampling_client(base_model=tiny_vlm.NAME)
    params = types.SamplingParams(max_tokens=MAX_TOKENS, seed=0, stop=_NO_STOP)

    async def together() -> None:
        await asyncio.gather(*(sampler.sample(prompt, 1, params) for prompt in prompts))

    async def single() -> None:
        for prompt in prompts:
            await sampler.sample(prompt, 1, params)

    seconds = await _alternate(rounds, together, single)
    await service.close("success")
    return seconds


async def _alternate(
    rounds: int, first: Callable[[], Awaitable[None]], second: Callable[[], Awaitable[None]]
) -> tuple[float, float]:
    """Median seconds of each, run in turns so that a busy machine slows both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for run, seconds in zip((first, second), times, strict=True):
            began = time.perf_counter()
            await run()
            seconds.append(time.perf_counter() - began)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


def _chunks(prompt: types.ModelInput) -> Chunks:
    chunks: list[Chunk] = []
    for chunk in prompt.chunks:
        if isinstance(chunk, types.EncodedTextChunk):
            chunks.append(TokenChunk(tuple(chunk.tokens)))
        else:
            assert isinstance(chunk, types.ImageChunk)
            chunks.append(ImageChunk(chunk.data, chunk.format, chunk.expected_tokens))
    return tuple(chunks)
