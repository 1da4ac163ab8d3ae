"""A training run without training that can be stopped: `python -m tests.support.stoppable_child FOLDER`.

It prints "running" when it can be asked, then goes on until it is asked to stop. With `starting` behind the
folder it doesn't get so far: it loads its model, as `geospot.learning.session` does. With `held` it saves
only once it is told a line.
"""

import asyncio
import sys
from pathlib import Path

from geospot.learning.stopping import stop_on_signals
from geospot.runs.directory import RunDirectory
from tests.support.run_child import checkpoint
from tests.support.written_runs import full_config, write_run


async def main(folder: Path, *, held: bool) -> None:
    """Does steps until it is asked to stop; then it saves, which takes a moment."""
    run = write_run(folder)
    with stop_on_signals(run.stops) as stop:
        print("running", flush=True)  # noqa: T201
        step = 3
        while not stop.is_set:
            step += 1
            run.beat("sampling", step)
            await asyncio.sleep(0.05)
        await (asyncio.to_thread(sys.stdin.readline) if held else asyncio.sleep(0.3))
        run.add_checkpoint(checkpoint(step))
        run.close("stopped", stop.reason)


async def start(folder: Path) -> None:
    """Never gets beyond loading; says how it ended."""
    run = RunDirectory.open(
        folder, full_config("rl", folder), kind="rl", if_exists="raise", ask=None
    )
    print("running", flush=True)  # noqa: T201
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        run.close("stopped", "interrupted")
        raise


if __name__ == "__main__":
    own, how = Path(sys.argv[1]), sys.argv[2:]
    asyncio.run(start(own) if how == ["starting"] else main(own, held=how == ["held"]))
