"""Which rollouts are sampled when: photos are read ahead, and sampling may run ahead of training."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geospot.rl.rollouts import (
    PreparedGroup,
    Sampler,
    SamplingLog,
    play_group,
    prepare_group,
)
from geospot.rl.types import RLDataset, TrajectoryGroup

if TYPE_CHECKING:
    import tinker

MakeSampler = Callable[["tinker.SamplingClient", int, SamplingLog], Sampler]
"""From a client, the number of steps its weights have seen, and where to note what asking costs."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """The rollouts of a step. `seconds` from the first call to the last answer."""

    prepared: list[PreparedGroup]
    groups: list[TrajectoryGroup]
    log: SamplingLog
    seconds: float


class RolloutPipeline:
    """Samples the groups of each step from weights that are at most `ahead` steps older than it.

    Steps are done in segments that end at every multiple of `segment`: no step is sampled from weights
    of an earlier segment. A checkpoint stands at the end of each, and so a run that goes on from one
    samples exactly what it would have sampled without the interruption. It costs one step's waiting a
    segment, and nothing where `ahead` is 0.

    Args:
        group_size: rollouts a group.
        total: number of steps of the run.
        max_retries: tries after a data source that didn't answer.
    """

    def __init__(
        self,
        dataset: RLDataset,
        make_sampler: MakeSampler,
        *,
        group_size: int,
        total: int,
        segment: int,
        ahead: int,
        max_retries: int = 0,
    ) -> None:
        self._dataset = dataset
        self._make_sampler = make_sampler
        self._group_size = group_size
        self._total = total
        self._segment = segment
        self._ahead = ahead
        self._max_retries = max_retries
        self._begun = -1
        self._start = 0
        self._preparing: dict[int, asyncio.Task[list[PreparedGroup]]] = {}
        self._sampling: dict[int, asyncio.Task[Sampled]] = {}

    def weights(self, step: int, client: "tinker.SamplingClient") -> None:
        """The weights after `step` steps can be sampled: begins what waited for them.

        Called for each step in order, also where a step has changed nothing.
        """
        end = min(self._total, (step // self._segment + 1) * self._segment)
        opens_segment = self._begun < 0 or step % self._segment == 0
        if self._begun < 0:
            self._start = step
        self._begun = step
        first = step if opens_segment else step + self._ahead
        for other in range(first, min(step + self._ahead + 1, end)):
            self._sampling[other] = asyncio.create_task(self._sample(other, client, step))

    def source(self, step: int) -> int:
        """How many steps the weights have seen that a step is sampled from."""
        return max(self._start, step // self._segment * self._segment, step - self._ahead)

    def sampling(self, step: int) -> asyncio.Task[Sampled]:
        """The rollouts of a step, to be waited for; begun when its weights were told."""
        return self._sampling[step]

    async def take(self, step: int) -> Sampled:
        """The rollouts of a step, as soon as all have come back or are lost.

        Raises:
            BackendError: no call can work any more.
        """
        sampled = await self._sampling[step]
        del self._sampling[step]
        return sampled

    async def aclose(self) -> None:
        """Drops what is under way."""
        tasks: list[asyncio.Task[Any]] = [*self._preparing.values(), *self._sampling.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _prepare(self, step: int) -> "asyncio.Task[list[PreparedGroup]]":
        if step not in self._preparing:
            self._preparing[step] = asyncio.create_task(self._prepared(step))
        return self._preparing[step]

    async def _prepared(self, step: int) -> list[PreparedGroup]:
        builders = await asyncio.to_thread(self._dataset.get_batch, step)
        return list(
            await asyncio.gather(*(prepare_group(one, self._max_retries) for one in builders))
        )

    async def _sample(self, step: int, client: "tinker.SamplingClient", seen: int) -> Sampled:
        prepared = await self._prepare(step)
        del self._preparing[step]
        if step + 1 < self._total:
            self._prepare(step + 1)
        log = SamplingLog()
        sampler = self._make_sampler(client, seen, log)
        began = time.monotonic()
        groups = await asyncio.gather(
            *(
                play_group(one, sampler, name=f"{step}:{number}", size=self._group_size)
                for number, one in enumerate(prepared)
            )
        )
        return Sampled(prepared, groups, log, time.monotonic() - began)
