"""The server, the wire and the SDK: what they cost above the engine's own work, on the tiny model.

One step of reinforcement learning is some prompts × 8 samples, forward_backward, optim_step and a new
sampler, through the real SDK over a loopback socket, with a clock in the engine.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import tinker
from tinker import types

from benchmarks.records import Figure, Table
from geospot.data.world import open_world
from geospot.images import prepare_image
from geospot.prompts import COORDINATES
from geospot.renderers import get_renderer
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import (
    AdamParams,
    Datum,
    EngineError,
    ForwardBackwardResult,
    SampleRequest,
    SampleResult,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from geospot_backends.tinker_target import load_tokenizer

T = TypeVar("T")

NAME: Final = "Tinker server (geospot/tiny-vlm, one thread, client in the same process)"
GROUP: Final = 8
MAX_TOKENS: Final = 48
_NO_STOP: Final[list[int]] = []
"""Every answer has MAX_TOKENS tokens, so that both ways compute the same."""


def main(quick: bool) -> Table:
    """The table. A full run takes about two minutes."""
    rounds = 2 if quick else 5
    trained, sampled = ((4, 8), (1, 4)) if quick else ((4, 8, 16, 32), (1, 4, 16, 64))
    prompts = _prompts(max(trained + sampled))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as state:
        engine = _Timed(Path(state), device="cpu")
        with EmbeddedServer(engine, engine.checkpoints) as server:
            url = server.base_url
            for images in trained:
                whole, alone = asyncio.run(_steps(engine, url, prompts[:images], rounds))
                at: Mapping[str, Any] = {"size": images * GROUP, "axis": "rollouts"}
                figures.append(Figure("a step", "s", whole, "the engine's part of it", alone, **at))
            for images in sampled:
                together, single = asyncio.run(_samples(url, prompts[:images], rounds))
                at = {"size": images, "axis": "photos"}
                task = "single-image samples"
                figures.append(Figure(task, "s", together, "one after the other", single, **at))
    return Table(
        figures,
        {"tinker": version("tinker"), "torch": version("torch")},
        f"Client and server are one process; a step is of {GROUP} rollouts of each photo. Its ratio is the "
        "engine's share of it: what is missing to 1 are SDK, sockets and protocol. Samples that come at once "
        "are put together.",
    )


def _prompts(images: int) -> list[types.ModelInput]:
    renderer = get_renderer(tiny_vlm.NAME, load_tokenizer(tiny_vlm.NAME))
    world = open_world("test", size=images)
    prompts: list[types.ModelInput] = []
    for sample in world.table:
        photo = prepare_image(world.read_image(sample))
        content: Any = [{"type": "image", "image": photo}, {"type": "text", "text": COORDINATES}]
        prompts.append(renderer.build_generation_prompt([{"role": "user", "content": content}]))
    return prompts


class _Timed(LocalEngine):
    """The engine, with a clock on what a step asks of it."""

    spent_s = 0.0

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        """See `api.Engine`."""
        return self._clocked(lambda: super(_Timed, self).sample(requests))

    def forward_backward(
        self,
        model_id: str,
        datums: Sequence[Datum],
        loss_fn: str,
        loss_config: Mapping[str, float] | None = None,
        *,
        forward_only: bool = False,
    ) -> ForwardBackwardResult:
        """See `api.Engine`."""
        return self._clocked(
            lambda: super(_Timed, self).forward_backward(
                model_id, datums, loss_fn, loss_config, forward_only=forward_only
            )
        )

    def optim_step(self, model_id: str, params: AdamParams) -> dict[str, float]:
        """See `api.Engine`."""
        return self._clocked(lambda: super(_Timed, self).optim_step(model_id, params))

    def snapshot_sampler(self, model_id: str, sampler_id: str) -> None:
        """See `api.Engine`."""
        self._clocked(lambda: super(_Timed, self).snapshot_sampler(model_id, sampler_id))

    def _clocked(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self.spent_s += time.perf_counter() - began


async def _steps(
    engine: _Timed, url: str, prompts: list[types.ModelInput], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of a step: in all, and what of it was the engine's work."""
    service = await asyncio.to_thread(tinker.ServiceClient, base_url=url, api_key="tml-bench")
    client = await service.create_lora_training_client(tiny_vlm.NAME, rank=32, seed=0)
    whole: list[float] = []
    alone: list[float] = []
    for _ in range(rounds + 1):
        engine.spent_s, began = 0.0, time.perf_counter()
        await _sdk_step(client, prompts)
        whole.append(time.perf_counter() - began)
        alone.append(engine.spent_s)
    await service.close("success")
    return whole[1:], alone[1:]


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


async def _samples(
    url: str, prompts: list[types.ModelInput], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of single-image samples, asked at once and one after the other."""
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
) -> tuple[list[float], list[float]]:
    """Seconds of each, run in turns so that a busy machine slows both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for run, seconds in zip((first, second), times, strict=True):
            began = time.perf_counter()
            await run()
            seconds.append(time.perf_counter() - began)
    return times[0][1:], times[1][1:]
