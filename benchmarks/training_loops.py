"""Loops that are measured, each in a process of its own: `python -m … WHO '{settings}'`.

`ours` is all of `geospot.train.run`; `naive` what a first attempt with the SDK looks like; `bare` nothing
but the SDK's calls of a step, with everything prepared; `cookbook` tinker-cookbook's own `rl/train.py`
(in `benchmarks.cookbook_loop`). All ask about the same photos in the same order, and every one prints a
`Measured` as JSON.
"""

import asyncio
import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.clock import MODEL
from geospot import train
from geospot.config.learning import RLConfig
from geospot.learning.display import Draw, SilentView
from geospot.prompts import load_prompt
from geospot.renderers import get_renderer
from geospot.rl.advantages import group_advantages
from geospot.rl.datums import policy_datum
from geospot.rl.geo_dataset import GeoDatasetBuilder, GeoRLDataset
from geospot.rl.types import Env, Transition
from geospot_backends.local import tiny_vlm
from geospot_backends.local.models import load_tokenizer

if TYPE_CHECKING:
    import tinker

RANK: Final = 32
MAX_TOKENS: Final = 128
RATE: Final = 1e-4
_KEY: Final = "tml-bench"
_ROOT: Final = Path(__file__).parents[1]


@dataclass(slots=True)
class Measured:
    """Moments on the system's monotonic clock, and CPU time of the process, in seconds."""

    began_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    cpu_s: list[float] = field(default_factory=list[float])
    """At the end of each step."""
    peak_mb: float = 0.0

    def step_done(self) -> None:
        """Takes a reading."""
        self.cpu_s.append(time.process_time())

    def end(self) -> "Measured":
        """Takes the last reading."""
        self.ended_s = time.monotonic()
        self.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return self


def settings(url: str, folder: Path, steps: int, groups: int, size: int, **more: Any) -> RLConfig:
    """What is trained: the recipe of a hosted model, without evaluations."""
    return RLConfig.model_validate(
        {
            "service": url,
            "model_name": MODEL,
            "hf_repo": "world",
            "max_samples": steps * groups,
            "batch_size": groups,
            "group_size": size,
            "coord_tau": [2000.0],
            "learning_rate": RATE,
            "prompt": "five-lines",
            "max_tokens": MAX_TOKENS,
            "lora_rank": RANK,
            "eval_every": 0,
            "check_photos": False,  # the peers don't, and it belongs to no step
            "log_path": folder,
            **more,
        }
    )


async def open_photos(config: RLConfig) -> GeoRLDataset:
    """The photos of each step, as our own loop opens them."""
    renderer = get_renderer(
        MODEL, load_tokenizer(tiny_vlm.FOLDER), max_image_side=config.max_image_size
    )
    prompt = load_prompt(str(config.prompt))
    return await GeoDatasetBuilder(config, renderer, prompt, config.max_image_size)()


def measure(who: str, config: RLConfig, python: Path = Path(sys.executable)) -> Measured:
    """One run in a process of its own by this interpreter, measured from before it starts."""
    command = [str(python), "-m", "benchmarks.training_loops", who, config.model_dump_json()]
    began_s = time.monotonic()
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return replace(Measured(**found), began_s=began_s)


