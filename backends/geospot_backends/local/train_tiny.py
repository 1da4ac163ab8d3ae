"""Makes the checkpoint that ships as `geospot/tiny-vlm`: supervised training on the procedural world.

    python -m geospot_backends.local.train_tiny --out tiny

Tokenizer, initial weights, order and images follow from the seed. As it stands the command took 9
minutes of one core.
"""

import math
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from geospot.data.dataset import GeoDataset
from geospot.data.sample import GeoSample
from geospot.data.world import open_world
from geospot.geo import HALF_CIRCUMFERENCE_KM, haversine_km
from geospot.outcomes import Outcome
from geospot.parsing import parse_geo_response
from geospot.prompts import TINY, target_text
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import (
    AdamParams,
    Chunks,
    Datum,
    EngineError,
    ImageChunk,
    SampleRequest,
    SamplingParams,
    TokenChunk,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.models import load_tokenizer
from geospot_backends.local.untyped import untyped

WARM_UP_STEPS: Final = 30
WEIGHT_DECAY: Final = 0.01
IMAGE_TOKENS: Final = 9
"""Of the world's images, 96 × 96 pixels."""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder to write the model into.")] = tiny_vlm.FOLDER,
    steps: Annotated[int, typer.Option(help="Optimiser steps.", min=1)] = 4000,
    batch_size: Annotated[int, typer.Option(help="Images a step.", min=1)] = 16,
    images: Annotated[int, typer.Option(help="Training images of the world.", min=1)] = 20_000,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.", min=0)] = 3e-3,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    test_images: Annotated[int, typer.Option(help="Test images for the final figure.")] = 500,
) -> None:
    """Trains geospot/tiny-vlm from scratch on `world` and writes it as a transformers folder.

    Example: python -m geospot_backends.local.train_tiny --out tiny --steps 500
    """
    with tempfile.TemporaryDirectory() as work:
        scratch = Path(work) / "scratch"
        data = open_world("train", size=images)
        write_scratch(scratch, data, seed)
        engine = LocalEngine(Path(work) / "state", models=[str(scratch), str(out)])
        engine.create_model("tiny", str(scratch), None)
        train(engine, data, steps, batch_size, learning_rate, seed)
        path = engine.save_for_sampler("tiny", "final")
        ship(engine.checkpoints.find(path).folder, out)
        engine.create_sampler("shipped", base_model=str(out))
        errors_km = evaluate(engine, "shipped", open_world("test", size=test_images))
        typer.echo(f"greedy median {np.median(errors_km):.0f} km on {len(errors_km)} test images")


def write_scratch(folder: Path, data: GeoDataset, seed: int) -> None:
    """A folder with the tokenizer and random weights, as any local model."""
    tiny_vlm.write_tokenizer(folder, tiny_vlm.tokenizer_texts(data.table))
    network = tiny_vlm.build_model(tiny_vlm.special_ids(load_tokenizer(folder)), seed)
    network.save_pretrained(str(folder))


