"""What commands do in a drill: small, on real input, with what has to be there in the end.

An `Errand` is run undisturbed once; what it leaves then is what every other run of it has to come to.
Which there are is in `ground.py`.
"""

import glob
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import takewhile
from pathlib import Path
from typing import Final

from geospot.evaluation.results import ASIDE, read_records
from tests.drills.killing import left_over, start
from tests.drills.processes import Marked
from tests.drills.trained import MOVED, Kind, settings, standing, unlike
from tests.drills.troubles import until
from tests.support.evaluating import begin_geospot, timeless
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import Asked, Behaviour, VlmServer

AT_ONCE: Final = 4
PHOTOS: Final = 80
SAID: Final = "said.txt"
"""Where the output of an errand goes that prints what it finds out."""
_PAUSE_EVERY: Final = 25
_MANY: Final = 40
_ZIPPED: Final = 160
ANSWERS: Final = (
    "City: São Paulo\nCountry: Brazil\nLatitude: -23.55\nLongitude: -46.63",
    "都市: 京都\nCity: Kyōto\nCountry: Japan\nLatitude: 35.02\nLongitude: 135.75",
    "Je suis désolé, I can't help with that.",
    "Eine Straße – «nirgendwo» 🗺",
    "52.5, 13.4",
)
_DATES: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")

_A_PERSONS: Final = (".jsonl", ".csv", ".md", ".html", ".safetensors")

Arguments = list[str | Path]


def _nothing(_: Path) -> None:
    """Lays out nothing."""


def _no_variables(_: Path) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Errand:
    """A command that writes below a folder, or prints.

    `name` begins with the command's words. `command` takes the folder. `differs` says in which respects
    what is in one folder isn't what is in another, where nobody disturbed it. `is_under_way` is whether
    it is in the middle of it; None where it takes no time that one could meet.
    """

    name: str
    command: Callable[[Path], Arguments]
    differs: Callable[[Path, Path], Iterable[str]]
    is_under_way: Callable[[Path], bool] | None = None
    lay: Callable[[Path], None] = _nothing
    """Makes what has to be there before, in the folder."""
    left: Callable[[Path], Arguments | None] | None = None
    """The command with which a person goes on after a disturbance; None where all was done. Without it,
    it is the same command."""
    variables: Callable[[Path], Mapping[str, str]] = _no_variables
    """What is set in its environment, for a folder."""
    prints: bool = False
    """Its output goes to the file `SAID` in the folder, as a shell's `>` has it."""
    overwrites: bool = False
    """It writes over what it left some time ago."""
    code: int = 0
    """What it ends with."""
    destroys: bool = False
    """Files are to be gone after it."""
    only_reads: bool = False
    """It writes nothing but what it prints, so that no folder can refuse it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The input of all errands, and where each left what nobody disturbed.

    Args:
        answers: a file of predictions about `dataset`.
        service: the address of an embedded engine, which is started when it is needed.
    """

    folder: Path
    server: VlmServer
    script: "Script"
    answers: Path
    service: Callable[[], str]
    errands: dict[str, Errand] = field(default_factory=dict[str, Errand])

    @property
    def dataset(self) -> Path:
        """Photos with their places."""
        return self.folder / "straße"

    @property
    def state(self) -> Path:
        """Where the engine keeps its checkpoints."""
        return self.folder / "state"

    def whole(self, errand: Errand) -> Path:
        """What an undisturbed run of it leaves, once all its processes have ended."""
        out = self.folder / "whole" / errand.name
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            errand.lay(out)
            marked = Marked(**errand.variables(out))
            process = begin_geospot(*errand.command(out), env=marked.environment)
            said, error = process.communicate()
            if (orphans := marked.orphans()) or process.returncode != errand.code:
                how = f"{process.returncode}: {error} {orphans}"
                raise RuntimeError(f"{errand.name} alone ended with {how}")
            if errand.prints:
                out.mkdir(exist_ok=True)
                (out / SAID).write_text(said, encoding="utf-8")
        return out

    def result(self) -> Path:
        """A finished result."""
        return self.whole(self.errands["eval"])

    def results(self) -> Path:
        """A folder of results, so many that their table doesn't fit into a block of the disk."""
        return self._many(self.result(), "results")

    def stopped(self) -> Path:
        """A training that was asked to stop, whose checkpoints stay."""
        run = self.folder / "stopped" / "sft"
        if not run.exists():
            process = start(Marked(), *settings("sft", self.service(), run, keep_checkpoints=50))
            until(lambda: lines(run / "checkpoints.jsonl") >= 2, process)
            process.terminate()
            said = process.communicate(timeout=120)
            if standing(run) != "stopped":
                raise RuntimeError(f"It wasn't stopped: {said}")
        return run

    def runs(self) -> Path:
        """A folder of runs, so many that their table doesn't fit into a block of the disk."""
        return self._many(self.stopped(), "runs")

    def zipped(self) -> Path:
        """A data set in OSV-5M's layout, its photos in zips."""
        folder = self.folder / "zipped"
        if not folder.exists():
            make_osv_tree(folder, split="train", images=_ZIPPED, zips=4)
        return folder

    def _many(self, one: Path, name: str) -> Path:
        folder = self.folder / name
        if not folder.exists():
            for number in range(_MANY):
                shutil.copytree(one, folder / f"{number:02d}")
        return folder


