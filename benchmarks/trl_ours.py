"""Our side of `benchmarks.trl_peer`: `geospot.train.run` on the embedded engine, as `geospot rl` runs it.

It has a turn from one snapshot of the weights to the next: sampling, rewards, gradient, optimiser step
and snapshot, through SDK and loopback socket. What is written beside it is part of it.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.trl_task import settings
from benchmarks.turns import Turns
from geospot import train
from geospot.config.learning import RLConfig
from geospot.learning.photos import open_training_data
from geospot.learning.supervised import ExampleMaker, make_batch
from geospot.learning.trainer import Trainer
from geospot.runs.rollouts import ROLLOUTS

if TYPE_CHECKING:
    import tinker


def main(folder: Path, steps: int, images: int) -> None:
    """A whole run, which waits for its turn before each step."""
    turns = Turns()
    snapshot = Trainer[RLConfig].snapshot
    first = True

    def in_turn(trainer: Trainer[RLConfig]) -> "asyncio.Future[tinker.SamplingClient]":
        asked = snapshot(trainer)

        async def waited() -> "tinker.SamplingClient":
            nonlocal first
            client = await asked
            if first:
                turns.say({"logprobs": await _logprobs(trainer)})
                first = False
            await asyncio.to_thread(turns.next)
            return client

        return asyncio.ensure_future(waited())

    Trainer.snapshot = in_turn  # type: ignore[method-assign]
    asyncio.run(train.run(settings(folder, steps, images)))
    turns.say(_rollouts(folder / "run" / ROLLOUTS))


async def _logprobs(trainer: Trainer[RLConfig]) -> list[list[float]]:
    """Of the true answers to the first photos, over the wire."""
    data = open_training_data(trainer.config)
    try:
        maker = ExampleMaker(data, trainer.renderer, trainer.prompt, trainer.max_image_size)
        examples = [
            maker.example(data.samples[number])
            for number in data.order(trainer.config.seed).batch(0, trainer.config.batch_size)
        ]
    finally:
        data.close()
    outcome = await trainer.forward(make_batch(examples).datums)
    return [
        [float(value) for value in logprobs_N[example.learned_N > 0]]
        for logprobs_N, example in zip(outcome.logprobs, examples, strict=True)
    ]


def _rollouts(file: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {
        "rollouts": len(rows),
        "tokens": sum(len(row["tokens"]) for row in rows),
        "reward": sum(row["terms"]["coord"] for row in rows) / len(rows),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
