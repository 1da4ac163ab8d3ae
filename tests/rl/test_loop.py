"""The loop against the real server and SDK, over an engine that answers from a script."""

import asyncio
import math
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tinker

from geospot.config.learning import RLConfig
from geospot.errors import DivergedError, TooFewRolloutsError
from geospot.learning.patience import pause_s
from geospot.learning.stopping import StopRequest
from geospot.learning.trainer import Trainer
from geospot.rl.batch import Batch
from geospot.rl.grpo import GRPO, unbounded_ratios
from geospot.rl.pipeline import Sampled
from geospot.rl.report import StepReport
from geospot.rl.types import Action, Env, EnvGroupBuilder, RLDataset, StepResult, Stop
from geospot_backends.local.api import (
    EngineError,
    EngineUserError,
    ForwardBackwardResult,
    ModelInfo,
    SampleRequest,
    SampleResult,
    TokenChunk,
)
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.approx import approx
from tests.support.engines import tiny_folder
from tests.support.scripted_engine import BASE, CONTEXT, ScriptedEngine

GROUPS, SIZE = 3, 4


@dataclass
class Engine(ScriptedEngine):
    """Has a tokenizer, and fails the sample calls whose prompt says so."""

    failing: dict[int, list[EngineError]] = field(default_factory=dict[int, list[EngineError]])

    def info(self, model_id: str) -> ModelInfo:
        return ModelInfo(BASE, str(tiny_folder()), CONTEXT, self.models[model_id])

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        results = super().sample(requests)
        for at, request in enumerate(requests):
            errors = self.failing.get(_group_of(request))
            if errors:
                results[at] = errors.pop(0)
        return results


def _group_of(request: SampleRequest) -> int:
    first = next(iter(request.prompt))
    assert isinstance(first, TokenChunk)
    return first.tokens[0]


@dataclass(frozen=True)
class Question(Env):
    """Worth more the later the answer stands in its group; always the same if `flat`."""

    prompt: tinker.ModelInput
    flat: bool

    async def initial_observation(self) -> tuple[tinker.ModelInput, Stop]:
        return self.prompt, [7]

    async def step(self, action: Action) -> StepResult:
        return StepResult(reward=0.5 if self.flat else action[-1] / SIZE, episode_done=True)


@dataclass(frozen=True)
class Group(EnvGroupBuilder):
    """A group whose prompt begins with its number."""

    number: int
    flat: bool = False

    @property
    def group_id(self) -> str:
        return str(self.number)

    async def make_envs(self) -> Sequence[Env]:
        prompt = tinker.ModelInput.from_ints([self.number, 50, 51])
        return [Question(prompt, self.flat) for _ in range(SIZE)]


@dataclass(frozen=True)
class Groups(RLDataset):
    """Groups numbered through the run."""

    steps: int
    flat: bool = False

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        return [Group(100 + index * GROUPS + at, self.flat) for at in range(GROUPS)]

    def __len__(self) -> int:
        return self.steps


@dataclass
class Told:
    """What the loop told."""

    reports: list[StepReport] = field(default_factory=list[StepReport])
    order: list[str] = field(default_factory=list[str])

    async def rollouts(self, step: int, sampled: Sampled, batch: Batch) -> None:
        self.order.append(f"sent {step}")

    def step(self, report: StepReport) -> None:
        self.order.append(f"done {report.step}")
        self.reports.append(report)


@asynccontextmanager
async def _loop(
    engine: Engine,
    dataset: RLDataset,
    told: Told,
    tmp_path: Path,
    stop: StopRequest | None = None,
    **settings: object,
) -> AsyncGenerator[GRPO]:
    server = EmbeddedServer(engine, CheckpointStore(tmp_path))
    config = RLConfig.model_validate(
        {
            "service": server.base_url,
            "model_name": BASE,
            "renderer_name": "qwen3_vl_instruct",
            "learning_rate": 1e-3,
            "group_size": SIZE,
            "log_path": tmp_path,
            **settings,
        }
    )
    trainer = await Trainer[RLConfig].open(config)
    try:
        yield GRPO(
            trainer.config,
            trainer,
            dataset,
            told,
            save=lambda _: None,
            evaluate=lambda _: None,
            stop=stop or StopRequest(),
        )
    finally:
        await trainer.aclose()
        server.close()


