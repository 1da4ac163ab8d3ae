"""The divergence from a reference, against log-probabilities computed by hand through the SDK."""

import asyncio
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import tinker

from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_MODEL, TINY_SCRATCH
from geospot.data import GeoSample
from geospot.errors import BackendError
from geospot.learning.stopping import StopRequest
from geospot.learning.trainer import Trainer
from geospot.rl.advantages import group_advantages
from geospot.rl.batch import Batch
from geospot.rl.divergence import Divergence
from geospot.rl.geo_dataset import GeoDatasetBuilder
from geospot.rl.grpo import GRPO
from geospot.rl.pipeline import Sampled
from geospot.rl.report import StepReport
from geospot.rl.types import Transition
from geospot.runs.checkpoints import RunCheckpoint
from tests.support.approx import approx
from tests.support.geo_rollouts import group_of, located
from tests.support.learning import engine_url

COEFFICIENT = 0.5


@dataclass
class Told:
    """The only step."""

    steps: list[StepReport] = field(default_factory=list[StepReport])

    async def rollouts(self, step: int, sampled: Sampled, batch: Batch) -> None:
        pass

    def step(self, report: StepReport) -> None:
        self.steps.append(report)


async def one_step(url: str, folder: Path, **more: Any) -> tuple[StepReport, RunCheckpoint]:
    """A step of GRPO on photos of the world, and what is saved after it."""
    settings: dict[str, Any] = {
        "service": url,
        "model_name": TINY_MODEL,
        "hf_repo": "world",
        "max_samples": 2,
        "batch_size": 2,
        "group_size": 3,
        "coord_tau": [2000.0],
        "log_path": folder,
    }
    trainer = await Trainer[RLConfig].open(RLConfig(**(settings | more)))
    build = GeoDatasetBuilder(trainer.config, trainer.renderer, trainer.prompt, 64)
    dataset, told = await build(), Told()
    try:
        loop = GRPO(
            trainer.config,
            trainer,
            dataset,
            told,
            save=lambda _: None,
            evaluate=lambda _: None,
            stop=StopRequest(),
        )
        assert await loop.run(0) == 1
        return told.steps[0], await trainer.save("after", batch=1)
    finally:
        dataset.close()
        await trainer.aclose()


