"""A training run without training that can be stopped: `python -m tests.support.stoppable_child FOLDER`.

It prints "running" when it can be asked, then goes on until it is asked to stop.
"""

import asyncio
import sys
from pathlib import Path

from geospot.learning.stopping import stop_on_signals
from tests.support.run_child import checkpoint
from tests.support.written_runs import write_run


async def main(folder: Path) -> None:
    """Does steps until it is asked to stop; then it saves, which takes a moment."""
    run = write_run(folder)
    with stop_on_signals(run.stops) as stop:
        print("running", flush=True)  # noqa: T201
        step = 3
        while not stop.is_set:
            step += 1
            run.beat("sampling", step)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        run.add_checkpoint(checkpoint(step))
        run.close("stopped", stop.reason)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