def _run(
    engine: Engine,
    dataset: RLDataset,
    tmp_path: Path,
    start: int = 0,
    told: Told | None = None,
    **settings: Any,
) -> Told:
    told = told or Told()

    async def go() -> None:
        async with _loop(engine, dataset, told, tmp_path, **settings) as loop:
            assert await loop.run(start) == len(dataset)

    asyncio.run(go())
    return told


@dataclass
class Following(Engine):
    """Makes no gradient before that of the next step was sent."""

    told: Told = field(default_factory=Told)

    def forward_backward(self, *args: Any, **more: Any) -> ForwardBackwardResult:
        _until(lambda: "sent 1" in self.told.order)
        return super().forward_backward(*args, **more)


@dataclass
class SlowAtFirst(Engine):
    """Whatever is sent while it is busy with its first call waits behind that one."""

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        results = super().sample(requests)
        self.sample_s = 0.0
        return results


def _sampled_from(told: Told) -> list[int]:
    """For each step, after how many steps the weights were that sampled it."""
    return [report.sampled.groups[0].sampler_step for report in told.reports]


def test_a_step_is_one_call_a_group_then_gradient_step_and_snapshot(tmp_path: Path) -> None:
    engine = Engine()
    _run(engine, Groups(2), tmp_path)
    order = [
        name
        for name in engine.names()
        if name not in ("create_model", "unload_model", "delete_sampler")
    ]
    sample = [name for name in order if name == "sample"]
    step = ["forward_backward", "optim_step", "snapshot_sampler"]
    assert [name for name in order if name != "sample"] == ["snapshot_sampler", *step, *step]
    asked = [request for name, requests in engine.calls if name == "sample" for request in requests]
    assert sample
    assert len(asked) == 2 * GROUPS
    assert {request.num_samples for request in asked} == {SIZE}


def test_every_prompt_has_a_seed_of_its_own_that_a_resumed_run_draws_again(tmp_path: Path) -> None:
    def seeds(engine: Engine) -> dict[int, int | None]:
        return {
            _group_of(request): request.params.seed
            for name, requests in engine.calls
            if name == "sample"
            for request in requests
        }

    whole, rest = Engine(), Engine()
    _run(whole, Groups(4), tmp_path)
    _run(rest, Groups(4), tmp_path, start=2)
    assert len(set(seeds(whole).values())) == 4 * GROUPS
    again = seeds(rest)
    assert len(again) == 2 * GROUPS
    assert again.items() <= seeds(whole).items()


def test_on_policy_each_step_is_sampled_from_the_weights_before_it(tmp_path: Path) -> None:
    assert _sampled_from(_run(Engine(), Groups(4), tmp_path)) == [0, 1, 2, 3]


def test_a_step_ahead_never_reaches_over_a_checkpoint(tmp_path: Path) -> None:
    told = _run(Engine(), Groups(10), tmp_path, max_steps_off_policy=1, save_every=4)
    assert _sampled_from(told) == [0, 0, 1, 2, 4, 4, 5, 6, 8, 8]
    assert [report.row()["rollouts/steps_off_policy"] for report in told.reports] == [
        *(0, 1, 1, 1, 0, 1, 1, 1, 0, 1)
    ]
    # So a run that goes on from the checkpoint samples what it would have sampled.
    resumed = _run(Engine(), Groups(10), tmp_path, start=4, max_steps_off_policy=1, save_every=4)
    assert _sampled_from(resumed) == [4, 4, 5, 6, 8, 8]


def test_several_steps_ahead(tmp_path: Path) -> None:
    told = _run(Engine(), Groups(6), tmp_path, max_steps_off_policy=3, save_every=100)
    assert _sampled_from(told) == [0, 0, 0, 0, 1, 2]


def test_ahead_of_training_means_while_it_trains(tmp_path: Path) -> None:
    engine = SlowAtFirst(sample_s=1.0)
    _run(engine, Groups(3), tmp_path, max_steps_off_policy=1, save_every=100)
    first_gradient = engine.names().index("forward_backward")
    before = [r for name, r in engine.calls[:first_gradient] if name == "sample" for r in r]
    assert len(before) > GROUPS  # the second step's too


