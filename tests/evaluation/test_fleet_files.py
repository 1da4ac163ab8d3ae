"""`--engine ray` in a process that can open no more files, where Ray's own threads would try for ever."""

import asyncio
import errno
from types import SimpleNamespace

import pytest

from geospot.config.evaluation import EvalConfig
from geospot.errors import ExhaustedError
from geospot.evaluation import fleet
from geospot.evaluation.budget import CostCap
from geospot.evaluation.fleet_worker import Order
from geospot.evaluation.harness import Settings, Stats
from geospot.prompts import Prompt

_FOR_EVER_S = 30.0


async def waits(*_: object) -> None:
    """What a worker does whose answers can't come in."""
    await asyncio.Event().wait()


def no_cluster(*_: object) -> SimpleNamespace:
    return SimpleNamespace(shutdown=lambda: None)


def refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_no_files_left_ends_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_LOOK_S", 0.0)
    monkeypatch.setattr(fleet, "connect", no_cluster)
    monkeypatch.setattr(fleet.Fleet, "_work", waits)
    asking = fleet.Fleet(
        Order(EvalConfig(), Prompt("inline", "Where is it?"), "", Settings()),
        workers=2,
        address=None,
        on_record=print,
        on_event=print,
        cost=CostCap(None),
        stats=Stats(total=40),
        tell=print,
    )

    async def run() -> None:
        with monkeypatch.context() as context:
            context.setattr("os.open", refuse)
            async with asyncio.timeout(_FOR_EVER_S):
                await asking.run((at, 0) for at in range(40))

    asyncio.run(run())
    assert isinstance(asking.failure, ExhaustedError)
    assert asking.stopped_by == "No more files can be opened: Too many open files."
