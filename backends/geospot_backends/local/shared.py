"""One engine for all in this process who want the same one, ended by the last of them.

Starting an engine takes some seconds and memory for its models. Whoever holds a service open keeps its
engine: what opens the same meanwhile, such as the evaluations of `geospot demo`, is there at once.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from geospot.services.endpoint import NO_KEY, Endpoint, ServiceOptions
from geospot_backends.local.companion import Companion

_Key = tuple[Path, tuple[str, ...]]


@dataclass(slots=True)
class _Shared:
    """A running engine and how many hold it."""

    companion: Companion
    holders: int = 0


_PATIENCE_S: Final = 60.0
"""An engine that loads a model on a crowded machine has been seen to answer nobody for 7 s."""

_LOCK: Final = threading.Lock()
_RUNNING: Final[dict[_Key, _Shared]] = {}


def hold(options: ServiceOptions, state_dir: Path) -> Endpoint:
    """The address of an engine with these models and checkpoints; its `stop` lets go of it.

    One that has died is no longer handed out: another is started in its place.

    Args:
        state_dir: where checkpoints lie.

    Raises:
        UsageError: the state folder can't be made, or a model can't be loaded.
        BackendError: the engine ended while it was starting.
    """
    key = (state_dir.absolute(), options.models)
    with _LOCK:
        shared = _RUNNING.get(key)
        if shared is None or shared.companion.died() is not None:
            shared = _RUNNING[key] = _Shared(Companion(options))
        shared.holders += 1
    held = [shared]  # emptied by the first call of `let_go`

    def let_go() -> None:
        with _LOCK:
            if not held:
                return
            held.clear()
            shared.holders -= 1
            if shared.holders:
                return
            if _RUNNING.get(key) is shared:
                del _RUNNING[key]
        shared.companion.close()

    companion = shared.companion
    return Endpoint(
        "local",
        companion.base_url,
        NO_KEY,
        stop=let_go,
        died=companion.died,
        patience_s=_PATIENCE_S,
    )