def test_a_step_is_sent_while_the_one_before_is_under_way(tmp_path: Path) -> None:
    told = Told()
    engine = Following(told=told)
    _run(engine, Groups(4), tmp_path, told=told, max_steps_off_policy=1, save_every=100)
    assert told.order[:3] == ["sent 0", "sent 1", "done 0"]
    assert [one for one in told.order if one.startswith("done")] == [f"done {n}" for n in range(4)]
    row = told.reports[1].row()
    assert row["time/wait_for_rollouts"] == 0
    assert 0 < row["time/total"] == row["time/train"]


def test_on_policy_no_step_is_sent_before_the_one_before_is_done(tmp_path: Path) -> None:
    told = _run(Engine(gradient_s=0.1), Groups(3), tmp_path)
    assert told.order == [f"{what} {step}" for step in range(3) for what in ("sent", "done")]


def test_a_step_under_way_is_done_before_the_next_one_ends_the_run(tmp_path: Path) -> None:
    engine = Engine(
        failing={at: [EngineUserError("no such picture")] for at in (103, 104)}, gradient_s=0.3
    )
    told = Told()

    async def go() -> None:
        settings: dict[str, Any] = {
            "max_steps_off_policy": 1,
            "save_every": 100,
            "min_rollouts": 0.5,
        }
        async with _loop(engine, Groups(3), told, tmp_path, **settings) as loop:
            with pytest.raises(TooFewRolloutsError, match="step 1"):
                await loop.run(0)
            assert loop.done == 1

    asyncio.run(go())
    assert told.order == ["sent 0", "done 0"]


@pytest.mark.parametrize("ahead", [0, 1])
def test_weights_behind_a_diverged_step_are_intact_only_if_nothing_was_sent_behind_it(
    tmp_path: Path, ahead: int
) -> None:
    told = Told()
    engine = Following(refused=1, told=told) if ahead else Engine(gradient_s=0.3, refused=1)
    with pytest.raises(DivergedError, match="not finite") as raised:
        _run(engine, Groups(3), tmp_path, told=told, max_steps_off_policy=ahead, save_every=100)
    assert raised.value.weights_intact is (ahead == 0)


def test_groups_that_say_nothing_take_no_step(tmp_path: Path) -> None:
    engine = Engine()
    told = _run(engine, Groups(2, flat=True), tmp_path)
    assert "optim_step" not in engine.names()
    row = told.reports[1].row()
    assert row["optim/groups_used"] == 0
    assert row["env/all/reward/total"] == approx(0.5)
    assert row["env/all/by_group/frac_mixed"] == 0


def test_a_passing_fault_is_asked_again(tmp_path: Path) -> None:
    engine = Engine(failing={101: [EngineError("the engine stumbled")]})
    told = _run(engine, Groups(1), tmp_path)
    row = told.reports[0].row()
    assert (row["rollouts/returned"], row["rollouts/lost"]) == (GROUPS * SIZE, 0)
    assert row["rollouts/retried"] == 1


@dataclass
class Timed(Engine):
    """Notes when group 101 was asked about, in seconds."""

    asked_s: list[float] = field(default_factory=list[float])

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        self.asked_s += [time.monotonic() for one in requests if _group_of(one) == 101]
        return super().sample(requests)


def test_a_service_that_stumbles_is_left_alone_for_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot.learning.patience._FIRST_PAUSE_S", 0.2)
    engine = Timed(failing={101: [EngineError("the engine stumbled") for _ in range(3)]})
    _run(engine, Groups(1), tmp_path)
    pauses_s = [after - before for before, after in pairwise(engine.asked_s)]
    assert len(pauses_s) == 3
    assert all(took_s >= least_s for took_s, least_s in zip(pauses_s, (0.1, 0.2, 0.4), strict=True))
    assert 30 <= pause_s(50) <= 60


def test_a_fault_that_stays_costs_its_rollouts_and_is_counted(tmp_path: Path) -> None:
    engine = Engine(failing={101: [EngineUserError("no such picture")]})
    told = _run(engine, Groups(1), tmp_path)
    row = told.reports[0].row()
    assert (row["rollouts/returned"], row["rollouts/lost"]) == (2 * SIZE, SIZE)
    (lost,) = [group for group in told.reports[0].sampled.groups if group.failures]
    assert "no such picture" in lost.failures[0].error


