"""Sampling and training on an accelerator, at the size of Qwen3-VL-2B, beside transformers and peft alone.

The weights are random. The engine is asked in process and through the real SDK over a loopback socket.
The ways to do a piece of work take turns, so that a busy machine slows all alike; times are medians.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import tinker
from tinker import types

from benchmarks.accelerator_model import FULL, SMALL, Size, photo_prompts, write_model
from benchmarks.accelerator_plain import Plain
from benchmarks.rounds import alternate
from geospot_backends.local.api import (
    AdamParams,
    Chunks,
    Datum,
    ImageChunk,
    LoraSpec,
    SampleRequest,
    SampleResult,
    SamplingParams,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from geospot_backends.local.untyped import untyped
from tests.support.engines import rollout

NAME: Final = "Accelerator (random weights of Qwen3-VL-2B's size)"
_NO_STOP: Final[list[int]] = []
"""Every answer has `max_tokens` tokens, so that all ways compute the same."""
_SEED: Final = 0
_RATE: Final = 1e-6


def main(quick: bool) -> str:
    """The table, as Markdown; one sentence where there is no accelerator to measure on."""
    has_cuda = bool(untyped("torch").cuda.is_available())
    if not has_cuda and not quick:
        return (
            "Not measured: there is no CUDA device here. `--quick` runs the same on a tiny model."
        )
    return measure(SMALL if quick else FULL, "cuda" if has_cuda else "cpu")


def measure(size: Size, device: str) -> str:
    """The table of a model of this size on this device."""
    torch = untyped("torch")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        write_model(folder, size, device)
        prompts = photo_prompts(folder, size)
        engine = LocalEngine(
            Path(place) / "state",
            device=device,
            dtype=getattr(torch, size.dtype),
            models=[str(folder)],
            threads=torch.get_num_threads(),
        )
        ours = _InProcess(engine, str(folder), size, prompts)
        with EmbeddedServer(engine, engine.checkpoints) as server:
            service = tinker.ServiceClient(base_url=server.base_url, api_key="tml-bench")
            try:
                rows = _measured(ours, _Wire(service, str(folder), size, prompts), device, folder)
            finally:
                service.close("success").result()
    return _table(size, device, rows)


Row = tuple[str, str, float, int, int | None]
"""Work, way, median seconds, tokens of one round, peak memory in bytes (None: the same as above)."""


def _measured(ours: "_InProcess", wire: "_Wire", device: str, folder: Path) -> list[Row]:
    size, prompts = ours.size, ours.prompts
    datums = ours.rollouts()
    sent = [_datum(datum, size) for datum in datums]
    # What one way keeps in memory isn't counted for the other: the engine first, then the plain model.
    peaks = [_peak(device, 0, ours.sample), _peak(device, 0, lambda: ours.step(datums))]
    kept = _allocated(device)
    plain = Plain(folder, size, device, prompts)
    peaks += [_peak(device, kept, plain.generate), _peak(device, kept, lambda: plain.step(datums))]
    sampling = _medians(size.rounds, device, ours.sample, wire.sample, plain.generate)
    training = _medians(
        size.rounds,
        device,
        lambda: ours.step(datums),
        lambda: wire.step(sent),
        lambda: plain.step(datums),
    )
    asked = size.photos * size.group * size.max_tokens
    trained = sum(len(datum.inputs["target_tokens"]) for datum in datums)
    return [
        ("sampling", "engine in process", sampling[0], asked, peaks[0]),
        ("sampling", "engine through SDK and socket", sampling[1], asked, None),
        ("sampling", "transformers' `generate`", sampling[2], asked, peaks[2]),
        ("training step", "engine in process", training[0], trained, peaks[1]),
        ("training step", "engine through SDK and socket", training[1], trained, None),
        ("training step", "peft LoRA, forward, backward, AdamW", training[2], trained, peaks[3]),
    ]


def _table(size: Size, device: str, rows: Sequence[Row]) -> str:
    torch = untyped("torch")
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    lines = [
        f"{size.name} in {size.dtype} on {where}: {size.photos} photos of {size.image_side} pixels × "
        f"{size.group} answers of {size.max_tokens} tokens; LoRA of rank {size.rank}.",
        "",
        "| work | way | s | tokens/s | times the plain way's | peak memory, GiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    plain_s = {work: seconds for work, _, seconds, _, _ in rows}  # the last of each work
    for work, way, seconds, tokens, peak in rows:
        gib = "as above" if peak is None else f"{peak / 2**30:.1f}" if device == "cuda" else "–"
        ratio = plain_s[work] / seconds
        lines.append(
            f"| {work} | {way} | {seconds:.3f} | {tokens / seconds:,.0f} | {ratio:.2f} | {gib} |"
        )
    return "\n".join(lines)


class _InProcess:
    """The engine, called directly."""

    def __init__(
        self, engine: LocalEngine, model: str, size: Size, prompts: Sequence[Chunks]
    ) -> None:
        self.size, self.prompts = size, prompts
        self._engine = engine
        engine.create_model("m", model, LoraSpec(size.rank, _SEED, train_unembed=False))
        engine.snapshot_sampler("m", "s")

    def sample(self) -> list[SampleResult]:
        """`group` answers to each prompt."""
        params = SamplingParams(max_tokens=self.size.max_tokens, seed=_SEED, stop=_NO_STOP)
        asked = [SampleRequest("s", one, params, self.size.group) for one in self.prompts]
        results = self._engine.sample(asked)
        return [one for one in results if isinstance(one, SampleResult)]

    def rollouts(self) -> list[Datum]:
        """Answers with advantages that add up to 0 within a group, one prompt's after the other's."""
        middle = (self.size.group - 1) / 2
        return [
            rollout(prompt, answer.tokens, answer.logprobs, number - middle, self.size.image_tokens)
            for prompt, result in zip(self.prompts, self.sample(), strict=True)
            for number, answer in enumerate(result.sequences)
        ]

    def step(self, datums: Sequence[Datum]) -> None:
        """Forward, backward and Adam."""
        self._engine.forward_backward("m", datums, "importance_sampling")
        self._engine.optim_step("m", AdamParams(learning_rate=_RATE))


class _Wire:
    """The same through the SDK; a model of its own in the same engine."""

    def __init__(
        self, service: tinker.ServiceClient, model: str, size: Size, prompts: Sequence[Chunks]
    ) -> None:
        self._size = size
        self._prompts = [_model_input(one, size) for one in prompts]
        self._client = service.create_lora_training_client(
            model, rank=size.rank, seed=_SEED, train_unembed=False
        ).result()
        self._sampler = self._client.save_weights_and_get_sampling_client().result()

    def sample(self) -> None:
        """`group` answers to each prompt, all asked at once."""
        params = types.SamplingParams(max_tokens=self._size.max_tokens, seed=_SEED, stop=_NO_STOP)
        asked = [self._sampler.sample(one, self._size.group, params) for one in self._prompts]
        for one in asked:
            one.result()

    def step(self, datums: list[types.Datum]) -> None:
        """Forward, backward and Adam."""
        loss = self._client.forward_backward(datums, "importance_sampling")
        step = self._client.optim_step(types.AdamParams(learning_rate=_RATE))
        loss.result()
        step.result()


def _model_input(chunks: Chunks, size: Size) -> types.ModelInput:
    """The prompt as the SDK has it."""
    sent: list[types.ModelInputChunk] = []
    for chunk in chunks:
        if isinstance(chunk, ImageChunk):
            sent.append(
                types.ImageChunk(data=chunk.data, format="jpeg", expected_tokens=size.image_tokens)
            )
        else:
            sent.append(types.EncodedTextChunk(tokens=list(chunk.tokens)))
    return types.ModelInput(chunks=sent)


def _datum(datum: Datum, size: Size) -> types.Datum:
    """A rollout as the SDK has it."""
    arrays: dict[str, Any] = dict(datum.inputs)
    return types.Datum(model_input=_model_input(datum.chunks, size), loss_fn_inputs=arrays)


def _medians(rounds: int, device: str, *ways: Callable[[], object]) -> list[float]:
    """Median seconds of each way."""
    taken_s = alternate(rounds, *ways, wait=partial(_wait, device))
    return [statistics.median(seconds) for seconds in taken_s]


def _wait(device: str) -> None:
    """Until the device has done what it was told; a CPU always has."""
    if device == "cuda":
        untyped("torch").cuda.synchronize()


def _allocated(device: str) -> int:
    """Bytes that tensors take on the device now; 0 on a CPU, where torch doesn't count them."""
    return int(untyped("torch").cuda.memory_allocated()) if device == "cuda" else 0


def _peak(device: str, others: int, work: Callable[[], object]) -> int:
    """The most bytes that tensors took during the work, without what others keep; 0 on a CPU."""
    cuda = untyped("torch").cuda
    if device == "cuda":
        cuda.reset_peak_memory_stats()
    work()
    return int(cuda.max_memory_allocated()) - others if device == "cuda" else 0