def train(
    engine: LocalEngine,
    data: GeoDataset,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """AdamW with warm-up and cosine decay; the loss is the mean over the answer's tokens."""
    tokenizer = load_tokenizer(Path(engine.info("tiny").tokenizer_dir))
    started = time.monotonic()
    image = cache(data.read_image)  # 20,000 JPEGs of 3 kB; painting one takes as long as reading it
    batches = _batches(data, batch_size, seed)
    for step in range(steps):
        batch = next(batches)
        answers = [answer_tokens(tokenizer, one) for one in batch]
        weight = 1 / sum(len(answer) for answer in answers)
        datums = [
            example(prompt(tokenizer, image(one)), answer, weight)
            for one, answer in zip(batch, answers, strict=True)
        ]
        result = engine.forward_backward("tiny", datums, "cross_entropy")
        rate = learning_rate * min(1.0, (step + 1) / WARM_UP_STEPS)
        rate *= 0.5 * (1 + math.cos(math.pi * step / steps))
        engine.optim_step(
            "tiny",
            AdamParams(learning_rate=rate, weight_decay=WEIGHT_DECAY, eps=1e-8, grad_clip_norm=1.0),
        )
        if step % 50 == 0 or step == steps - 1:
            elapsed_s = time.monotonic() - started
            loss = result.metrics["loss:sum"]
            typer.echo(f"step {step:5d}  loss {loss:.3f} a token  {elapsed_s:.0f} s")


def _batches(data: GeoDataset, batch_size: int, seed: int) -> Iterator[list[GeoSample]]:
    """Batches for ever, every sample once before any comes again."""
    order = list(range(len(data.table)))
    shuffle = random.Random(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < batch_size:
            shuffle.shuffle(order)
            waiting += order
        yield [data.table[index] for index in waiting[:batch_size]]
        del waiting[:batch_size]


def prompt(tokenizer: Any, image: bytes) -> Chunks:
    """The question as Qwen's chat format has it, up to where the answer begins."""
    before: list[int] = tokenizer.encode("<|im_start|>user\n<|vision_start|>")
    after: list[int] = tokenizer.encode(f"<|vision_end|>{TINY}<|im_end|>\n<|im_start|>assistant\n")
    return (TokenChunk(tuple(before)), ImageChunk(image), TokenChunk(tuple(after)))


def answer_tokens(tokenizer: Any, sample: GeoSample) -> list[int]:
    """The five lines and the token that ends them."""
    answer: list[int] = tokenizer.encode(target_text(sample) + tiny_vlm.IM_END)
    return answer


def example(question: Chunks, answer: list[int], weight: float) -> Datum:
    """A supervised example; each token of the answer carries `weight`."""
    *before, last = question
    assert isinstance(last, TokenChunk)  # noqa: S101 - for the type checker
    tokens = (*last.tokens, *answer[:-1])
    length = IMAGE_TOKENS + len(tokens)
    length += sum(len(chunk.tokens) for chunk in before if isinstance(chunk, TokenChunk))
    targets = np.zeros(length, np.int64)
    weights = np.zeros(length, np.float32)
    targets[-len(answer) :] = answer
    weights[-len(answer) :] = weight
    return Datum((*before, TokenChunk(tokens)), {"target_tokens": targets, "weights": weights})


def evaluate(engine: LocalEngine, sampler_id: str, data: GeoDataset) -> list[float]:
    """Distances in km of greedy answers; an answer without coordinates counts half the circumference."""
    tokenizer = load_tokenizer(Path(engine.sampler_info(sampler_id).tokenizer_dir))
    greedy = SamplingParams(max_tokens=96, temperature=0)
    errors_km: list[float] = []
    samples = list(data.table)
    for first in range(0, len(samples), 100):
        part = samples[first : first + 100]
        requests = [
            SampleRequest(sampler_id, prompt(tokenizer, data.read_image(one)), greedy)
            for one in part
        ]
        for one, result in zip(part, engine.sample(requests), strict=True):
            if isinstance(result, EngineError):
                raise result
            answer = parse_geo_response(
                tokenizer.decode(result.sequences[0].tokens, skip_special_tokens=True)
            )
            if answer.outcome is Outcome.OK and answer.latitude is not None:
                errors_km.append(
                    float(
                        haversine_km(
                            one.latitude, one.longitude, answer.latitude, answer.longitude or 0.0
                        )
                    )
                )
            else:
                errors_km.append(HALF_CIRCUMFERENCE_KM)
    return errors_km


def ship(folder: Path, out: Path) -> None:
    """Copies the model, its weights rounded to bfloat16: half the size, and no worse."""
    architecture = untyped("transformers").Qwen3VLForConditionalGeneration
    network = architecture.from_pretrained(str(folder), dtype="bfloat16")
    out.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(str(out))
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        shutil.copyfile(folder / name, out / name)
    for file in out.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    app()
