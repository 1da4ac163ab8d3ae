"""Three looks at a photo: a rough guess, a better one, the final one.

Each turn is rewarded for what it gains. The potential Φ of a turn's answer is its reward at that turn's
tau, 0 where it is a failure, and the turn's reward is Φ now less Φ before (potential-based shaping: Ng,
Harada and Russell, 1999, "Policy invariance under reward transformations"). The sum over the turns
telescopes to the reward of the final answer, which is that of `GeoEnv`: shaping changes when a rollout
learns that it did well, never which rollout did best.

Two things are not shaping. A failure of the final answer is worth −`format_coef`, as ever. And a
failure before it costs `format_coef` then and there: without that a turn could say nothing for free,
since the next turn would win back whatever it missed.
"""

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from geospot.outcomes import Outcome
from geospot.renderers import Message
from geospot.rl.geo_env import Task, logs_of, metrics_of, read_answer
from geospot.rl.geo_reward import GeoReward
from geospot.rl.types import Action, Env, StepResult, Stop

if TYPE_CHECKING:
    import tinker

LOOK_AGAIN: Final = (
    "That was a first, rough guess. Look at the photo again: what speaks against this place, and which "
    "one fits better? Answer in the same form with your better guess."
)
DECIDE: Final = "Now decide. Answer in the same form with your final answer."

FOLLOW_UPS: Final = (LOOK_AGAIN, DECIDE)
"""What is said after the first and after the second answer."""

TURNS: Final = 1 + len(FOLLOW_UPS)


class TelescopingGeoEnv(Env):
    """Three turns about one photo.

    Args:
        task: what the group shares; its reward is the final answer's.
        coarse_tau_km: tau of the first answer; the second's is the geometric mean of this and the final
            one. Where the final tau is larger, it is that of all turns.
    """

    def __init__(self, task: Task, coarse_tau_km: float) -> None:
        self._task = task
        self._rewards = stage_rewards(task.reward, coarse_tau_km)
        self._conversation: list[Message] = list(task.question)
        self._turn = 0
        self._potential = 0.0

    async def initial_observation(self) -> "tuple[tinker.ModelInput, Stop]":
        """The prompt with the photo; for all of a group the very same object."""
        return self._task.observation, self._task.renderer.get_stop_sequences()

    async def step(self, action: Action) -> StepResult:
        """What an answer gained, and the next question.

        Metrics and logs are `GeoEnv`'s, of this turn's answer at this turn's tau; `turn_1/geoscore` and
        so on tell the turns apart.
        """
        message, record = read_answer(self._task, action)
        reward = self._rewards[self._turn]
        worth = reward(record)
        is_final = self._turn == TURNS - 1
        gained = worth.total - self._potential
        self._potential = worth.total if record.outcome is Outcome.OK else 0.0
        self._turn += 1
        result = StepResult(
            reward=gained,
            episode_done=is_final,
            metrics=metrics_of(record, worth) | {f"turn_{self._turn}/geoscore": record.geoscore},
            logs=logs_of(record, reward.tau_km),
        )
        if is_final:
            return result
        asked: Message = {"role": "user", "content": FOLLOW_UPS[self._turn - 1]}
        self._conversation += [message, asked]
        return replace(
            result,
            next_observation=await asyncio.to_thread(
                self._task.renderer.build_generation_prompt, self._conversation
            ),
            next_stop=self._task.renderer.get_stop_sequences(),
        )


def stage_rewards(final: GeoReward, coarse_tau_km: float) -> tuple[GeoReward, ...]:
    """The reward of each turn's answer: the same but for tau, which falls to the final one."""
    first = tuple(max(coarse_tau_km, tau) for tau in final.tau_km)
    middle = tuple(math.sqrt(a * b) for a, b in zip(first, final.tau_km, strict=True))
    return replace(final, tau_km=first), replace(final, tau_km=middle), final
