"""The app in a process of its own, for `benchmarks.tui`: `python -m … SCREEN FOLDER`.

It says on descriptor 3 when all imports are done and the app begins.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from geospot.tui.app import GeospotApp
from geospot.tui.hangup import end_with

SCREENS: Final = ("runs", "run", "rollouts", "map", "compare_runs")


def main(screen: str, folder: Path) -> None:
    """Shows the screen until it is quit."""
    for name in SCREENS:
        import_module(f"geospot.tui.screens.{name}")

    def first(app: GeospotApp) -> None:
        if screen == "run":
            app.open_run(folder)
        elif screen == "rollouts":
            app.open_rollouts(folder)
        elif screen == "compare":
            app.open_compare_runs(sorted(folder.iterdir()))

    app = GeospotApp([folder if screen == "runs" else folder.parent / "none"], first=first)
    os.write(3, b"imported\n")
    end_with(sys.__stdin__ or sys.stdin)  # also where whoever measures was killed
    app.run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
