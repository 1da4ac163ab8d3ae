"""A full disk, a read-only folder, no files left, a clock set back, a poor locale, a terminal that closes.

Each meets each command, before it starts or in the middle of it. A command may end with one clear sentence,
what to do, and its exit code; it shows no traceback. Nothing that was written is lost or torn. When the
trouble is over, the same command comes to the same end as one that nobody disturbed; no process and no
temporary file is left.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.errands import (
    AT_ONCE,
    PHOTOS,
    Errand,
    Ground,
    gone,
    ground,
    kept,
    litter,
    older,
    program,
)
from tests.drills.hanging_up import TERMINALS
from tests.drills.killing import torn_files, unended_lines
from tests.drills.processes import Marked
from tests.drills.strained_engine import full_disk_of_the_checkpoints, no_files_for_connections
from tests.drills.troubles import (
    ClockSetBack,
    FewFiles,
    FullDisk,
    PoorLocale,
    Process,
    ReadOnlyDisk,
    ReadOnlyFolder,
    Trouble,
    until,
)
from tests.drills.verdict import said_wrongly
from tests.support.evaluating import environment

_LIMIT_S: Final = 300.0
_NAME: Final = "größe 京都"
_LAID_OUT: Final = 0.7
_TROUBLES: Final = {
    "full disk": FullDisk,
    "read-only disk": ReadOnlyDisk,
    "read-only folder": ReadOnlyFolder,
    "no files left": FewFiles,
    "clock set back": ClockSetBack,
    "poor locale": PoorLocale,
}
_ERRANDS: Final = ("eval", "score", "export", "report", "checkpoints export", "sft", "rl")
_LONG: Final = ("eval", "sft", "rl")
_NOT_IN_THE_MIDDLE: Final = ("read-only disk", "poor locale")
_ONLY_IN_THE_MIDDLE: Final = ("clock set back",)
_SHORT: Final = (
    ("full disk", "eval", "middle"),
    ("poor locale", "score", "start"),
)


@dataclass(frozen=True, slots=True)
class _Case:
    """One trouble that meets one command."""

    name: str
    why_not: Callable[[], str]
    tried: Callable[[Attempt, Ground], list[str]]


@drill("a full disk, a read-only folder, no files, clocks, locales, terminals", times=280, short=3)
def surroundings(session: Session) -> Iterator[Trial]:
    """Each case in turn, every time with other dice."""
    cases = [
        _case(trouble, errand, when)
        for trouble in _TROUBLES
        for errand in _ERRANDS
        for when in ("start", "middle")
        if _can_meet(trouble, errand, when)
        and (not session.is_short or (trouble, errand, when) in _SHORT)
    ]
    cases += [
        _Case(name, lambda: "", tried)
        for name, tried in TERMINALS.items()
        if not session.is_short or name == "terminal closes, eval"
    ]
    if not session.is_short:
        full = "full disk, checkpoints of sft, middle"
        cases.append(_Case(full, FullDisk.why_not, full_disk_of_the_checkpoints))
        cases.append(_Case("no files left, serve", lambda: "", no_files_for_connections))
    with ground(session.folder / "ground") as made:

        def one(attempt: Attempt) -> Trial:
            case = cases[attempt.number % len(cases)]
            if reason := case.why_not():
                return Trial(case.name, aside=f"{case.name}: {reason}")
            return Trial(case.name, lost=tuple(case.tried(attempt, made)))

        yield from session.repeat(one)


def _can_meet(trouble: str, errand: str, when: str) -> bool:
    if when == "middle":
        return errand in _LONG and trouble not in _NOT_IN_THE_MIDDLE
    return trouble not in _ONLY_IN_THE_MIDDLE


def _case(trouble: str, errand: str, when: str) -> _Case:
    kind = _TROUBLES[trouble]

    def tried(attempt: Attempt, made: Ground) -> list[str]:
        what = made.errands[errand]
        made.whole(what)  # nobody disturbs that one
        met = kind(attempt.folder, attempt.chance)
        met.open()
        try:
            return _Meeting(met, what, made).go(in_the_middle=when == "middle")
        finally:
            met.close()

    return _Case(f"{trouble}, {errand}, {when}", kind.why_not, tried)


class _Meeting:
    """A command, a trouble, and what comes of it."""

    def __init__(self, trouble: Trouble, errand: Errand, made: Ground) -> None:
        self._trouble, self._errand, self._made = trouble, errand, made
        self._out = trouble.place / _NAME
        self._marked = Marked()
        self._disturbed = 0

    def go(self, *, in_the_middle: bool) -> list[str]:
        asked = self._made.script.answered
        lost = self._met_in_the_middle() if in_the_middle else self._met_at_the_start()
        code, said = self._ended(self._start())
        lost += [f"afterwards, {sentence}" for sentence in said_wrongly(code, said, may_fail=False)]
        lost += self._errand.differs(self._out, self._made.whole(self._errand)) if not code else []
        lost += [*torn_files(self._out), *unended_lines(self._out), *litter(self._trouble.place)]
        if self._errand.name == "eval":
            over = self._made.script.answered - asked - PHOTOS
            if over > AT_ONCE * self._disturbed:
                lost.append(f"{over} questions were asked again")
        return [*lost, *self._marked.orphans()]

    def _met_at_the_start(self) -> list[str]:
        """Where an earlier run was killed, or came to its end, or nothing is there yet."""
        if self._trouble.chance.random() < _LAID_OUT:
            self._lay_out()
        before = kept(self._trouble.place)
        self._trouble.begin(None)
        return self._judged(self._start(), before)

    def _met_in_the_middle(self) -> list[str]:
        process = self._start()
        if not self._is_under_way(process):
            return [f"it never got going: {self._ended(process)[1][-500:]}"]
        before = kept(self._trouble.place)
        self._trouble.begin(process)
        return self._judged(process, before)

    def _judged(self, process: Process, before: Mapping[Path, bytes]) -> list[str]:
        """What is wrong with how it took the trouble, which is over then."""
        self._disturbed += 1
        code, said = self._ended(process)
        self._trouble.end()
        lost = said_wrongly(code, said, may_fail=self._trouble.may_fail)
        if code:
            lost += gone(before)
        return lost + torn_files(self._out)

    def _lay_out(self) -> None:
        if self._errand.is_under_way is None:
            if self._errand.name != "checkpoints export":  # which never writes over anything
                older(self._made.whole(self._errand), self._out)
            return
        process = self._start()
        if self._is_under_way(process):
            process.kill()
            self._disturbed += 1
        self._ended(process)

    def _is_under_way(self, process: Process) -> bool:
        ask = self._errand.is_under_way
        return ask is not None and until(lambda: ask(self._out), process)

    def _start(self) -> Process:
        return subprocess.Popen(
            [*self._trouble.prefix, *program(self._errand.command(self._out))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment({**self._marked.environment, **self._trouble.environment}),
        )

    @staticmethod
    def _ended(process: Process) -> tuple[int, str]:
        try:
            said = process.communicate(timeout=_LIMIT_S)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return -9, f"it hung: {process.communicate()[0]}"
        return process.returncode, said
