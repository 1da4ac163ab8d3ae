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
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.environments import environment, versions_of
from benchmarks.records import Figure, Table
from benchmarks.trl_task import GROUP, IMAGES, MAX_TOKENS, write_photos
from benchmarks.turns import Facts, Peer, Turn

NAME: Final = (
    f"A step of GRPO beside TRL's ({IMAGES} photos × {GROUP}, geospot/tiny-vlm, one thread)"
)
_PACKAGES: Final = ("trl==1.16.0", "accelerate==1.15.0")
_WARM_UP: Final = 2
_ROOT: Final = Path(__file__).parents[1]


def main(quick: bool) -> Table:
    """The table."""
    rounds = 3 if quick else 25
    folder = Path(tempfile.mkdtemp())
    try:
        python = environment(folder / "environment", _PACKAGES)
        if isinstance(python, str):
            return Table(notes=f"Not measured: TRL can't be installed here: {python}")
        write_photos(folder, IMAGES * (rounds + _WARM_UP))
        return _measured(folder, python, rounds)
    finally:
        shutil.rmtree(folder)


def _measured(folder: Path, python: Path, rounds: int) -> Table:
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


def _table(turns: Sequence[tuple[Turn, Turn]], said: tuple[Facts, Facts], apart: float) -> Table:
    rollouts = IMAGES * GROUP

    def line(task: str, unit: str, figure: Callable[[Turn], float], *, more: bool) -> Figure:
        ours, theirs = ([figure(turn) for turn in side] for side in zip(*turns, strict=True))
        return Figure(task, unit, ours, "TRL", theirs, more_is_better=more)

    def facts(figure: Callable[[Facts], float], digits: int) -> str:
        return " and ".join(f"{figure(one):.{digits}f}" for one in said)

    tokens = facts(lambda one: one["tokens"] / one["rollouts"], 1)
    return Table(
        [
            line("rollouts", "1/s", lambda turn: rollouts / turn.wall_s, more=True),
            line("a step", "CPU s", lambda turn: turn.cpu_s, more=False),
        ],
        versions_of(_PACKAGES)
        | {"torch": version("torch"), "transformers": version("transformers")},
        f"{IMAGES} photos × {GROUP} rollouts of at most {MAX_TOKENS} tokens, temperature 1, one torch thread "
        "each. Processor time is of client, server and engine together. Ours and TRL's had "
        f"{tokens} tokens a rollout and mean rewards of {facts(lambda one: one['reward'], 3)}. "
        f"Before the first step log-probabilities of {IMAGES} equal answers differ by {apart:.0e} at most.",
    )
