"""The photos of a run, step by step."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from geospot.config.learning import RLConfig
from geospot.data.progress import Progress, silent
from geospot.learning.photos import TrainingData, open_training_data
from geospot.prompts import Prompt
from geospot.renderers import Renderer
from geospot.rl.geo_env import FRESH, GeoEnv, GeoGroupBuilder, Task
from geospot.rl.geo_reward import GeoReward
from geospot.rl.replay import HardReplay
from geospot.rl.tau import TauSchedule
from geospot.rl.telescoping import TelescopingGeoEnv
from geospot.rl.types import REPLAYED, Env, RLDataset


@dataclass(frozen=True, slots=True)
class GeoDatasetBuilder:
    """Opens the photos that a configuration names.

    Args:
        config: with every gap filled.
        max_image_size: longest side in pixels; larger photos shrink.
    """

    config: RLConfig
    renderer: Renderer
    prompt: Prompt
    max_image_size: int | None = None

    async def __call__(self, progress: Progress = silent) -> "GeoRLDataset":
        """The data set, opened in a thread.

        Raises:
            DataError: no such data set, or no photo with valid coordinates in it.
            UsageError: the columns make no sense.
        """
        data = await asyncio.to_thread(open_training_data, self.config, progress=progress)
        return GeoRLDataset(self, data)


class GeoRLDataset(RLDataset):
    """Step by step the photos that are asked, one group each; a pure function of the step.

    So is tau, unless it is adaptive: then of the figures that `tau` was told of earlier steps. And so
    are photos that are shown again: of what `replay`, which is None without `replay_hard`, was told.

    A photo is fresh once an epoch; what is shown again comes on top, and makes an epoch longer.

    With `balance_by_country` countries are drawn evenly instead of as often as they occur, so the
    photos of a rare country come back sooner (`geospot.learning.order.SampleOrder`).
    """

    def __init__(self, builder: GeoDatasetBuilder, data: TrainingData) -> None:
        config = builder.config
        self.data = data
        self._builder = builder
        self._order = data.order(config.seed)
        n = len(data.samples)
        self._steps = config.steps_on(n)
        self.replay = HardReplay(config, self._order, n) if config.replay_hard else None
        self.tau = TauSchedule(config, self._steps)

    def get_batch(self, index: int) -> Sequence[GeoGroupBuilder]:
        """The groups of step `index`, 0 … len−1; photos are not read yet.

        Raises:
            IndexError: the run has no such step.
        """
        if not 0 <= index < self._steps:
            raise IndexError(f"step {index} of {self._steps}")
        reward = GeoReward.of(self._builder.config, self.tau_km(index))
        if self.replay is None:
            fresh = self._order.batch(index, self._builder.config.batch_size)
            return [self._group(number, reward, FRESH) for number in fresh]
        fresh, replayed = self.replay.photos(index)
        return [
            *(self._group(number, reward, FRESH) for number in fresh),
            *(self._group(number, reward, REPLAYED) for number in replayed),
        ]

    def _group(self, number: int, reward: GeoReward, tag: str) -> GeoGroupBuilder:
        """What asks about one of the photos."""
        config = self._builder.config
        return GeoGroupBuilder(
            dataset=self.data.dataset,
            sample=self.data.samples[number],
            renderer=self._builder.renderer,
            prompt=self._builder.prompt,
            reward=reward,
            group_size=config.group_size,
            max_image_size=self._builder.max_image_size,
            make_env=_environment(config),
            tag=tag,
        )

    def tau_km(self, index: int) -> tuple[float, ...]:
        """Tau of step `index`."""
        return self.tau.at(index)

    def __len__(self) -> int:
        """Steps of the run."""
        return self._steps

    def close(self) -> None:
        """Lets go of the photos' files and connections."""
        self.data.close()


def _environment(config: RLConfig) -> Callable[[Task], Env]:
    """What is played, given what a group shares."""
    if config.env == "telescoping":
        return partial(TelescopingGeoEnv, coarse_tau_km=config.tau_start)
    return GeoEnv
