"""Plays groups of episodes: one call to the service for all rollouts of a prompt."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from geospot.completers import Completion, TinkerTokenCompleter
from geospot.errors import DivergedError, GeospotError, ImageError
from geospot.learning.patience import pause_s, read_patiently
from geospot.learning.steps import is_diverged
from geospot.rl.types import (
    Env,
    EnvGroupBuilder,
    RolloutFailure,
    Stop,
    Trajectory,
    TrajectoryGroup,
    Transition,
)
from geospot.services.faults import Fault, fatal_error, fault_of
from geospot.textsafe import printable

if TYPE_CHECKING:
    import tinker


@dataclass(frozen=True, slots=True, eq=False)
class PreparedGroup:
    """A group whose photo is read and whose prompts are rendered; `error` says why not, if not."""

    builder: EnvGroupBuilder
    envs: Sequence[Env]
    observations: "Sequence[tuple[tinker.ModelInput, Stop]]"
    error: str | None = None
    is_broken: bool = False
    """Whether the photo itself is at fault, and will be the next time."""


async def prepare_group(builder: EnvGroupBuilder, max_retries: int = 0) -> PreparedGroup:
    """Reads and renders. A photo that can't be had costs its group, and is told in `error`.

    Args:
        max_retries: tries after a data source that didn't answer.
    """

    async def prepare() -> PreparedGroup:
        envs = await builder.make_envs()
        return PreparedGroup(builder, envs, [await env.initial_observation() for env in envs])

    try:
        return await read_patiently(prepare, max_retries)
    except GeospotError as error:
        reason = f"{printable(builder.group_id)}: {error.message}"
        return PreparedGroup(builder, [], [], reason, isinstance(error, ImageError))


@dataclass(slots=True)
class SamplingLog:
    """What asking cost, for the metrics of a step."""

    calls: int = 0
    prompt_tokens: int = 0
    """As they are billed: a prompt once a call."""
    cached_prompt_tokens: int = 0
    """Those of the other samples of a call."""
    sampled_tokens: int = 0
    faults: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True, slots=True)
class Sampler:
    """Asks one version of the weights, again where that may help.

    Args:
        completer: its `seed` is replaced by one for each prompt, so that a run repeats itself.
        step: optimiser steps that these weights have seen.
        seed: of the run.
        timeout_s: how long one call may take; after it the rollouts of the call are lost.
        max_retries: tries after a passing fault.
    """

    completer: TinkerTokenCompleter
    step: int
    seed: int
    timeout_s: float
    max_retries: int
    log: SamplingLog

    async def ask(
        self, prompt: "tinker.ModelInput", stop: Stop, count: int, name: str
    ) -> list[Completion] | Fault:
        """`count` samples in one call, or why there are none.

        Args:
            name: what the seed is made of, beside the run's: step, place in it, photo, turn.

        Raises:
            BackendError: no further call can work.
            DivergedError: the weights give no finite numbers.
        """
        completer = replace(self.completer, seed=self._seed(name))
        outcome: list[Completion] | Fault = Fault("lost", "not asked")
        for attempt in range(self.max_retries + 1):
            if attempt:
                await asyncio.sleep(pause_s(attempt))
            self.log.calls += 1
            outcome = await self._once(completer, prompt, stop, count)
            if not isinstance(outcome, Fault):
                self.log.prompt_tokens += prompt.length
                self.log.cached_prompt_tokens += prompt.length * (count - 1)
                self.log.sampled_tokens += sum(len(one.tokens) for one in outcome)
                return outcome
            self.log.faults[outcome.gravity] += 1
            if outcome.gravity == "fatal":
                raise fatal_error(outcome)
            if outcome.gravity == "lost":
                if is_diverged(outcome):
                    raise DivergedError(f"The model can't be sampled: {outcome.message}.")
                break
        return outcome

    async def _once(
        self, completer: TinkerTokenCompleter, prompt: "tinker.ModelInput", stop: Stop, count: int
    ) -> list[Completion] | Fault:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await completer(prompt, stop, count)
        except TimeoutError:
            return Fault("again", f"no answer within {self.timeout_s:g} s")
        except DivergedError:
            raise
        except Exception as error:  # noqa: BLE001 - sorted by `fault_of`, which raises what it doesn't know
            return fault_of(error)

    def _seed(self, name: str) -> int:
        digest = hashlib.sha256(f"{self.seed}:{name}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1


@dataclass(slots=True)
class _Episode:
    """One environment at play."""

    index: int
    env: Env
    observation: "tinker.ModelInput"
    stop: Stop
    transitions: list[Transition] = field(default_factory=list[Transition])
    done: bool = False
    error: str | None = None


async def play_group(
    prepared: PreparedGroup, sampler: Sampler, *, name: str, size: int
) -> TrajectoryGroup:
    """All rollouts of a group. Those that service or network lost are in `failures`.

    Environments that wait with the same observation are asked together: a photo goes over the wire
    once for the whole group.

    Args:
        name: step and place in it; a photo that comes twice in a step is answered differently.
        size: rollouts of the group.
    """
    if prepared.error is not None:
        lost = [RolloutFailure(index, prepared.error) for index in range(size)]
        return TrajectoryGroup(prepared.builder, [], lost, sampler.step)
    episodes = [
        _Episode(index, env, observation, stop)
        for index, (env, (observation, stop)) in enumerate(
            zip(prepared.envs, prepared.observations, strict=True)
        )
    ]
    turn = 0
    while active := [one for one in episodes if not one.done and one.error is None]:
        together: dict[int, list[_Episode]] = {}
        for episode in active:
            together.setdefault(id(episode.observation), []).append(episode)
        asked = f"{name}:{prepared.builder.group_id}:{turn}"
        await asyncio.gather(
            *(
                _turn(members, sampler, f"{asked}:{members[0].index}")
                for members in together.values()
            )
        )
        turn += 1
    return TrajectoryGroup(
        prepared.builder,
        [Trajectory(one.index, one.transitions) for one in episodes if one.error is None],
        [RolloutFailure(one.index, one.error) for one in episodes if one.error is not None],
        sampler.step,
    )


async def _turn(members: list[_Episode], sampler: Sampler, name: str) -> None:
    """One answer for each episode that waits with the same prompt."""
    first = members[0]
    answers = await sampler.ask(first.observation, first.stop, len(members), name)
    if isinstance(answers, Fault):
        for episode in members:
            episode.error = answers.message
        return
    for episode, answer in zip(members, answers, strict=True):
        result = await episode.env.step(answer.tokens)
        episode.transitions.append(
            Transition(
                observation=episode.observation,
                action=answer.tokens,
                logprobs_T=answer.logprobs_T,
                reward=result.reward,
                episode_done=result.episode_done,
                metrics=result.metrics,
                logs=result.logs,
            )
        )
        episode.done = result.episode_done or result.next_observation is None
        if result.next_observation is not None:
            episode.observation, episode.stop = result.next_observation, result.next_stop