class _View(SilentView):
    """Reads the clocks at the end of each step."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    @contextmanager
    def live(self, start: int, total: int) -> Generator[Draw]:
        """See `RunView`."""
        del start, total
        yield lambda _done, _shown: self._measured.step_done()


async def ours(config: RLConfig) -> Measured:
    """`geospot rl`, but for its command line."""
    measured = Measured()
    await train.run(config, _View(measured))
    return measured.end()


async def naive(config: RLConfig) -> Measured:
    """One call a rollout, photos read in line, and every request awaited before the next is sent."""
    import tinker

    measured = Measured()
    dataset = await open_photos(config)
    service = await asyncio.to_thread(tinker.ServiceClient, base_url=config.service, api_key=_KEY)
    client = await service.create_lora_training_client(MODEL, rank=RANK, seed=0)
    adam = tinker.AdamParams(learning_rate=RATE)
    for step in range(len(dataset)):
        sampler = await client.save_weights_and_get_sampling_client()
        environments: list[Env] = []
        for group in dataset.get_batch(step):
            environments.extend(await group.make_envs())
        played = await asyncio.gather(*(_play(env, sampler) for env in environments))
        datums: list[tinker.Datum] = []
        for first in range(0, len(played), config.group_size):
            members = played[first : first + config.group_size]
            worth = group_advantages([one.reward for one in members])
            datums += [policy_datum(*pair) for pair in zip(members, worth.tolist(), strict=True)]
        await client.forward_backward(datums, "importance_sampling")
        await client.optim_step(adam)
        measured.step_done()
    await service.close("success")
    dataset.close()
    return measured.end()


async def _play(env: Env, sampler: "tinker.SamplingClient") -> Transition:
    observation, stop = await env.initial_observation()
    (answer,) = (await sampler.sample(observation, 1, _params(stop))).sequences
    result = await env.step(answer.tokens)
    return _transition(observation, answer, result.reward)


def _transition(
    prompt: "tinker.ModelInput", answer: "tinker.types.SampledSequence", reward: float
) -> Transition:
    import numpy as np

    logprobs_T = np.asarray(answer.logprobs_np, np.float32)
    return Transition(prompt, answer.tokens, logprobs_T, reward, True, {}, {})


async def bare(config: RLConfig) -> Measured:
    """The SDK's calls of a step: prompts and datums are made once, and nothing is made of answers."""
    import tinker

    dataset = await open_photos(config)
    groups = [await group.make_envs() for group in dataset.get_batch(0)]
    asked = [await environments[0].initial_observation() for environments in groups]
    service = await asyncio.to_thread(tinker.ServiceClient, base_url=config.service, api_key=_KEY)
    client = await service.create_lora_training_client(MODEL, rank=RANK, seed=0)
    sampler = await client.save_weights_and_get_sampling_client()
    adam = tinker.AdamParams(learning_rate=RATE)
    datums: list[tinker.Datum] = []
    measured = Measured()
    for _ in range(len(dataset) + 1):  # the first is the one whose answers the datums are made of
        answers = await asyncio.gather(
            *(sampler.sample(prompt, config.group_size, _params(stop)) for prompt, stop in asked)
        )
        datums = datums or _datums([prompt for prompt, _ in asked], answers)
        loss = client.forward_backward(datums, "importance_sampling")
        step = client.optim_step(adam)
        snapshot = client.save_weights_and_get_sampling_client()
        await asyncio.gather(loss.coroutine(), step.coroutine())
        sampler = await snapshot
        measured.step_done()
    await service.close("success")
    dataset.close()
    return measured.end()


def _params(stop: Any) -> "tinker.SamplingParams":
    import tinker

    return tinker.SamplingParams(max_tokens=MAX_TOKENS, stop=list(stop))


def _datums(
    prompts: "Sequence[tinker.ModelInput]", answers: "Sequence[tinker.SampleResponse]"
) -> "list[tinker.Datum]":
    return [
        policy_datum(_transition(prompt, one, 0.0), float(index))
        for prompt, answer in zip(prompts, answers, strict=True)
        for index, one in enumerate(answer.sequences)
    ]


def main(who: str, config: RLConfig) -> None:
    """Runs one loop and prints what was measured."""
    if who == "cookbook":
        module: Any = importlib.import_module("benchmarks.cookbook_loop")
        measured: Measured = module.run(config)
    else:
        measured = asyncio.run({"ours": ours, "naive": naive, "bare": bare}[who](config))
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main(sys.argv[1], RLConfig.model_validate_json(sys.argv[2]))
