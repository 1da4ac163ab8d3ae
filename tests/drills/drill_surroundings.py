"""A full disk, a read-only folder, no files left, a clock set back, a poor locale, a terminal that closes.

Each meets each command, before it starts or in the middle of it. A command may end with one clear sentence,
what to do, and its exit code; it shows no traceback. Nothing that was written is lost or torn; what it prints
into a file is whole, or it says that it isn't. When the trouble is over, the same command comes to the same
end as one that nobody disturbed; no process and no temporary file is left. The commands are those of the
program itself, so that a new one can't be forgotten: without a case it is lost.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.errands import (
    AT_ONCE,
    PHOTOS,
    SAID,
    Arguments,
    Errand,
    Ground,
    gone,
    is_same,
    kept,
    litter,
    older,
    program,
)
from tests.drills.ground import ground
from tests.drills.hanging_up import TERMINALS
from tests.drills.killing import torn_files, unended_lines
from tests.drills.long_lived import LONG_LIVED
from tests.drills.processes import Marked
from tests.drills.secret_cases import all_commands
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
_ALONE_S: Final = 120.0
_TROUBLES: Final = {
    "full disk": FullDisk,
    "read-only disk": ReadOnlyDisk,
    "read-only folder": ReadOnlyFolder,
    "no files left": FewFiles,
    "clock set back": ClockSetBack,
    "poor locale": PoorLocale,
}
_NOT_IN_THE_MIDDLE: Final = ("read-only disk", "poor locale")
_ONLY_IN_THE_MIDDLE: Final = ("clock set back",)
_ASLEEP: Final = ("eval by the embedded engine", "eval by ray", "demo")
"""Their processes wait in `time.sleep`, which fails (EINVAL) under an earlier clock of libfaketime, and under
no real one."""
_NOT_WHERE_NOTHING_IS_WRITTEN: Final = ("read-only disk", "read-only folder")
_SHORT: Final = (
    "full disk, eval, middle",
    "poor locale, score, start",
    "terminal closes, eval",
)


@dataclass(frozen=True, slots=True)
class _Case:
    """One trouble that meets one command; the name has both."""

    name: str
    why_not: Callable[[], str]
    tried: Callable[[Attempt, Ground], list[str]]


@drill("a full disk, a read-only folder, no files, clocks, locales, terminals", times=400, short=3)
def surroundings(session: Session) -> Iterator[Trial]:
    """Each case in turn, every time with other dice. A command of the program without a case is lost."""
    with ground(session.folder / "ground") as made:
        cases = _all_cases(made)
        for name in sorted(_unmet(cases)):
            yield Trial(name, 0, ("no trouble meets it: write an errand in errands_writing.py",))
        if session.is_short:
            cases = [case for case in cases if case.name in _SHORT]

        def one(attempt: Attempt) -> Trial:
            case = cases[attempt.number % len(cases)]
            if reason := case.why_not():
                return Trial(case.name, aside=f"{case.name}: {reason}")
            return Trial(case.name, lost=tuple(case.tried(attempt, made)))

        yield from session.repeat(one)


def _all_cases(made: Ground) -> list[_Case]:
    cases = [
        _case(trouble, errand, when)
        for trouble in _TROUBLES
        for errand in made.errands.values()
        for when in ("start", "middle")
        if _can_meet(trouble, errand, when)
    ]
    cases += [_Case(name, lambda: "", tried) for name, tried in TERMINALS.items()]
    cases += [_Case(name, why_not, tried) for name, (why_not, tried) in LONG_LIVED.items()]
    full = "full disk, checkpoints of sft, middle"
    cases.append(_Case(full, FullDisk.why_not, full_disk_of_the_checkpoints))
    cases.append(_Case("no files left, serve, middle", lambda: "", no_files_for_connections))
    return cases


def _unmet(cases: Sequence[_Case]) -> set[str]:
    """Commands of the program that no case is about."""
    met = [f"{case.name.split(', ')[1]} " for case in cases]
    return {name for name in all_commands() if not any(one.startswith(f"{name} ") for one in met)}


def _can_meet(trouble: str, errand: Errand, when: str) -> bool:
    if errand.only_reads and trouble in _NOT_WHERE_NOTHING_IS_WRITTEN:
        return False
    if errand.name in _ASLEEP and trouble == "clock set back":
        return False
    if when == "middle":
        return errand.is_under_way is not None and trouble not in _NOT_IN_THE_MIDDLE
    return trouble not in _ONLY_IN_THE_MIDDLE


def _case(trouble: str, errand: Errand, when: str) -> _Case:
    kind = _TROUBLES[trouble]

    def tried(attempt: Attempt, made: Ground) -> list[str]:
        made.whole(errand)  # nobody disturbs that one
        met = kind(attempt.folder, attempt.chance)
        met.open()
        try:
            return _Meeting(met, errand, made).go(in_the_middle=when == "middle")
        finally:
            met.close()

    return _Case(f"{trouble}, {errand.name}, {when}", kind.why_not, tried)


class _Meeting:
    """A command, a trouble, and what comes of it."""

    def __init__(self, trouble: Trouble, errand: Errand, made: Ground) -> None:
        self._trouble, self._errand, self._made = trouble, errand, made
        self._out = trouble.place / _NAME
        self._marked = Marked(**errand.variables(self._out))
        self._disturbed = 0

    def go(self, *, in_the_middle: bool) -> list[str]:
        asked = self._made.script.answered
        self._errand.lay(self._out)
        lost = self._met_in_the_middle() if in_the_middle else self._met_at_the_start()
        lost += [f"afterwards, {sentence}" for sentence in self._afterwards()]
        lost += [*torn_files(self._out), *unended_lines(self._out), *litter(self._trouble.place)]
        if self._errand.name == "eval":
            over = self._made.script.answered - asked - PHOTOS
            if over > AT_ONCE * self._disturbed:
                lost.append(f"{over} questions were asked again")
        return [*lost, *self._marked.orphans()]

    def _afterwards(self) -> list[str]:
        """What is wrong once a person has gone on."""
        arguments = self._errand.command(self._out)
        if self._errand.left is not None:
            arguments = self._errand.left(self._out)
        if arguments is not None:
            code, said = self._ended(self._start(arguments))
            if wrong := said_wrongly(code, said, may_fail=False):
                return wrong
        return list(self._errand.differs(self._out, self._made.whole(self._errand)))

    def _met_at_the_start(self) -> list[str]:
        """Where an earlier run was killed, or came to its end, or nothing is there yet."""
        if self._trouble.chance.random() < _LAID_OUT:
            self._lay_out()
        before = kept(self._trouble.place)
        self._trouble.begin(None)
        return self._judged(self._start(self._errand.command(self._out)), before)

    def _met_in_the_middle(self) -> list[str]:
        process = self._start(self._errand.command(self._out))
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
        if code and not self._errand.destroys:
            lost += gone({path: data for path, data in before.items() if not self._is_done(path)})
        if not code and self._errand.prints and self._trouble.may_fail:
            lost += self._errand.differs(self._out, self._made.whole(self._errand))
        return lost + torn_files(self._out)

    def _is_done(self, path: Path) -> bool:
        """Whether a file is by now what it is to be in the end."""
        whole = self._made.whole(self._errand)
        return path.is_relative_to(self._out) and is_same(path, whole / path.relative_to(self._out))

    def _lay_out(self) -> None:
        if self._errand.is_under_way is None:
            if self._errand.overwrites:
                older(self._made.whole(self._errand), self._out)
            return
        process = self._start(self._errand.command(self._out))
        if self._is_under_way(process):
            process.kill()
            self._disturbed += 1
        self._ended(process)

    def _is_under_way(self, process: Process) -> bool:
        ask = self._errand.is_under_way
        return ask is not None and until(lambda: ask(self._out), process)

    def _start(self, arguments: Arguments) -> Process:
        with ExitStack() as stack:
            said: IO[bytes] | int = subprocess.PIPE
            if self._errand.prints:
                with suppress(OSError):  # a shell couldn't even start it then
                    said = stack.enter_context((self._out / SAID).open("wb"))
            return subprocess.Popen(
                [*self._trouble.prefix, *program(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.PIPE if self._errand.prints else subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                env=environment({**self._marked.environment, **self._trouble.environment}),
            )

    def _ended(self, process: Process) -> tuple[int, str]:
        """How it ended, 0 where that is as it should, and what it said.

        What it started that goes on without it is waited for.
        """
        try:
            said = process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return -9, f"it hung: {process.communicate()}"
        until(lambda: not self._marked.alive(), None, _ALONE_S)
        code = process.returncode
        return 0 if code == self._errand.code else code, "".join(filter(None, said))
