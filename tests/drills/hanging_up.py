"""A terminal that closes under an evaluation, a training, the demo, a server, the app, or one with a run.

Whatever is under way is finished and written down, as after Ctrl-C, and ends then. A run that the app
started has no terminal, and goes on.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from geospot.evaluation.results import read_records
from geospot.runs.checkpoints import read_checkpoints
from geospot.runs.heartbeat import read_heartbeat
from tests.drills.drill import Attempt
from tests.drills.errands import PHOTOS, Errand, Ground, litter
from tests.drills.killing import begin, finish, start, torn_files, unended_lines
from tests.drills.processes import Marked
from tests.drills.terminal import Terminal
from tests.drills.trained import standing
from tests.drills.troubles import PoorLocale, until
from tests.drills.verdict import said_wrongly
from tests.support.learning import rows_of

_ENDS_WITHIN_S: Final = 120.0
_DIRECTLY: Final[tuple[str, ...]] = ()
_BY_A_SHELL: Final = ("bash", "--norc", "-ic", '"$@"; true', "bash")
"""A shell tells its jobs that the terminal has gone, and the kernel tells them again."""
_DEAF: Final = ("sh", "-c", "trap '' HUP; \"$@\"; true", "sh")
"""Under a program that takes the signal for itself nobody is told: it shows when something is written."""


def _closed_under(errand: str, attempt: Attempt, made: Ground) -> list[str]:
    """The terminal closes while an evaluation or a training draws in it."""
    what, out = made.errands[errand], attempt.folder / "out"
    marked = Marked(**what.variables(out))
    whole, asked = made.whole(what), made.script.answered
    by = attempt.chance.choice([_DIRECTLY, _BY_A_SHELL, _DEAF])
    with Terminal(*what.command(out), env=marked.environment, by=by) as terminal:
        is_going = until(lambda: what.is_under_way and what.is_under_way(out), terminal.process)
        time.sleep(attempt.chance.uniform(0.0, 0.3))
        terminal.close()
        lost = marked.orphans(_ENDS_WITHIN_S)
    if not is_going:
        return ["it never got going"]
    lost += torn_files(out) + unended_lines(out)
    lost += _saved(what, made, out, made.script.answered - asked)
    wrong = finish(begin(marked, *what.command(out)))
    lost += [wrong] if wrong else what.differs(out, whole)
    if what.name == "eval" and (total := made.script.answered - asked) != PHOTOS:
        lost.append(f"{total} questions about {PHOTOS} photos")
    return [f"{sentence} ({' '.join(by[:1]) or 'alone'})" for sentence in [*lost, *litter(out)]]


def _saved(what: Errand, made: Ground, out: Path, asked: int) -> Iterator[str]:
    """What isn't on the disk of that which was done before the terminal closed."""
    if what.name.startswith("eval"):
        kept = sum(1 for _ in read_records(out / "samples.jsonl"))
        if what.name == "eval" and kept != asked:
            yield f"{asked} photos were asked about, and {kept} answers kept"
        if not (out / "summary.json").exists():
            yield "it has no summary"
        return
    out = out / "runs" / "sft" if what.name == "demo" else out
    if standing(out) not in ("stopped", "finished"):
        beat = read_heartbeat(out)
        yield f"its heartbeat says {standing(out)}: {beat.reason if beat else ''}"
    steps = [row.batch or 0 for row in read_checkpoints(out) if row.state_path]
    if max(steps, default=0) < len(rows_of(out)) - (standing(out) == "finished"):
        yield f"{len(rows_of(out))} steps are on record, and the last checkpoint is after {steps[-1:]}"


def _closed_under_a_server(attempt: Attempt, made: Ground) -> list[str]:
    del made
    marked, state = Marked(), attempt.folder / "state"
    command = ("serve", "--port", "0", "--state-dir", state)
    with Terminal(*command, env=marked.environment) as terminal:
        if not terminal.until("Serving"):
            return [f"it doesn't serve: {terminal.said()[-500:]}"]
        terminal.close()
        lost = marked.orphans(_ENDS_WITHIN_S)
        if code := terminal.process.wait(_ENDS_WITHIN_S):
            lost.append(f"exit code {code}")
        return [*lost, *litter(state)]


def _closed_under_the_app(attempt: Attempt, made: Ground) -> list[str]:
    marked = Marked()
    runs = made.whole(made.errands["sft"]).parent
    by = attempt.chance.choice([_DIRECTLY, _BY_A_SHELL, _DEAF])
    with Terminal("tui", runs, env=marked.environment, by=by) as terminal:
        if not terminal.until("sft"):
            return [f"it shows no run: {terminal.said()[-500:]}"]
        terminal.keys(attempt.chance.choice(["", "\r", "3", "?"]))
        time.sleep(attempt.chance.uniform(0.0, 1.0))
        terminal.close()
        return [f"{one} ({' '.join(by[:1]) or 'alone'})" for one in marked.orphans(_ENDS_WITHIN_S)]


def _closed_after_a_start(attempt: Attempt, made: Ground) -> list[str]:
    """A run that was interrupted is resumed from the app, whose terminal then closes."""
    what, marked, out = made.errands["sft"], Marked(), attempt.folder / "runs" / "run"
    whole = made.whole(what)
    process = start(Marked(), *what.command(out))
    until(lambda: (out / "checkpoints.jsonl").exists(), process)
    process.kill()
    process.communicate()
    with Terminal("tui", out.parent, "--theme", "dark", env=marked.environment) as terminal:
        if not terminal.until("R Resume"):
            return [f"it shows no run: {terminal.said()[-500:]}"]
        terminal.keys("R")
        if not until(lambda: standing(out) in ("running", "finished"), terminal.process):
            return [f"the run wasn't started: {terminal.said()[-500:]}"]
        terminal.close()
        lost = marked.orphans(_ENDS_WITHIN_S * 2)
    return [*lost, *what.differs(out, whole), *torn_files(out), *litter(out)]


def _typed_in_another_encoding(attempt: Attempt, made: Ground) -> list[str]:
    """The app in a locale that isn't UTF-8: it is seen, and keys of that locale don't end it."""
    marked, locale = Marked(), PoorLocale(attempt.folder, attempt.chance)
    locale.begin(None)
    runs = made.whole(made.errands["sft"]).parent
    with Terminal("tui", runs, env={**marked.environment, **locale.environment}) as terminal:
        if not terminal.until("sft"):
            return [f"it shows no run: {terminal.said()[-500:]}"]
        for key in attempt.chance.sample([b"\xe9a", b"\xff", b"\xc3\xa9", "京".encode()], 3):
            terminal.press(key)
            time.sleep(0.1)
        terminal.press(b"\x11")
        code = terminal.process.wait(_ENDS_WITHIN_S)
        lost = said_wrongly(code, terminal.said(), may_fail=False)
    return [*lost, *marked.orphans()]


TERMINALS: Final[Mapping[str, Callable[[Attempt, Ground], list[str]]]] = {
    "terminal closes, eval": partial(_closed_under, "eval"),
    "terminal closes, eval by the embedded engine": partial(
        _closed_under, "eval by the embedded engine"
    ),
    "terminal closes, eval by ray": partial(_closed_under, "eval by ray"),
    "terminal closes, demo": partial(_closed_under, "demo"),
    "terminal closes, sft": partial(_closed_under, "sft"),
    "terminal closes, rl": partial(_closed_under, "rl"),
    "terminal closes, serve": _closed_under_a_server,
    "terminal closes, tui": _closed_under_the_app,
    "terminal closes, tui that started a run": _closed_after_a_start,
    "poor locale, tui": _typed_in_another_encoding,
}
