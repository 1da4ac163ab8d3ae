"""`geospot eval` killed at any moment of its life, gone on with, and compared with one that nobody killed.

What docs/results.md promises is what is checked. An answer that has its line is settled: it is never
asked again, and its line stays as it is, to the byte. A question that was under way has no line, and is asked
again: at most as many a kill as are asked at once. The figures are those of the uninterrupted evaluation.

An answer has its line before its place is given to the next question. So what was answered and followed by so
many questions that every place was given anew, twice over, is settled (`_FOLLOWED`), however slow the machine
is. One trial in three is exact: from some question on nobody is answered, and the process is killed when it
has as many questions open as it may have. Nothing is under way then but these, and whatever was answered has
to have its line.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from geospot.evaluation.results import read_records
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
    torn_files,
    unended_lines,
    whole_life,
)
from tests.drills.processes import Marked
from tests.support.evaluating import sent_digests, timeless
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import Asked, Behaviour, VlmServer

_AT_ONCE: Final = 6
_FOLLOWED: Final = 2 * _AT_ONCE
"""So many questions after an answer, it is settled: each of them needed a place that was given back."""
_SILENT_ONE_IN: Final = 3
_SILENT_WITHIN_S: Final = 300.0
_ANSWERS: Final = (
    "52.5, 13.4",
    "City: Kyoto\nCountry: Japan\nLatitude: 35.02\nLongitude: 135.75",
    "I'm sorry, I can't help with that.",
    "A road.",
    "-33.9, 18.4",
)


def _by_image(asked: Asked) -> Behaviour:
    """An answer that depends on the photo alone; some take long, so that the order differs."""
    number = int(asked.digest[:8], 16)
    return Behaviour(text=_ANSWERS[number % len(_ANSWERS)], latency_s=0.01 + number % 7 * 0.01)


class _Script:
    """Answers by the photo alone; falls silent where it is told to."""

    def __init__(self) -> None:
        self.silent_after: int | None = None
        """So many questions are answered, and no other; None answers all."""
        self.held = 0
        self._questions = 0

    def __call__(self, asked: Asked) -> Behaviour:
        self._questions += 1
        if self.silent_after is None or self._questions <= self.silent_after:
            return _by_image(asked)
        self.held += 1
        return Behaviour(kind="stall")


@dataclass(frozen=True, slots=True)
class _Reference:
    """The data set, and the evaluation of it that nobody killed."""

    dataset: Path
    digests: dict[str, str]
    summary: dict[str, Any]
    files: set[str]
    life: Life
    launch: Launch


@drill("kill -9 of an evaluation, which is then gone on with", times=50, short=2)
def kill_evaluation(session: Session) -> Iterator[Trial]:
    """Kills the asking process once or twice a trial; the endpoint and its counts stay."""
    photos, launch = (40, begin) if session.is_short else (200, start)
    reference = _reference(session.folder, photos, launch)

    def one(attempt: Attempt) -> Trial:
        script = _Script()
        with VlmServer(script) as server:
            if attempt.number % _SILENT_ONE_IN == 0:
                return _killed_in_silence(attempt, reference, server, script)
            return _killed(attempt, reference, server)

    yield from session.repeat(one, side_by_side=2)


def _reference(folder: Path, photos: int, launch: Launch) -> _Reference:
    dataset, out = folder / "osv", folder / "whole"
    make_osv_tree(dataset, images=photos)
    with VlmServer(_by_image) as server:
        life = whole_life(launch(Marked(), *_command(dataset, server, out)), out)
    files = {path.name for path in out.iterdir()}
    return _Reference(dataset, sent_digests(dataset), timeless(out), files, life, launch)


def _command(dataset: Path, server: VlmServer, out: Path) -> list[str | Path]:
    return [
        *("eval", "--backend", "openai", "--base-url", server.base_url, "--model", "some-vlm"),
        *("--dataset", dataset, "--limit", "all", "--concurrency", str(_AT_ONCE), "--out", out),
    ]


def _killed(attempt: Attempt, reference: _Reference, server: VlmServer) -> Trial:
    marked, out, chance = Marked(), attempt.folder / "out", attempt.chance
    command = _command(reference.dataset, server, out)
    lost: list[str] = []
    phases: list[str] = []
    settled = _Settled(reference, server, out)
    for _ in range(1 + (chance.random() < 0.4)):
        moment = reference.life.moment(chance)
        server.log.answered.clear()  # what was said to a process that is dead was said to nobody
        hit = kill_at(reference.launch(marked, *command), moment)
        phases.append(f"{moment}, {settled.phase() if hit else TOO_LATE}")
        lost += settled.unlike() + settled.unwritten(_FOLLOWED) + torn_files(out)
        settled.note()
        if (out / "summary.json").exists():
            break  # there is nothing left to kill
    kills = sum("no kill" not in phase for phase in phases)
    if not kills:
        return Trial(
            "; ".join(phases), 1, (*lost, *marked.orphans()), phases[-1].partition(", ")[2]
        )
    lost += _gone_on_with(marked, command, reference, settled, kills)
    return Trial("; ".join(phases), kills, tuple(lost))


def _killed_in_silence(
    attempt: Attempt, reference: _Reference, server: VlmServer, script: _Script
) -> Trial:
    """Kills it when all that it may ask at once is open, and nothing else is under way."""
    marked, out = Marked(), attempt.folder / "out"
    command = _command(reference.dataset, server, out)
    script.silent_after = attempt.chance.randrange(len(reference.digests) - _AT_ONCE)
    settled = _Settled(reference, server, out)
    process, end_s = reference.launch(marked, *command), time.monotonic() + _SILENT_WITHIN_S
    while script.held < _AT_ONCE and process.poll() is None and time.monotonic() < end_s:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    lost = settled.unwritten(0) + torn_files(out)
    if script.held != _AT_ONCE:
        lost.append(f"{script.held} questions were open at once, for {_AT_ONCE}")
    what = f"in silence, {settled.phase()}"
    settled.note()
    script.silent_after = None
    return Trial(what, 1, (*lost, *_gone_on_with(marked, command, reference, settled, kills=1)))


def _gone_on_with(
    marked: Marked,
    command: list[str | Path],
    reference: _Reference,
    settled: "_Settled",
    kills: int,
) -> list[str]:
    wrong, out = finish(reference.launch(marked, *command)), settled.out
    lost = [wrong] if wrong else []
    lost += settled.unlike() + torn_files(out) + unended_lines(out) + left_over(out)
    return [*lost, *_unlike_the_whole(reference, settled.server, out, kills), *marked.orphans()]


class _Settled:
    """What had its line at the last kill: it stays as it is, and is never asked again."""

    def __init__(self, reference: _Reference, server: VlmServer, out: Path) -> None:
        self._digests, self.server, self.out = reference.digests, server, out
        self._photos = len(reference.digests)
        self._lines = b""
        self._asked: dict[str, int] = {}

    def note(self) -> None:
        """Takes down what is settled now; nobody is asking."""
        path = self.out / "samples.jsonl"
        data = path.read_bytes() if path.is_file() else b""
        self._lines = data[: data.rfind(b"\n") + 1]
        ids = {record.id for record in read_records(path)}
        self._asked = {id_: self.server.log.per_image[self._digests[id_]] for id_ in ids}

    def unlike(self) -> list[str]:
        """What has happened since then to what was settled."""
        path = self.out / "samples.jsonl"
        data = path.read_bytes() if path.is_file() else b""
        counts = self.server.log.per_image
        again = [id_ for id_, n in self._asked.items() if counts[self._digests[id_]] != n]
        lost = [f"settled sample {id_} was asked again" for id_ in again]
        return lost + ["lines that were settled have changed"] * (not data.startswith(self._lines))

    def unwritten(self, followed: int) -> list[str]:
        """What was answered, and after that at least so many questions asked, and has no line."""
        log = self.server.log
        known = {self._digests[record.id] for record in read_records(self.out / "samples.jsonl")}
        return [
            f"an answer has no line, {log.questions - then} questions later"
            for digest, then in log.answered.items()
            if digest not in known and log.questions - then >= followed
        ]

    def phase(self) -> str:
        """How far it had got when it was killed."""
        settled = sum(1 for _ in read_records(self.out / "samples.jsonl"))
        if (self.out / "summary.json").exists():
            return "killed after its summary"
        if settled == self._photos:
            return "killed at its summary"
        if settled or self.server.log.per_image:
            return f"killed with {settled} settled"
        if (self.out / "eval.json").exists():
            return "killed before its first question"
        return "killed at its directory" if self.out.exists() else TOO_EARLY


def _unlike_the_whole(
    reference: _Reference, server: VlmServer, out: Path, kills: int
) -> Iterator[str]:
    """In which respects the evaluation isn't what it would have been."""
    ids = Counter(record.id for record in read_records(out / "samples.jsonl"))
    yield from (f"sample {id_} is missing" for id_ in reference.digests if not ids[id_])
    yield from (f"sample {id_} has {n} lines" for id_, n in ids.items() if n > 1)
    if timeless(out) != reference.summary:
        yield f"the summary is another: {timeless(out)}"
    if files := {path.name for path in out.iterdir()} ^ reference.files:
        yield f"other files than usual: {sorted(files)}"
    asked = server.log.per_image
    over = sum(n - 1 for n in asked.values())
    if over > _AT_ONCE * kills:
        yield f"{over} questions were asked again after {kills} kills, with {_AT_ONCE} at once"
    if (most := max(asked.values(), default=0)) > 1 + kills:
        yield f"a photo was asked about {most} times"
