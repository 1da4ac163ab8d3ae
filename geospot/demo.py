"""The whole of geospot on a laptop: from random weights to a ranked model, in some minutes.

Supervised training on the procedural world, then GRPO, on the embedded engine, with the same commands
that train a large model on a hosted service. Before, between and after, the model is evaluated.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from geospot import sft, train
from geospot.config.evaluation import EvalConfig
from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.recipes import TINY_SCRATCH
from geospot.errors import GeospotError
from geospot.evaluation import evaluate as evaluation
from geospot.evaluation.evaluate import evaluate
from geospot.evaluation.progress import View
from geospot.evaluation.results import SAMPLES, read_records
from geospot.evaluation.statistics import Interval, percentile_interval
from geospot.learning import session as learning
from geospot.learning.display import RunView
from geospot.outcomes import Outcome
from geospot.rl.geo_reward import coord_reward
from geospot.services import open_service

DATASET: Final = "world"
BASELINES: Final = ("constant", "prior")
TAU_KM: Final = 2000.0
PHOTOS: Final = 12_000
SFT_STEPS: Final = 1650
RL_STEPS: Final = 175
MAX_TOKENS: Final = 96
_RESAMPLES: Final = 2000
_EXIT_CODES: Final = {"incomplete": 3, "interrupted": 130}


class Unfinished(GeospotError):  # noqa: N818 - it was asked to stop
    """The demo was stopped; it goes on when it is started again."""

    def __init__(self, what: str, exit_code: int) -> None:
        super().__init__(f"The demo {what}.", "Start it again to go on where it stood.")
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done. `limit` is images of each evaluation."""

    sft_steps: int = SFT_STEPS
    rl_steps: int = RL_STEPS
    limit: int = 512


@dataclass(frozen=True, slots=True)
class Sampled:
    """Answers sampled at temperature 1: mean reward at tau 2000 km, failures as 0, and median km."""

    reward: float
    median_km: float


@dataclass(frozen=True, slots=True)
class Lift:
    """What GRPO changed in sampled answers to the same photos; the interval is at 95%.

    The reward's difference is paired photo by photo, with a bootstrap over photos.
    """

    before: Sampled
    after: Sampled
    reward: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Demo:
    """One demonstration in its folder.

    Args:
        out: `results` gets a result directory an evaluation, `runs` the two training runs.
        seed: of weights, order and sampling.
        view: told how evaluations go.
        run_view: told how training goes.
    """

    out: Path
    scale: Scale
    seed: int
    view: View
    run_view: RunView

    @property
    def results(self) -> Path:
        """Greedy results, which are ranked together."""
        return self.out / "results"

    @property
    def sft_run(self) -> Path:
        """Run directory of the supervised training."""
        return self.out / "runs" / "sft"

    @property
    def rl_run(self) -> Path:
        """Run directory of the reinforcement learning."""
        return self.out / "runs" / "rl"

    async def go(self) -> Lift:
        """All of it on one engine; what is there already isn't done again.

        What is scored first is the random model of seed 0, whatever the seed that training draws from:
        one random model answers as little as another.

        Raises:
            GeospotError: something can't be done, such as the extra `local` not being installed.
        """
        with await asyncio.to_thread(open_service, "local"):
            return await self._go()

    async def _go(self) -> Lift:
        await self._score("before", "local", TINY_SCRATCH)
        for baseline in BASELINES:
            await self._score(baseline, baseline, None)
        _finished(await sft.run(self._sft_config(), self.run_view))
        await self._score("sft", "local", str(self.sft_run))
        before = await self._score("sft", "local", str(self.sft_run), sampled=True)
        _finished(await train.run(self._rl_config(), self.run_view))
        await self._score("rl", "local", str(self.rl_run))
        after = await self._score("rl", "local", str(self.rl_run), sampled=True)
        return compare(before, after, self.seed)

    async def _score(
        self, name: str, backend: str, model: str | None, *, sampled: bool = False
    ) -> Path:
        """An evaluation, greedy or sampled once a photo; its result directory."""
        kind = "sampled" if sampled else "greedy"
        self.view.say(f"Evaluating {name!r} ({kind}) on {self.scale.limit} photos of the world.")
        out = (self.out / "sampled" if sampled else self.results) / f"{name}-{self.scale.limit}"
        config = EvalConfig(
            backend=backend,
            model=model,
            dataset=DATASET,
            limit=self.scale.limit,
            temperature=1.0 if sampled else 0.0,
            max_tokens=MAX_TOKENS,
            out=out,
        )
        _finished(await evaluate(config, self.view))
        return out

    def _sft_config(self) -> SFTConfig:
        return SFTConfig(
            service="local",
            hf_repo=DATASET,
            log_path=self.sft_run,
            max_samples=PHOTOS,
            num_epochs=3,
            max_steps=self.scale.sft_steps,
            seed=self.seed,
            eval_every=0,
            save_every=100,
            behavior_if_log_dir_exists="resume",
        )

    def _rl_config(self) -> RLConfig:
        return RLConfig(
            service="local",
            hf_repo=DATASET,
            log_path=self.rl_run,
            load_checkpoint_path=str(self.sft_run),
            coord_tau=[TAU_KM],
            group_size=8,
            max_steps=self.scale.rl_steps,
            seed=self.seed,
            eval_every=0,
            save_every=50,
            behavior_if_log_dir_exists="resume",
        )


def _finished(done: learning.Finished | evaluation.Finished) -> None:
    if isinstance(done, learning.Finished):
        if done.exit_code:
            raise Unfinished(f"was {done.reason}", done.exit_code)
    elif done.ending == "interrupted":
        raise Unfinished("was interrupted", _EXIT_CODES[done.ending])
    elif done.ending == "incomplete":
        raise Unfinished(f"lacks answers in {done.directory}", _EXIT_CODES[done.ending])


def compare(before: Path, after: Path, seed: int = 0) -> Lift:
    """What became of sampled answers to the same photos, from two result directories."""
    rows_a, rows_b = _by_photo(before), _by_photo(after)
    photos = sorted(rows_a.keys() & rows_b.keys())
    reward_a_N, km_a_N = np.array([rows_a[photo] for photo in photos]).T
    reward_b_N, km_b_N = np.array([rows_b[photo] for photo in photos]).T
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(photos), (_RESAMPLES, len(photos)))
    interval = percentile_interval((reward_b_N - reward_a_N)[drawn].mean(axis=1))
    assert interval is not None  # noqa: S101 - no reward is NaN
    return Lift(
        before=Sampled(float(reward_a_N.mean()), float(np.median(km_a_N))),
        after=Sampled(float(reward_b_N.mean()), float(np.median(km_b_N))),
        reward=float((reward_b_N - reward_a_N).mean()),
        interval=interval,
    )


def _by_photo(result: Path) -> dict[str, tuple[float, float]]:
    """Reward and distance in km of each photo's answer."""
    return {
        record.id: (
            coord_reward(record.distance_km, [TAU_KM]) if record.outcome is Outcome.OK else 0.0,
            record.distance_km,
        )
        for record in read_records(result / SAMPLES)
    }
