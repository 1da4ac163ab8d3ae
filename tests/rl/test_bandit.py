"""The policy gradient on bandits whose optimum is known: it climbs, and it is unbiased.

The same checks are then run with a fault put in, and each has to notice: an advantage of the wrong sign,
targets that aren't shifted, a stop token that isn't trained, log-probabilities of another temperature.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tinker

import geospot.rl.batch
import geospot.rl.rollouts
from geospot.completers import Completion
from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_SCRATCH
from geospot.geo import FloatArray
from geospot.learning.stopping import StopRequest
from geospot.learning.trainer import Trainer
from geospot.rl.advantages import group_advantages
from geospot.rl.batch import Batch, drift_figures, make_batch
from geospot.rl.datums import policy_datum
from geospot.rl.grpo import GRPO
from geospot.rl.pipeline import Sampled
from geospot.rl.report import StepReport
from geospot.rl.rollouts import Sampler
from geospot.rl.types import (
    Action,
    Env,
    EnvGroupBuilder,
    RLDataset,
    StepResult,
    Stop,
    Trajectory,
    TrajectoryGroup,
    Transition,
)
from tests.support.learning import engine_url

STEPS = 14
GROUPS = 6
GROUP_SIZE = 8
WINNERS = list(range(0, 512, 2))
"""Tokens that end the answer and are worth 1; every other is worth 0."""

PROMPT = tinker.ModelInput.from_ints([40, 41, 42, 43])


class Arm(Env):
    """One pull: a single token, worth 1 if it is a winner."""

    async def initial_observation(self) -> tuple[tinker.ModelInput, Stop]:
        return PROMPT, WINNERS

    async def step(self, action: Action) -> StepResult:
        return StepResult(reward=float(action[-1] in WINNERS), episode_done=True)


@dataclass(frozen=True)
class Bandit(EnvGroupBuilder):
    """A group of pulls."""

    name: str

    @property
    def group_id(self) -> str:
        return self.name

    async def make_envs(self) -> Sequence[Env]:
        return [Arm() for _ in range(GROUP_SIZE)]


class Bandits(RLDataset):
    """The same bandit in every step."""

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        return [Bandit(f"{index}-{number}") for number in range(GROUPS)]

    def __len__(self) -> int:
        return STEPS


@dataclass
class Seen:
    """What the loop told: per step the mean reward, drift, and how many tokens were trained."""

    rewards: list[float] = field(default_factory=list[float])
    drift: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    untrained: int = 0
    """Sampled tokens, of groups that count, that no datum has as a target."""

    async def rollouts(self, step: int, sampled: Sampled, batch: Batch) -> None:
        del step
        self.rewards.append(float(np.mean([group.rewards_G for group in sampled.groups])))
        sampled_tokens = sum(
            len(trajectory.transitions[0].action)
            for number in batch.used
            for trajectory in sampled.groups[number].trajectories
        )
        trained = sum(
            int(np.count_nonzero(datum.loss_fn_inputs["advantages"].to_numpy()))
            for part in batch.parts
            for datum in part.datums
        )
        self.untrained += sampled_tokens - trained

    def step(self, report: StepReport) -> None:
        self.drift.append(report.drift)

    def complaints(self) -> set[str]:
        """Which of the checks fail."""
        found: set[str] = set()
        if np.mean(self.rewards[-3:]) < np.mean(self.rewards[:3]) + 0.3:
            found.add("the reward doesn't climb")
        on_policy = [row["optim/kl_sample_train_v2"] for row in self.drift if row]
        if not on_policy or max(on_policy) > 1e-6:
            found.add("sampler and trainer disagree")
        if self.untrained:
            found.add("sampled tokens aren't trained")
        return found


async def _play(url: str, tmp_path: Path) -> Seen:
    config = RLConfig(
        service=url,
        model_name=TINY_SCRATCH,
        lora_rank=0,
        prompt="tiny",
        learning_rate=3e-3,
        lr_schedule="constant",
        warmup_steps=0,
        max_tokens=1,
        group_size=GROUP_SIZE,
        log_path=tmp_path / "run",
    )
    trainer = await Trainer[RLConfig].open(config)
    seen = Seen()

    loop = GRPO(
        trainer.config,
        trainer,
        Bandits(),
        seen,
        save=lambda _: None,
        evaluate=lambda _: None,
        stop=StopRequest(),
    )
    try:
        assert await loop.run(0) == STEPS
    finally:
        await trainer.aclose()
    return seen


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """An engine for all that is played."""
    with engine_url(tmp_path_factory.mktemp("bandit")) as address:
        yield address


def test_the_policy_learns_to_pull_the_winning_arms(url: str, tmp_path: Path) -> None:
    seen = asyncio.run(_play(url, tmp_path))
    assert seen.complaints() == set()
    assert seen.rewards[0] < 0.7  # it had something to learn


def _wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(reward_G: Sequence[float], *, normalize: bool = False) -> FloatArray:
        return -group_advantages(reward_G, normalize=normalize)

    monkeypatch.setattr(geospot.rl.batch, "group_advantages", turned)


def _unshifted(monkeypatch: pytest.MonkeyPatch) -> None:
    def copied(transition: Transition, advantage: float) -> tinker.Datum:
        datum = policy_datum(transition, advantage)
        inputs = {
            name: tinker.TensorData.from_numpy(np.append([0], tensor.to_numpy()).astype(kind))
            for (name, tensor), kind in zip(
                datum.loss_fn_inputs.items(), (np.int64, np.float32, np.float32), strict=True
            )
        }
        whole = tinker.ModelInput.from_ints([*PROMPT.to_ints(), *transition.action])
        return tinker.Datum(model_input=whole, loss_fn_inputs=inputs)

    monkeypatch.setattr(geospot.rl.batch, "policy_datum", copied)


def _dropped_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_stop(transition: Transition, advantage: float) -> tinker.Datum:
        kept = transition.action[:-1] or [1]
        cut = replace(transition, action=kept, logprobs_T=np.full(len(kept), -6.0, np.float32))
        return policy_datum(cut, 0.0 if len(kept) == 1 else advantage)

    monkeypatch.setattr(geospot.rl.batch, "policy_datum", without_stop)


def _wrong_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Sampler.ask

    async def tempered(self: Sampler, *arguments: object) -> object:
        answers = await ask(self, *arguments)  # pyright: ignore[reportArgumentType]
        assert isinstance(answers, list)
        # As a server would send them that samples at temperature 1.5 and says so.
        return [
            Completion(one.tokens, one.logprobs_T / 1.5, one.truncated, one.sequence_id)
            for one in answers
        ]

    monkeypatch.setattr(geospot.rl.rollouts.Sampler, "ask", tempered)


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [
        (_wrong_sign, "the reward doesn't climb"),
        (_unshifted, "sampler and trainer disagree"),
        (_dropped_stop, "sampled tokens aren't trained"),
        (_wrong_temperature, "sampler and trainer disagree"),
    ],
)
def test_a_fault_that_is_put_in_is_noticed(
    fault: Callable[[pytest.MonkeyPatch], None],
    noticed: str,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    assert noticed in asyncio.run(_play(url, tmp_path)).complaints()


def _policy(logits_K: FloatArray) -> FloatArray:
    weights_K = np.exp(logits_K - logits_K.max())
    return weights_K / weights_K.sum()


def _pull(arm: int, reward: float) -> Transition:
    return Transition(PROMPT, [arm], np.zeros(1, np.float32), reward, True, metrics={}, logs={})


def _gradients(*, normalize: bool) -> tuple[FloatArray, FloatArray]:
    """The gradient of the expected reward, and what groups of four say of it on average; both (K,).

    The average is over all groups that there are, each as often as the policy draws it: no chance is left.
    """
    logits_K = np.array([0.5, -0.3, 0.0, 0.8, -1.0])
    worth_K = np.array([0.1, 0.9, 0.0, 0.3, 1.0])
    policy_K = _policy(logits_K)
    exact_K = policy_K * (worth_K - policy_K @ worth_K)
    mean_K = np.zeros(5)
    for arms in product(range(5), repeat=4):
        played = [Trajectory(at, [_pull(arm, float(worth_K[arm]))]) for at, arm in enumerate(arms)]
        group = TrajectoryGroup(Bandit(str(arms)), played, [], 0)
        batch = make_batch([group], min_range=1e-4, normalize=normalize)
        said_K = np.zeros(5)
        for part in batch.parts:
            for datum, transition in zip(part.datums, part.transitions, strict=True):
                score_K = np.eye(5)[transition.action[0]] - policy_K  # of the log-probability
                said_K += datum.loss_fn_inputs["advantages"].to_numpy()[-1] * score_K
        mean_K += np.prod(policy_K[list(arms)]) * said_K
    return exact_K, mean_K


def test_the_gradient_is_unbiased() -> None:
    exact_K, mean_K = _gradients(normalize=False)
    # A reward is compared with a mean that it is part of: that leaves (G − 1) / G of the gradient.
    assert np.abs(mean_K - exact_K * 3 / 4).max() < 1e-6


def test_dividing_by_the_deviation_turns_the_gradient() -> None:
    """Why it is only an option: the direction isn't that of the expected reward any more."""
    exact_K, mean_K = _gradients(normalize=True)
    scale = (mean_K @ exact_K) / (exact_K @ exact_K)
    assert np.abs(mean_K - scale * exact_K).max() > 0.1 * np.abs(mean_K).max()


def test_drift_is_nothing_where_the_models_agree() -> None:
    assert drift_figures([], []) == {}
