"""A step of GRPO on the embedded engine, wire and SDK included, beside one of TRL's GRPOTrainer.

Both train all weights of geospot/tiny-vlm on the same photos of the world in the same order, on one
torch thread each, in processes that take turns step by step. Ours is the whole of `geospot rl` with its
run directory (`benchmarks.trl_ours`); TRL writes and logs nothing (`benchmarks.trl_theirs`). TRL (Apache
2.0) is no dependency of ours: it is installed for the benchmark into an environment of its own, which
has the packages of this one below.

On AMD's processors our engine multiplies matrices with numpy's OpenBLAS. Where the environment pins its
kernels (OPENBLAS_CORETYPE), ours is slower than on a machine of the same kind that doesn't; TRL, which
multiplies with torch's MKL, is not.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import environment, versions_of
from benchmarks.records import Figure, Table
from benchmarks.trl_task import GROUP, MAX_TOKENS, write_photos
from benchmarks.turns import Facts, Peer, Turn

NAME: Final = "A step of GRPO beside TRL's (geospot/tiny-vlm, one thread)"
_PACKAGES: Final = ("trl==1.16.0", "accelerate==1.15.0")
_ROUNDS: Final = {4: 12, 8: 12, 16: 12, 32: 9}
"""Steps in turns by photos a step."""
_WARM_UP: Final = 2
_NOTES: Final = f"""\
{GROUP} rollouts of each photo, of at most {MAX_TOKENS} tokens, temperature 1, one torch thread each.
Processor time is of client, server and engine together.
"""
_ROOT: Final = Path(__file__).parents[1]


def main(quick: bool) -> Table:
    """The table. A full run takes about four minutes."""
    rounds = {2: 3, 4: 3} if quick else _ROUNDS
    folder = Path(tempfile.mkdtemp())
    try:
        python = environment(folder / "environment", _PACKAGES)
        if isinstance(python, str):
            return Table(notes=f"Not measured: TRL can't be installed here: {python}")
        figures: list[Figure] = []
        notes = [_NOTES]
        for images, count in rounds.items():
            place = folder / str(images)
            write_photos(place, images * (count + _WARM_UP))
            found, note = _measured(place, python, count, images)
            figures += found
            notes.append(note)
    finally:
        shutil.rmtree(folder)
    versions = {"torch": version("torch"), "transformers": version("transformers")}
    return Table(figures, versions_of(_PACKAGES) | versions, "\n".join(notes))


def _measured(folder: Path, python: Path, rounds: int, images: int) -> tuple[list[Figure], str]:
    """The lines of one size, and what both sides said."""
    steps = rounds + _WARM_UP
    settings = {"GEOSPOT_STATE_DIR": str(folder / "state"), "PYTHONPATH": str(_ROOT)}

    def peer(side: str, interpreter: Path) -> Peer:
        module = f"benchmarks.trl_{side}"
        command = [str(interpreter), "-m", module, str(folder), str(steps), str(images)]
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
    rollouts = images * GROUP
    assert said[0]["rollouts"] == said[1]["rollouts"] == steps * rollouts, said
    return _lines(turns[_WARM_UP:], rollouts), _said(said, rollouts, apart)


def _largest_difference(ours: Facts, theirs: Facts) -> float:
    """Between log-probabilities of the same tokens of the same answers."""
    return max(
        abs(a - b)
        for answer, other in zip(ours["logprobs"], theirs["logprobs"], strict=True)
        for a, b in zip(answer, other, strict=True)
    )


def _lines(turns: Sequence[tuple[Turn, Turn]], rollouts: int) -> list[Figure]:
    def line(task: str, unit: str, figure: Callable[[Turn], float], *, more: bool) -> Figure:
        ours, theirs = ([figure(turn) for turn in side] for side in zip(*turns, strict=True))
        at: Mapping[str, Any] = {"size": rollouts, "axis": "rollouts"}
        return Figure(task, unit, ours, "TRL", theirs, more_is_better=more, **at)

    return [
        line("rollouts", "1/s", lambda turn: rollouts / turn.wall_s, more=True),
        line("a step", "CPU s", lambda turn: turn.cpu_s, more=False),
    ]


def _said(said: tuple[Facts, Facts], rollouts: int, apart: float) -> str:
    def facts(figure: Callable[[Facts], float], digits: int) -> str:
        return " and ".join(f"{figure(one):.{digits}f}" for one in said)

    tokens = facts(lambda one: one["tokens"] / one["rollouts"], 1)
    return (
        f"With {rollouts} rollouts a step ours and TRL's had {tokens} tokens a rollout and mean rewards of "
        f"{facts(lambda one: one['reward'], 3)}; before the first, log-probabilities of equal answers differ "
        f"by {apart:.0e} at most."
    )