@dataclass
class Stuck(Engine):
    """Samples nothing from the second step on until it is free to."""

    free: threading.Event = field(default_factory=threading.Event)

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        if any(_group_of(request) >= 100 + GROUPS for request in requests):
            self.free.wait()
        return super().sample(requests)


def _until(so: Callable[[], bool]) -> None:
    """Waits until it is so, or for two minutes."""
    deadline_s = time.monotonic() + 120
    while not so() and time.monotonic() < deadline_s:
        time.sleep(0.01)


def test_a_run_that_is_asked_to_stop_does_not_wait_for_rollouts(tmp_path: Path) -> None:
    engine, stop, told = Stuck(), StopRequest(), Told()

    async def go() -> None:
        async with _loop(engine, Groups(3), told, tmp_path, stop) as loop:
            running = asyncio.create_task(loop.run(0))
            await asyncio.to_thread(_until, lambda: bool(told.reports))
            assert not running.done()
            stop.request(signal.SIGTERM)
            try:
                assert await asyncio.wait_for(running, 120) == 1
            finally:
                engine.free.set()

    asyncio.run(go())
    assert told.order == ["sent 0", "done 0"]


def test_weights_that_cannot_be_sampled_have_diverged(tmp_path: Path) -> None:
    engine = Engine(failing={101: [EngineUserError("the logits hold NaN")]})
    with pytest.raises(DivergedError, match="can't be sampled: the logits hold NaN"):
        _run(engine, Groups(1), tmp_path)


@dataclass(frozen=True)
class Noted(Groups):
    """Notes which steps' photos are asked for."""

    asked: list[int] = field(default_factory=list[int])

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        self.asked.append(index)
        return super().get_batch(index)


def test_photos_are_read_while_the_step_before_is_sampled(tmp_path: Path) -> None:
    engine, dataset = Stuck(), Noted(3)

    async def go() -> None:
        async with _loop(engine, dataset, Told(), tmp_path) as loop:
            running = asyncio.create_task(loop.run(0))
            await asyncio.to_thread(_until, lambda: len(dataset.asked) == 3)
            before = list(dataset.asked)
            engine.free.set()
            await running
            assert before == [0, 1, 2]  # the last while the one before it could not be sampled

    asyncio.run(go())


def test_with_too_few_rollouts_nothing_is_learned(tmp_path: Path) -> None:
    engine = Engine(failing={at: [EngineUserError("no such picture")] for at in (100, 101)})
    with pytest.raises(TooFewRolloutsError, match=r"Of the 12 rollouts of step 0 only 4 came back"):
        _run(engine, Groups(2), tmp_path, min_rollouts=0.5)
    assert "optim_step" not in engine.names()


def test_substeps_are_sent_together(tmp_path: Path) -> None:
    engine = Engine()
    told = _run(engine, Groups(1), tmp_path, num_substeps=3, loss_fn="ppo", clip_low=0.7)
    assert engine.names().count("optim_step") == 3
    (_, loss, settings), *_ = [what for name, what in engine.calls if name == "forward_backward"]
    assert loss == "ppo"
    assert dict(settings) == {"clip_low_threshold": approx(0.7)}
    assert told.reports[0].row()["optim/substeps"] == 3


def test_what_is_said_of_sampling_and_of_the_rate_reaches_the_service(tmp_path: Path) -> None:
    engine = Engine()
    _run(
        engine,
        Groups(4),
        tmp_path,
        temperature=0.7,
        max_tokens=31,
        learning_rate=1e-3,
        lr_schedule="linear",
        warmup_steps=2,
    )
    asked = [one.params for name, what in engine.calls if name == "sample" for one in what]
    assert {(one.temperature, one.max_tokens) for one in asked} == {(0.7, 31)}
    rates = [what.learning_rate for name, what in engine.calls if name == "optim_step"]
    assert rates == approx([5e-4, 7.5e-4, 5e-4, 2.5e-4])


