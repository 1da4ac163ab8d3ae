"""`geospot sft` and `geospot rl` killed at any moment of their lives, gone on with, and compared.

What docs/runs.md promises is what is checked: after a kill every reader takes what is there; the run goes
on from its last checkpoint, and in the end figures, rollouts, histograms, checkpoints and files are those of
a run that nobody interrupted, each row there once. The engine runs on: it isn't the run's, as on a server.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.killing import (
    TOO_EARLY,
    TOO_LATE,
    Launch,
    Life,
    begin,
    finish,
    kill_at,
    left_over,
    start,
    unended_lines,
    whole_life,
)
from tests.drills.processes import Marked
from tests.drills.trained import Kind, settings, standing, unlike, unreadable
from tests.support.learning import embedded_url, engine_url, rows_of


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a lane's runs train, and the run that nobody killed."""

    kind: Kind
    service: str
    whole: Path
    life: Life
    launch: Launch


@drill("kill -9 of an SFT run, which is then gone on with", times=50, short=1)
def kill_sft(session: Session) -> Iterator[Trial]:
    """Twelve steps with evaluations and a checkpoint every third."""
    yield from _kills("sft", session)


@drill("kill -9 of a GRPO run, which is then gone on with", times=50, short=0)
def kill_grpo(session: Session) -> Iterator[Trial]:
    """Six steps of eight rollouts with evaluations and a checkpoint every second."""
    yield from _kills("rl", session)


def _kills(kind: Kind, session: Session) -> Iterator[Trial]:
    lanes = 1 if session.is_short else 2
    with grounds(kind, session.folder, lanes, is_short=session.is_short) as prepared:
        yield from session.repeat(
            lambda attempt: _killed(attempt, prepared[attempt.lane]), side_by_side=lanes
        )


@contextmanager
def grounds(kind: Kind, folder: Path, lanes: int, *, is_short: bool) -> Generator[list[Ground]]:
    """A server and an uninterrupted run a lane: two runs on one server may be decoded together.

    In the short form both are sooner there: the engine in this process, and a run that is forked.
    """
    serve, launch = (engine_url, begin) if is_short else (embedded_url, start)
    with ExitStack() as stack:
        prepared: list[Ground] = []
        for lane in range(lanes):
            url = stack.enter_context(serve(folder / f"state-{lane}"))
            whole = folder / f"whole-{lane}" / "run"
            life = whole_life(launch(Marked(), *settings(kind, url, whole)), whole)
            prepared.append(Ground(kind, url, whole, life, launch))
        yield prepared


def _killed(attempt: Attempt, ground: Ground) -> Trial:
    marked, run, chance = Marked(), attempt.folder / "run", attempt.chance
    command = settings(ground.kind, ground.service, run)
    lost: list[str] = []
    phases: list[str] = []
    for _ in range(1 + (chance.random() < 0.4)):
        moment = ground.life.moment(chance)
        hit = kill_at(ground.launch(marked, *command), moment)
        phases.append(f"{moment}, {_phase(run) if hit else TOO_LATE}")
        lost += unreadable(run)
        if hit and standing(run) not in ("none", "died", "finished"):
            lost.append(f"killed, and its heartbeat says {standing(run)}")
        if standing(run) == "finished":
            break  # there is nothing left to kill
    kills = sum("no kill" not in phase for phase in phases)
    if not kills:
        aside = phases[-1].partition(", ")[2]
        return Trial("; ".join(phases), 1, (*lost, *marked.orphans()), aside)
    wrong = finish(ground.launch(marked, *command))
    lost += [wrong] if wrong else unlike(run, ground.whole, ground.kind)
    lost += [*unreadable(run), *unended_lines(run), *left_over(run), *marked.orphans()]
    return Trial("; ".join(phases), kills, tuple(lost))


def _phase(run: Path) -> str:
    """How far a run had got when it was killed."""
    if not run.exists():
        return TOO_EARLY
    if not (run / "config.json").exists():
        return "killed at its directory"
    if standing(run) == "finished":
        return "killed after its end"
    if not (run / "metrics.jsonl").exists():
        return "killed before its first step"
    return f"killed with {len(rows_of(run))} steps on record"