class Script:
    """Answers that depend on the photo alone, in every language; now and then, a pause until a date."""

    def __init__(self) -> None:
        self.answered = 0
        self._questions = 0

    def __call__(self, asked: Asked) -> Behaviour:
        """The answer to one question."""
        self._questions += 1
        if self._questions % _PAUSE_EVERY == 0:
            now = datetime.now(UTC)
            soon = format_datetime(now + timedelta(seconds=1), usegmt=True)
            headers = (("date", format_datetime(now, usegmt=True)), ("retry-after", soon))
            return Behaviour(kind="status", status=429, headers=headers)
        self.answered += 1
        number = int(asked.digest[:8], 16)
        return Behaviour(text=ANSWERS[number % len(ANSWERS)], latency_s=0.1)


def training(kind: Kind, service: Callable[[], str]) -> Errand:
    """A small training on a service."""
    return Errand(
        kind,
        lambda out: settings(kind, service(), out),
        lambda out, whole: other_run(out, whole, kind),
        lambda out: lines(out / "metrics.jsonl") >= 2,
    )


def lines(path: Path) -> int:
    """How many whole lines a file has; none where it isn't there."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def other_result(out: Path, whole: Path) -> Iterator[str]:
    """In which respects a result is another."""
    ids = Counter((record.id, record.draw) for record in read_records(out / "samples.jsonl"))
    yield from (f"sample {id_} has {n} lines" for (id_, _), n in ids.items() if n > 1)
    if timeless(out) != timeless(whole):
        yield f"the summary is another: {timeless(out)}"
    if other := {path.name for path in out.iterdir()} ^ {path.name for path in whole.iterdir()}:
        yield f"other files than usual: {sorted(other)}"


def other_run(out: Path, whole: Path, kind: Kind) -> Iterator[str]:
    """In which respects a run that went on to its end is another."""
    if standing(out) != "finished":
        yield f"its heartbeat says {standing(out)}"
        return
    for sentence in unlike(out, whole, kind):
        if not sentence.startswith("other checkpoints"):  # one that was stopped has one more
            yield sentence


def other_files(out: Path, whole: Path) -> Iterator[str]:
    """Files that differ, but for the dates in them."""
    ours, theirs = (
        {str(path.relative_to(one)): path for path in one.rglob("*") if path.is_file()}
        for one in (out, whole)
    )
    if ours.keys() != theirs.keys():
        yield f"other files than usual: {sorted(ours.keys() ^ theirs.keys())}"
        return
    yield from (f"{name} is another" for name in ours if not is_same(ours[name], theirs[name]))


def is_same(path: Path, other: Path) -> bool:
    """Whether two files, if they are there, hold the same but for the dates in them."""
    return path.is_file() and other.is_file() and _text(path) == _text(other)


def _text(path: Path) -> str:
    return _DATES.sub("", path.read_bytes().decode("latin-1"))


def program(arguments: Arguments) -> list[str]:
    """The command as a process is started with it."""
    return [sys.executable, "-m", "geospot", *map(str, arguments)]


def kept(place: Path) -> dict[Path, bytes]:
    """What is in the files below a place that are a person's: whole lines, tables, pages."""
    paths = (path for suffix in _A_PERSONS for path in place.rglob(f"*{suffix}"))
    whole = {path: path.read_bytes() for path in paths if not path.name.startswith(".")}
    return {
        path: data[: data.rfind(b"\n") + 1] if path.suffix == ".jsonl" else data
        for path, data in whole.items()
    }


def older(whole: Path, out: Path) -> None:
    """Lays out what a command left some time ago: tables and pages were shorter, and began otherwise."""
    shutil.copytree(whole, out)
    for path in out.rglob("*"):
        if path.suffix in (".csv", ".md", ".html"):
            data = path.read_bytes()
            path.write_bytes(data[-len(data) // 3 :])


def gone(before: Mapping[Path, bytes]) -> Iterator[str]:
    """What isn't there any more, in its place, beside it or set aside; lines may have come behind."""
    for path, data in before.items():
        name = path.parent.name
        aside = path.parent.parent.glob(f"{glob.escape(name)}{ASIDE}*/{path.name}")
        beside = path.parent.glob(f"{glob.escape(path.stem)}.before-*{path.suffix}")
        found = [one.read_bytes() for one in (path, *aside, *beside) if one.is_file()]
        if not any(one.startswith(data) for one in found) and not _is_moved(data, path):
            yield f"what was in {path.name} is gone"


def _is_moved(data: bytes, path: Path) -> bool:
    """Whether a run that does steps again has moved what its file no longer begins with beside it."""
    now = path.read_bytes() if path.is_file() else b""
    then, since = (one.splitlines(keepends=True) for one in (data, now))
    alike = [*takewhile(lambda pair: pair[0] == pair[1], zip(then, since, strict=False))]
    end = b"".join(then[len(alike) :])
    moved = path.parent.glob(f"{glob.escape(path.name)}{MOVED}*")
    return any(end in one.read_bytes() for one in moved)


def litter(place: Path) -> list[str]:
    """Temporary files, ours and those of libraries."""
    drafts = (
        path.name for path in place.rglob("*") if path.name.endswith((".part", ".fresh", "~"))
    )
    return [*left_over(place), *(f"{name} was left over" for name in drafts)]
