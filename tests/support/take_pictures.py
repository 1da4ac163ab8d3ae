"""Takes the pictures of the terminal app in the documents, of runs that `geospot demo` trains.

python -m tests.support.take_pictures docs/images [DEMO [NAME …]]

DEMO is what `geospot demo --out DEMO` has left; without it the demo is run first, which takes some minutes.
NAME is a picture's, such as `map`; without one all are taken.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from geospot.tui.app import GeospotApp
from tests.support.looks import settled
from tests.support.screens import until_seen
from tests.support.svg import svg_of

_RECORDINGS: Final = Path(__file__).parents[1] / "recordings"
_SIZE: Final = (108, 30)
_RL: Final = Path("runs/rl")
_LAUNCHED: Final[dict[str, Any]] = {
    "service": "local", "hf_repo": "world", "load_checkpoint_path": "runs/sft", "coord_tau": [2000.0],
    "max_steps": 100,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """A screen, what is seen when it is there, and what is pressed then."""

    name: str
    opens: Callable[[GeospotApp], None]
    seen: Sequence[str]
    keys: Sequence[str] = ()
    size: tuple[int, int] = field(default=_SIZE)


def _stay(_app: GeospotApp) -> None:
    """Opens nothing."""


_PICTURES: Final = (
    Picture("runs", _stay, ["runs · 0 running", "finished"], ["down", "down"], (108, 34)),
    Picture("run", lambda app: app.open_run(_RL), ["finished"], ["a", "a"]),
    Picture("histograms", lambda app: app.open_run(_RL), ["finished"], ["h"], (120, 34)),
    Picture("rollouts", lambda app: app.open_rollouts(_RL), ["answers in", "▀"]),
    Picture("map", lambda app: app.open_run_map(_RL), ["answers"], (), (120, 34)),
    Picture("compare", lambda app: app.open_compare_results(Path("results/sft-512"), Path("results/rl-512")),
            ["p = "]),
    Picture("leaderboard", lambda app: app.open_leaderboard(), ["ranked"]),
    Picture("launch", lambda app: app.open_launch("rl", _LAUNCHED), ["local: installed"]),
)  # fmt: skip


def main() -> None:
    """Takes all of them, or those that are named."""
    target = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(sys.argv[2]) if len(sys.argv) > 2 else _train(Path(folder) / "demo")
        stage = Path(folder) / "stage"
        for name in ("runs", "results"):
            shutil.copytree(demo / name, stage / name)
        shutil.copytree(_RECORDINGS / "runs", stage / "runs" / "small")
        shutil.copytree(_RECORDINGS / "cookbook", stage / "runs" / "cookbook")
        for beat in stage.rglob("heartbeat.json"):  # copies would be listed in the order of copying
            started_s = float(json.loads(beat.read_bytes())["started"])
            os.utime(beat.with_name("config.json"), (started_s, started_s))
        os.chdir(stage)
        wanted = sys.argv[3:] or [picture.name for picture in _PICTURES]
        for picture in _PICTURES:
            if picture.name in wanted:
                svg = asyncio.run(_taken(picture))
                (target / f"{picture.name}.svg").write_text(svg, encoding="utf-8")


def _train(out: Path) -> Path:
    subprocess.run([sys.executable, "-m", "geospot", "demo", f"--out={out}"], check=True)
    return out


async def _taken(picture: Picture) -> str:
    app = GeospotApp(first=picture.opens)
    async with app.run_test(size=picture.size) as pilot:
        await until_seen(pilot, *picture.seen)
        for key in picture.keys:
            await pilot.press(key)
        await settled(pilot)
        return svg_of(app.screen, app.theme_variables["background"])


if __name__ == "__main__":
    main()
