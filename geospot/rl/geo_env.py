"""One photo, one question, one answer, one reward."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from geospot.data import GeoDataset, GeoSample
from geospot.evaluation.backend import Reply
from geospot.evaluation.judge import judge
from geospot.evaluation.metrics import ACCURACIES
from geospot.evaluation.records import SampleRecord
from geospot.learning.photos import question, read_photo
from geospot.outcomes import Outcome
from geospot.prompts import Prompt
from geospot.renderers import Message, Renderer
from geospot.rl.geo_reward import GeoReward, RewardTerms
from geospot.rl.types import Action, Env, EnvGroupBuilder, StepResult, Stop

if TYPE_CHECKING:
    import tinker


FRESH: Final = "fresh"
"""Tag of a group whose photo came as the order has it."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all environments of a group share. Made by `GeoGroupBuilder`.

    `observation` is `question` rendered: one object for all, so that they are asked in one call.
    """

    sample: GeoSample
    renderer: Renderer
    reward: GeoReward
    question: list[Message] = field(repr=False)
    observation: "tinker.ModelInput" = field(repr=False)


class GeoEnv(Env):
    """A single turn: where was this photo taken?"""

    def __init__(self, task: Task) -> None:
        self._task = task

    async def initial_observation(self) -> "tuple[tinker.ModelInput, Stop]":
        """The prompt with the photo; for all of a group the very same object."""
        return self._task.observation, self._task.renderer.get_stop_sequences()

    async def step(self, action: Action) -> StepResult:
        """Reads the answer as an evaluation would, and gives its reward.

        The metrics are at a fixed scale whatever tau is: `answered` (0 or 1), `distance_km`, `geoscore`
        and the accuracies, a failure at its worst; and `reward/<term>` for the terms that count.
        """
        _, record = read_answer(self._task, action)
        worth = self._task.reward(record)
        return StepResult(
            reward=worth.total,
            episode_done=True,
            metrics=metrics_of(record, worth),
            logs=logs_of(record, self._task.reward.tau_km),
        )


@dataclass(frozen=True, slots=True)
class GeoGroupBuilder(EnvGroupBuilder):
    """The same photo asked `group_size` times.

    Args:
        max_image_size: longest side in pixels; larger photos shrink.
        make_env: what is played, given what the group shares.
        tag: `fresh`, or `replayed` where the photo is shown again because it is hard.
    """

    dataset: GeoDataset
    sample: GeoSample
    renderer: Renderer
    prompt: Prompt
    reward: GeoReward
    group_size: int
    max_image_size: int | None = None
    make_env: Callable[[Task], Env] = GeoEnv
    tag: str = FRESH

    @property
    def group_id(self) -> str:
        """The photo's id."""
        return self.sample.id

    async def make_envs(self) -> Sequence[Env]:
        """Environments that share one rendered prompt; photo and prompt are made in a thread.

        Raises:
            ImageError, SourceUnavailableError: the photo can't be had.
            RenderError: the prompt can't be put into the model's tokens.
        """
        task = await asyncio.to_thread(self._task)
        return [self.make_env(task) for _ in range(self.group_size)]

    def logging_tags(self) -> list[str]:
        """Fresh photos and those shown again have figures of their own."""
        return [self.tag]

    def _task(self) -> Task:
        photo = read_photo(self.dataset, self.sample, self.max_image_size)
        asked = question(self.prompt, photo)
        observation = self.renderer.build_generation_prompt(asked)
        return Task(self.sample, self.renderer, self.reward, asked, observation)


def read_answer(task: Task, action: Action) -> tuple[Message, SampleRecord]:
    """What the model said; and the same judged by the evaluation's own code, so that both mean the same."""
    parsed = task.renderer.parse_response(action)
    record = judge(task.sample, Reply(parsed.raw, truncated=parsed.truncated))
    return parsed.message, record


def metrics_of(record: SampleRecord, worth: RewardTerms) -> dict[str, float]:
    """Numbers of one answer that are averaged over rollouts."""
    figures = {
        "answered": float(record.outcome is Outcome.OK),
        "distance_km": record.distance_km,
        "geoscore": record.geoscore,
    }
    figures |= {name: float(record.distance_km < radius) for name, radius in ACCURACIES.items()}
    return figures | {f"reward/{name}": value for name, value in worth.terms.items()}


def logs_of(record: SampleRecord, tau_km: Sequence[float]) -> dict[str, object]:
    """What a person wants to read about one answer. `text` is the model's: print it with care."""
    return {
        "sample_id": record.id,
        "outcome": str(record.outcome),
        "note": record.note,
        "text": record.text,
        "truncated": record.truncated,
        "latitude": record.latitude,
        "longitude": record.longitude,
        "place": record.place,
        "true_latitude": record.true_latitude,
        "true_longitude": record.true_longitude,
        "labels": record.labels,
        "tau_km": list(tau_km),
    }


def photo_bytes(observation: "tinker.ModelInput") -> bytes | None:
    """The first photo of a prompt as it was sent, JPEG or PNG; None where there is none."""
    import tinker

    for chunk in observation.chunks:
        if isinstance(chunk, tinker.types.ImageChunk):
            return chunk.data
    return None
