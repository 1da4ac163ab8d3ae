"""`geospot serve` with an engine that dies of its first optim_step; arguments as those of `geospot`.

Everything but the engine is the program's own: its command line, its server, its exit code.
"""

from pathlib import Path
from typing import Any

from geospot.cli import main
from geospot_backends.local import serving
from geospot_backends.local.api import AdamParams
from geospot_backends.local.checkpoints import CheckpointStore
from tests.support.scripted_engine import ScriptedEngine


class Panic(BaseException):
    """As a native library raises it: no Exception."""


class DyingEngine(ScriptedEngine):
    """Dies of its first step."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        self.checkpoints = CheckpointStore(state)

    def optim_step(self, model_id: str, params: AdamParams) -> dict[str, float]:
        raise Panic("index out of bounds")


def make_engine(state_dir: Path, *_: Any, **__: Any) -> DyingEngine:
    return DyingEngine(state_dir)


if __name__ == "__main__":
    serving.make_engine = make_engine  # pyright: ignore[reportAttributeAccessIssue]
    main()