def test_advantages_are_divided_by_the_deviation_where_that_is_said(tmp_path: Path) -> None:
    told = _run(Engine(), Groups(1), tmp_path, normalize_advantages=True)
    # Rewards 0, 1/4, 1/2, 3/4: mean 3/8, deviation √(5/64).
    found = [float(told.reports[0].batch.advantages[0, at][0]) for at in range(SIZE)]
    expected = [(at / 4 - 3 / 8) / math.sqrt(5 / 64) for at in range(SIZE)]
    assert found == approx(expected, rel=1e-4)


def test_groups_within_the_range_that_is_said_take_no_step(tmp_path: Path) -> None:
    engine = Engine()
    told = _run(engine, Groups(1), tmp_path, min_group_range=0.8)  # theirs is 0.75
    assert "optim_step" not in engine.names()
    assert told.reports[0].row()["rollouts/returned"] == GROUPS * SIZE


def test_a_call_that_takes_too_long_loses_its_rollouts(tmp_path: Path) -> None:
    engine = Engine(sample_s=1.5)
    with pytest.raises(TooFewRolloutsError, match=r"12 rollouts lost: no answer within 0\.2 s"):
        _run(engine, Groups(1), tmp_path, rollout_timeout=0.2, max_retries=0)
    assert "optim_step" not in engine.names()


def test_stale_rollouts_go_to_the_loss_that_bounds_their_ratios(tmp_path: Path) -> None:
    engine = Engine()
    told = _run(
        engine,
        Groups(5),
        tmp_path,
        max_steps_off_policy=3,
        save_every=100,
        loss_fn="cispo",
        clip_high=4.0,
    )
    assert _sampled_from(told) == [0, 0, 0, 0, 1]
    sent = [(loss, dict(said)) for _, (_, loss, said) in _gradients(engine)]
    assert sent == [("cispo", {"clip_high_threshold": approx(4.0)})] * 5


def _gradients(engine: Engine) -> list[tuple[str, Any]]:
    return [call for call in engine.calls if call[0] == "forward_backward"]


@pytest.mark.parametrize(
    ("said", "oldest"),
    [
        ({}, None),
        ({"max_steps_off_policy": 1}, None),
        ({"max_steps_off_policy": 3, "loss_fn": "ppo"}, None),
        ({"max_steps_off_policy": 3, "loss_fn": "cispo"}, None),
        ({"num_substeps": 2}, None),
        ({"max_steps_off_policy": 3}, 3),
        ({"num_substeps": 4}, 3),
        ({"max_steps_off_policy": 1, "num_substeps": 2}, 3),
    ],
)
def test_unbounded_ratios_of_old_rollouts_are_warned_of(
    said: dict[str, Any], oldest: int | None
) -> None:
    words = unbounded_ratios(RLConfig(**said))
    if oldest is None:
        assert words is None
    else:
        assert words is not None
        assert f"up to {oldest} optimiser steps older" in words
        assert "loss_fn=ppo or cispo" in words


class NaNEngine(Engine):
    """Its second gradient is not a number."""

    def forward_backward(self, *arguments: Any, **named: Any) -> ForwardBackwardResult:
        result = super().forward_backward(*arguments, **named)
        if self.names().count("forward_backward") < 2:
            return result
        return ForwardBackwardResult(result.outputs, {"loss:sum": math.nan})


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    engine = NaNEngine()
    told = Told()

    async def go() -> int:
        async with _loop(engine, Groups(5), told, tmp_path) as loop:
            with pytest.raises(DivergedError, match="The loss is nan"):
                await loop.run(0)
            return loop.done

    assert asyncio.run(go()) == 1
    assert len(told.reports) == 1
    assert engine.names().count("forward_backward") == 2


class Twice(RLDataset):
    """The same photo in two groups of one step."""

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        return [Group(100 + index), Group(100 + index)]

    def __len__(self) -> int:
        return 1


def test_a_photo_that_comes_twice_in_a_step_is_answered_twice(tmp_path: Path) -> None:
    engine = Engine()
    _run(engine, Twice(), tmp_path)
    asked = [one for name, requests in engine.calls if name == "sample" for one in requests]
    assert len({request.params.seed for request in asked}) == 2
