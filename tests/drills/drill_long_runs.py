"""Long runs: an evaluation as large as OSV-5M's test split, and 2,000 steps of GRPO with the app open.

Nothing may be lost or asked twice, and memory, open files and processor time a unit of work have to stay
flat: processor time and not time, since others may be using the machine. `flatness.py` says how that is
judged. The short form is too little to be judged, and is only looked at.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from geospot.durable import parse_rows
from geospot.evaluation.results import read_records
from geospot.runs.heartbeat import read_heartbeat
from geospot.runs.rollouts import RolloutReader
from tests.drills.dealer import Dealer, dealer
from tests.drills.drill import Session, Trial, drill
from tests.drills.flatness import Flatness, flatness
from tests.drills.killing import start, torn_files
from tests.drills.many_photos import write_many_photos
from tests.drills.processes import Marked
from tests.drills.terminal import Terminal
from tests.drills.trained import settings
from tests.drills.watching import Watch
from tests.support.learning import rows_of

_OSV5M_TEST: Final = 210_122
_STEPS: Final = 2_000
_PHOTOS: Final = 2
_RATE: Final = 1e-6
"""So small that answers stay as long as they are, and every step is the same work."""
_LONGEST_S: Final = 4 * 3600.0


@drill("evaluation as long as OSV-5M's test split, samples", times=_OSV5M_TEST, short=500)
def long_evaluation(session: Session) -> Iterator[Trial]:
    """`geospot eval` of an endpoint that answers at once, and counts."""
    session.folder.mkdir(parents=True)
    digests = write_many_photos(session.folder / "osv", session.times)
    out, marked = session.folder / "out", Marked()
    lines = out / "samples.jsonl"
    with dealer(session.folder, {}) as server:
        process = start(marked, *_evaluation(session.folder / "osv", server, out))
        watched = {"evaluation": psutil.Process(process.pid)}
        with Watch(watched, lambda: _size(lines), 0.02 if session.is_short else 1.0) as watch:
            _, error = process.communicate(timeout=_LONGEST_S)
    lost = [f"exit code {process.returncode}: {error[-1000:]}"] * (process.returncode != 0)
    lost += [*_not_all(out, digests, server), *marked.orphans()]
    yield _judged(session, lost, lambda: watch.judged(_size(lines), session.times, "sample"))


def _evaluation(dataset: Path, server: Dealer, out: Path) -> list[str | Path]:
    return [
        *("eval", "--backend", "openai", "--base-url", server.base_url, "--model", "some-vlm"),
        *("--dataset", dataset, "--limit", "all", "--out", out),
    ]


def _size(path: Path) -> float:
    return float(path.stat().st_size) if path.exists() else 0.0


def _not_all(out: Path, digests: Mapping[str, str], server: Dealer) -> Iterator[str]:
    """Samples without exactly one answer, and those that were asked about more than once."""
    lines = Counter(record.id for record in read_records(out / "samples.jsonl"))
    wrong = [id_ for id_ in digests if lines[id_] != 1]
    if wrong or len(lines) != len(digests):
        yield f"{len(wrong):,} samples have no line or several, as {wrong[:3]}"
    again = [id_ for id_, digest in digests.items() if server.asked.get(digest) != 1]
    if again:
        yield f"{len(again):,} samples were not asked about once, as {again[:3]}"


@drill("GRPO on the embedded engine with the app open, steps", times=_STEPS, short=0)
def long_grpo(session: Session) -> Iterator[Trial]:
    """A run, its engine and the app are looked at while it goes on."""
    session.folder.mkdir(parents=True)
    run, marked = (
        session.folder / "runs" / "run",
        Marked(GEOSPOT_STATE_DIR=session.folder / "state"),
    )
    process = start(
        marked,
        *settings(
            "rl",
            "local",
            run,
            max_samples=session.times * _PHOTOS,
            max_steps=session.times,
            save_every=100,
            eval_every=500,
            keep_checkpoints=3,
            learning_rate=_RATE,
        ),
    )
    while _step(run) < 1 and process.poll() is None:
        time.sleep(0.1)
    with Terminal("tui", run, "--theme", "dark", env=marked.environment) as app:
        opened = app.until("step")
        watched = {"run": psutil.Process(process.pid), "app": psutil.Process(app.process.pid)}
        engines = [child for child in watched["run"].children() if _is_engine(child)]
        watched |= dict(zip(["engine"], engines, strict=False))
        with Watch(watched, lambda: _step(run), 2.0) as watch:
            _, error = process.communicate(timeout=_LONGEST_S)
        is_there = app.process.poll() is None
    lost = [f"exit code {process.returncode}: {error[-1000:]}"] * (process.returncode != 0)
    lost += ["the app didn't show the run"] * (not opened)
    lost += ["the app ended before the run"] * (not is_there)
    lost += ["the engine wasn't found"] * ("engine" not in watched)
    lost += [*_not_every_step(run, session.times), *torn_files(run), *marked.orphans()]
    yield _judged(
        session,
        lost,
        lambda: [*watch.judged(session.times, session.times, "step"), _step_time(run)],
    )


def _step(run: Path) -> float:
    beat = read_heartbeat(run)
    return float(beat.step) if beat is not None else 0.0


def _is_engine(process: psutil.Process) -> bool:
    return "companion" in " ".join(process.cmdline())


def _not_every_step(run: Path, steps: int) -> Iterator[str]:
    rows, rollouts = rows_of(run), RolloutReader(run)
    rollouts.look()
    if sorted(rows) != list(range(steps + 1)):
        yield f"{len(rows)} steps have figures, of {steps + 1}"
    if rollouts.steps != list(range(steps)):
        yield f"{len(rollouts.steps)} steps have rollouts, of {steps}"
    elif wrong := [step for step in rollouts.steps if rollouts.count(step) != _PHOTOS * 4]:
        yield f"steps have more or fewer rollouts than they should: {wrong[:5]}"


def _step_time(run: Path) -> Flatness:
    """How long steps took: it is told, and is no bar, since others may be using the machine."""
    rows = _step_seconds(run)
    done_N = (np.arange(len(rows)) + 1.0) / len(rows)
    return flatness("step, s", done_N, np.array(rows), limit=float("inf"))


def _step_seconds(run: Path) -> list[float]:
    """Seconds of each step, in order."""
    rows = parse_rows((run / "metrics.jsonl").read_bytes())
    return [float(row["time/total"]) for row in rows if "time/total" in row]


def _judged(session: Session, lost: list[str], judge: Callable[[], list[Flatness]]) -> Trial:
    """The trial of a whole run; where it went wrong, its figures say nothing."""
    judged = [] if lost else judge()
    if not session.is_short:
        lost = lost + [f"not flat: {figure}" for figure in judged if not figure.is_flat]
    note = "; ".join(map(str, judged))
    return Trial("one long run", session.times, tuple(lost), figures={"note": note}, number=0)
