"""A step of GRPO on the embedded engine, wire and SDK included, beside one of TRL's GRPOTrainer.

Both train all weights of geospot/tiny-vlm on the same photos of the world in the same order, on one
torch thread each, in processes that take turns step by step. Ours is the whole of `geospot rl` with its
run directory (`benchmarks.trl_ours`); TRL writes and logs nothing (`benchmarks.trl_theirs`). TRL (Apache
2.0) is no dependency of ours: it is installed for the benchmark into an environment of its own, which
has the packages of this one below.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.environments import environment
from benchmarks.trl_task import GROUP, IMAGES, MAX_TOKENS, write_photos
from benchmarks.turns import Facts, Peer, Turn

NAME: Final = (
    f"A step of GRPO beside TRL's ({IMAGES} photos × {GROUP}, geospot/tiny-vlm, one thread)"
)
_PACKAGES: Final = ("trl==1.16.0", "accelerate==1.15.0")
_WARM_UP: Final = 2
_ROOT: Final = Path(__file__).parents[1]


def main(quick: bool) -> str:
    """The table, as Markdown."""
    rounds = 3 if quick else 25
    folder = Path(tempfile.mkdtemp())
    try:
        python = environment(folder / "environment", _PACKAGES)
        if isinstance(python, str):
            return f"TRL can't be installed here, so nothing was measured: {python}"
        write_photos(folder, IMAGES * (rounds + _WARM_UP))
        return _measured(folder, python, rounds)
    finally:
        shutil.rmtree(folder)


def _measured(folder: Path, python: Path, rounds: int) -> str:
    steps = rounds + _WARM_UP
    settings = {"GEOSPOT_STATE_DIR": str(folder / "state"), "PYTHONPATH": str(_ROOT)}

    def peer(side: str, interpreter: Path) -> Peer:
        command = [str(interpreter), "-m", f"benchmarks.trl_{side}", str(folder), str(steps)]
        return Peer(command, folder / f"{side}.log", settings)

    with peer("ours", Path(sys.executable)) as ours, peer("theirs", python) as theirs:
        apart = _largest_difference(ours.facts(), theirs.facts())
        turns: list[tuple[Turn, Turn]] = []
        for step in range(steps):
            if step % 2:
                after = theirs.step()
                turns.append((ours.step(), after))
            else:
                turns.append((ours.step(), theirs.step()))
        said = ours.finish(), theirs.finish()
    assert said[0]["rollouts"] == said[1]["rollouts"] == steps * IMAGES * GROUP, said
    return _table(turns[_WARM_UP:], said, apart)


def _largest_difference(ours: Facts, theirs: Facts) -> float:
    """Between log-probabilities of the same tokens of the same answers."""
    return max(
        abs(a - b)
        for answer, other in zip(ours["logprobs"], theirs["logprobs"], strict=True)
        for a, b in zip(answer, other, strict=True)
    )


def _table(turns: Sequence[tuple[Turn, Turn]], said: tuple[Facts, Facts], apart: float) -> str:
    rollouts = IMAGES * GROUP

    def row(what: str, figure: Callable[[Turn], float], digits: int, *, less: bool) -> str:
        ours, theirs = ([figure(turn) for turn in side] for side in zip(*turns, strict=True))
        ratios = [b / a if less else a / b for a, b in zip(ours, theirs, strict=True)]
        cells = (_span(ours, digits), _span(theirs, digits), _span(ratios, 2))
        return f"| {what} | {' | '.join(cells)} |"

    def facts(what: str, figure: Callable[[Facts], float], digits: int) -> str:
        a, b = (figure(one) for one in said)
        return f"| {what} | {a:.{digits}f} | {b:.{digits}f} | {a / b:.2f} |"

    return "\n".join(
        [
            f"| median (range) of {len(turns)} steps in turns | geospot | TRL | ratio, by pairs |",
            "| --- | ---: | ---: | ---: |",
            row("rollouts/s", lambda turn: rollouts / turn.wall_s, 0, less=False),
            row("processor time of a step, s", lambda turn: turn.cpu_s, 2, less=True),
            facts("tokens a rollout", lambda one: one["tokens"] / one["rollouts"], 1),
            facts("mean reward", lambda one: one["reward"], 3),
            "",
            f"Rollouts of at most {MAX_TOKENS} tokens, temperature 1; processor time is of client, "
            "server and engine together. Log-probabilities of the same "
            f"{IMAGES} answers differ by {apart:.0e} at most, before the first step.",
        ]
    )


def _span(values: Sequence[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
