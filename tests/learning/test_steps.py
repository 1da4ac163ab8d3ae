"""What the SDK makes of large batches, and what failed requests mean for a run."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import tinker
from tinker import types

from geospot.errors import BackendError, DivergedError
from geospot.learning.steps import PendingStep, refuse
from geospot.services.faults import fault_of
from geospot_backends.local.api import Datum, ForwardBackwardResult
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.scripted_engine import BASE, ScriptedEngine


def _datum(target: int) -> types.Datum:
    return types.Datum(
        model_input=types.ModelInput.from_ints([target]),
        loss_fn_inputs={
            "target_tokens": types.TensorData.from_numpy(np.array([target], np.int64)),
            "weights": types.TensorData.from_numpy(np.ones(1, np.float32)),
        },
    )


async def _stepped(client: tinker.TrainingClient, datums: list[types.Datum]) -> PendingStep:
    gradient = client.forward_backward(datums, "cross_entropy")
    return PendingStep(gradient, client.optim_step(types.AdamParams()))


def test_a_batch_beyond_one_request_is_one_step(tmp_path: Path) -> None:
    datums = [_datum(1 + index % 600) for index in range(1500)]  # 1024 are sent in a request
    engine = ScriptedEngine()
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service,
    ):
        client = service.create_lora_training_client(BASE, rank=4).result()

        async def go() -> None:
            outcome = await (await _stepped(client, datums)).result()
            targets = [int(one.loss_fn_inputs["target_tokens"].to_numpy()[0]) for one in datums]
            assert [round(-10 * float(one[0])) for one in outcome.logprobs] == targets
            total = sum(
                0.1 * len(one) * t for one, t in zip(outcome.logprobs, targets, strict=True)
            )
            assert abs(outcome.loss_sum - total) < 1e-3 * total
            assert outcome.grad_norm == 2.5

        asyncio.run(go())
    calls = engine.names()
    assert calls.count("forward_backward") == 2
    assert calls[-2:] == ["optim_step", "unload_model"]
    assert calls.count("optim_step") == 1


def test_what_the_service_refuses_is_told(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service,
    ):
        client = service.create_lora_training_client(BASE, rank=4).result()

        async def go(target: int, match: str) -> None:
            pending = await _stepped(client, [_datum(target)])
            with pytest.raises(BackendError, match=match):
                await pending.result()

        asyncio.run(go(-5, "refuses the batch: .*out of the vocabulary"))
        asyncio.run(go(666, "failed the batch"))


class _NotANumber(ScriptedEngine):
    """Its losses are NaN, and it says so only in its figures, as a hosted service may."""

    def forward_backward(
        self,
        model_id: str,
        datums: Sequence[Datum],
        loss_fn: str,
        loss_config: Mapping[str, float] | None = None,
        *,
        forward_only: bool = False,
    ) -> ForwardBackwardResult:
        outputs = super().forward_backward(model_id, datums, loss_fn).outputs
        return ForwardBackwardResult(outputs, {"loss:sum": float("nan")})


def test_a_loss_that_is_no_number_is_noticed(tmp_path: Path) -> None:
    engine = _NotANumber()
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service,
    ):
        client = service.create_lora_training_client(BASE, rank=4).result()

        async def go() -> None:
            pending = await _stepped(client, [_datum(3)])
            with pytest.raises(DivergedError, match="The loss is nan") as caught:
                await pending.result()
            assert not caught.value.weights_intact

        asyncio.run(go())


@pytest.mark.parametrize(("count", "is_intact"), [(1, True), (1500, False)])
def test_weights_are_intact_only_where_no_step_was_made(
    count: int, is_intact: bool, tmp_path: Path
) -> None:
    """Of a batch that is sent in two requests the second has a gradient, and is stepped with."""
    engine = ScriptedEngine(refused=1)
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service,
    ):
        client = service.create_lora_training_client(BASE, rank=4).result()

        async def go() -> None:
            pending = await _stepped(client, [_datum(1 + index % 600) for index in range(count)])
            with pytest.raises(DivergedError, match="not finite") as caught:
                await pending.result()
            assert caught.value.weights_intact is is_intact

        asyncio.run(go())


def test_what_a_restarted_server_has_forgotten_ends_the_run_with_the_setting_to_resume() -> None:
    from tinker.lib.retryable_exception import RetryableException

    lost = RetryableException("Promise expired/broken for request 17")
    with pytest.raises(
        BackendError, match=r"was restarted.*run ends here.*exists=resume"
    ) as caught:
        refuse(lost, "the batch")
    assert "Promise" not in str(caught.value)
    assert fault_of(lost).gravity == "again"  # a sample may be asked for again
    with pytest.raises(BackendError, match=r"failed the batch: no room.*exists=resume"):
        refuse(RuntimeError("no room"), "the batch")