@dataclass(frozen=True)
class World:
    """A service, and a checkpoint there that is no longer the base model."""

    url: str
    moved: RunCheckpoint
    folder: Path

    def step(self, reference: str) -> StepReport:
        """A step from that checkpoint, held back by the reference."""
        more = {"load_checkpoint_path": self.moved.state_path, "kl_penalty_coef": COEFFICIENT}
        going = one_step(self.url, self.folder / reference, kl_reference=reference, **more)
        return asyncio.run(going)[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    folder = tmp_path_factory.mktemp("divergence")
    with engine_url(folder / "state") as url:
        fast = {"learning_rate": 5e-3, "lr_schedule": "constant", "warmup_steps": 0}
        _, moved = asyncio.run(one_step(url, folder / "first", **fast))
        yield World(url, moved, folder)


def by_hand(client: tinker.SamplingClient, turn: Transition) -> float:
    """log-probability of a whole answer, in nats, from that of every position."""
    spoken = tinker.types.EncodedTextChunk(tokens=turn.action)
    whole = tinker.ModelInput(chunks=[*turn.observation.chunks, spoken])
    logprobs = client.compute_logprobs(whole).result()
    return sum(cast(list[float], logprobs[-len(turn.action) :]))


def test_a_rollout_loses_what_its_answer_is_likelier_than_under_the_base(world: World) -> None:
    report = world.step("base")

    turns_of = [[one.transitions[0] for one in g.trajectories] for g in report.sampled.groups]
    with tinker.ServiceClient(base_url=world.url, api_key="tml-no-key-needed") as service:
        policy = service.create_sampling_client(model_path=world.moved.sampler_path).result()
        base = service.create_sampling_client(base_model=TINY_MODEL).result()
        apart_of = [[by_hand(policy, t) - by_hand(base, t) for t in turns] for turns in turns_of]
    nats: list[float] = []
    for number, (turns, apart) in enumerate(zip(turns_of, apart_of, strict=True)):
        penalised = [
            turn.reward - COEFFICIENT * value for turn, value in zip(turns, apart, strict=True)
        ]
        for index, advantage in enumerate(group_advantages(penalised)):
            assert report.batch.advantages[number, index][0] == approx(advantage, abs=1e-4)
        nats += apart
    assert max(map(abs, nats)) > 0.05  # the checkpoint isn't the base
    row = report.row()
    assert row["kl/base_nats"] == approx(sum(nats) / len(nats), abs=1e-4)
    assert "kl/start_nats" not in row
    asked = report.sampled.log.prompt_tokens
    read = row["env/all/total_ob_tokens"] + row["env/all/total_ac_tokens"]
    assert report.counts.prefill == asked + read


def test_from_the_start_nothing_is_apart_before_the_first_step(world: World) -> None:
    report = world.step("start")

    assert report.row()["kl/start_nats"] == approx(0.0, abs=1e-4)
    for number, group in enumerate(report.sampled.groups):
        for index, advantage in enumerate(group_advantages(group.rewards_G)):
            assert report.batch.advantages[number, index][0] == approx(advantage, abs=1e-4)


def test_random_weights_are_their_own_start(world: World) -> None:
    """They are drawn from the run's seed, so the base that the service samples is another model."""
    more = {"model_name": TINY_SCRATCH, "seed": 3, "kl_penalty_coef": COEFFICIENT}
    report, _ = asyncio.run(one_step(world.url, world.folder / "random", **more))
    assert report.row()["kl/start_nats"] == approx(0.0, abs=1e-4)


class Silent:
    """A service that leaves log-probabilities out."""

    def compute_logprobs(self, prompt: tinker.ModelInput, count: int) -> Any:
        async def told() -> list[float | None]:
            return [None] * (prompt.length - 1) + [-1.0]

        del count
        return told()


def test_log_probabilities_that_are_missing_are_not_taken_for_0() -> None:
    divergence = Divergence(1.0, "base")
    divergence.reference = cast(tinker.SamplingClient, Silent())
    spot = GeoSample("spot", 0.0, 10.0, "spot")
    with pytest.raises(BackendError, match="told 1 of 2 log-probabilities of the base"):
        asyncio.run(divergence.penalties([group_of(spot, [located(1.0, 10.0)])]))


def test_without_a_reference_nothing_is_taken_off() -> None:
    spot = GeoSample("spot", 0.0, 10.0, "spot")
    groups = [group_of(spot, [located(1.0, 10.0)])]
    assert asyncio.run(Divergence(0.0).penalties(groups)) == {}
    assert Divergence(0.0).tokens(groups) == 0


class Stumbling:
    """A service that fails so many times before it answers."""

    def __init__(self, faults: int) -> None:
        self.faults = faults

    def compute_logprobs(self, prompt: tinker.ModelInput, count: int) -> Any:
        async def told() -> list[float | None]:
            if self.faults:
                self.faults -= 1
                raise tinker.APIConnectionError(request=httpx.Request("POST", "http://a"))
            return [None] * (prompt.length - count) + [-1.0] * count

        return told()


@pytest.mark.parametrize(("faults", "answers"), [(2, True), (3, False)])
def test_a_reference_that_stumbles_is_asked_again(
    faults: int, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot.learning.patience._FIRST_PAUSE_S", 0.001)
    divergence = Divergence(1.0, "base", max_retries=2)
    divergence.reference = cast(tinker.SamplingClient, Stumbling(faults))
    groups = [group_of(GeoSample("spot", 0.0, 10.0, "spot"), [located(1.0, 10.0)])]
    if answers:
        assert asyncio.run(divergence.penalties(groups)) == {(0, 0): approx(2.0 - 0.75)}
    else:
        with pytest.raises(BackendError, match="failed the log-probabilities of the base"):
            asyncio.run(divergence.penalties(groups))
