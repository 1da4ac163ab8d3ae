"""What commands do in a drill: small, on real input, with what has to be there in the end.

An `Errand` is run undisturbed once; what it leaves then is what every other run of it has to come to.
"""

import glob
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Final

from geospot.evaluation.results import ASIDE, read_records
from tests.drills.killing import left_over
from tests.drills.trained import Kind, settings, standing, unlike
from tests.support.evaluating import cold_geospot, timeless
from tests.support.learning import embedded_url
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import Asked, Behaviour, VlmServer

AT_ONCE: Final = 4
PHOTOS: Final = 80
_PAUSE_EVERY: Final = 25
_RESULTS: Final = 40
_ANSWERS: Final = (
    "City: São Paulo\nCountry: Brazil\nLatitude: -23.55\nLongitude: -46.63",
    "都市: 京都\nCity: Kyōto\nCountry: Japan\nLatitude: 35.02\nLongitude: 135.75",
    "Je suis désolé, I can't help with that.",
    "Eine Straße – «nirgendwo» 🗺",
    "52.5, 13.4",
)
_DATES: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")

_A_PERSONS: Final = (".jsonl", ".csv", ".md", ".html", ".safetensors")

Arguments = list[str | Path]


@dataclass(frozen=True, slots=True)
class Errand:
    """A command that writes below a folder.

    `command` takes the folder. `differs` says in which respects what is in one folder isn't what is in
    another, where nobody disturbed it. `is_under_way` is whether it is in the middle of it; None where it
    takes no time that one could meet.
    """

    name: str
    command: Callable[[Path], Arguments]
    differs: Callable[[Path, Path], Iterable[str]]
    is_under_way: Callable[[Path], bool] | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """The input of all errands, and where each left what nobody disturbed."""

    folder: Path
    server: VlmServer
    script: "Script"
    errands: dict[str, Errand]

    @property
    def dataset(self) -> Path:
        """Photos with their places."""
        return self.folder / "straße"

    def whole(self, errand: Errand) -> Path:
        """What an undisturbed run of it leaves."""
        out = self.folder / "whole" / errand.name
        if not out.exists():
            done = cold_geospot(*errand.command(out), timeout_s=300.0)
            if done.returncode:
                raise RuntimeError(
                    f"{errand.name} alone ended with {done.returncode}: {done.stderr}"
                )
        return out

    def result(self) -> Path:
        """A finished result."""
        return self.whole(self.errands["eval"])

    def results(self) -> Path:
        """A folder of results, so many that their table doesn't fit into a block of the disk."""
        folder = self.folder / "results"
        if not folder.exists():
            result = self.result()
            for number in range(_RESULTS):
                shutil.copytree(result, folder / f"{number:02d}")
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
        return Behaviour(text=_ANSWERS[number % len(_ANSWERS)], latency_s=0.1)


@contextmanager
def ground(folder: Path) -> Generator[Ground]:
    """The input, a model to be asked, and a server of the embedded engine, once it is needed."""
    script = Script()
    with VlmServer(script) as server, ExitStack() as stack:
        made = Ground(folder, server, script, {})
        samples = make_osv_tree(made.dataset, images=PHOTOS, extracted=True)
        answers = folder / "réponses.csv"
        lines = [f'{one.id},"{_ANSWERS[n % 2]}"' for n, one in enumerate(samples)]
        answers.write_text("\n".join(["id,text", *lines]) + "\n", encoding="utf-8")

        @cache
        def service() -> str:
            return stack.enter_context(embedded_url(folder / "state"))

        made.errands.update((errand.name, errand) for errand in _errands(made, answers, service))
        yield made


def _errands(made: Ground, answers: Path, service: Callable[[], str]) -> Iterator[Errand]:
    def evaluation(out: Path) -> Arguments:
        return [
            *("eval", "--backend", "openai", "--base-url", made.server.base_url),
            *("--model", "some-vlm", "--dataset", made.dataset, "--limit", "all"),
            *("--concurrency", str(AT_ONCE), "--rpm", "6000", "--out", out),
        ]

    def score(out: Path) -> Arguments:
        return ["score", answers, "--dataset", made.dataset, "--limit", "all", "--out", out]

    def export(out: Path) -> Arguments:
        board = ("--csv", out / "board.csv", "--markdown", out / "board.md")
        return ["leaderboard", "export", made.results(), *board]

    def report(out: Path) -> Arguments:
        return ["report", made.result(), "--html", out / "page.html"]

    def model(out: Path) -> Arguments:
        return ["checkpoints", "export", "geospot/tiny-vlm", out]

    yield Errand("eval", evaluation, _other_result, lambda out: _lines(out / "samples.jsonl") >= 4)
    yield Errand("score", score, _other_result)
    yield Errand("export", export, _other_files)
    yield Errand("report", report, _other_files)
    yield Errand("checkpoints export", model, _other_files)
    yield training("sft", service)
    yield training("rl", service)


def training(kind: Kind, service: Callable[[], str]) -> Errand:
    """A small training on a service."""
    return Errand(
        kind,
        lambda out: settings(kind, service(), out),
        lambda out, whole: _other_run(out, whole, kind),
        lambda out: _lines(out / "metrics.jsonl") >= 2,
    )


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _other_result(out: Path, whole: Path) -> Iterator[str]:
    ids = Counter((record.id, record.draw) for record in read_records(out / "samples.jsonl"))
    yield from (f"sample {id_} has {n} lines" for (id_, _), n in ids.items() if n > 1)
    if timeless(out) != timeless(whole):
        yield f"the summary is another: {timeless(out)}"
    if other := {path.name for path in out.iterdir()} ^ {path.name for path in whole.iterdir()}:
        yield f"other files than usual: {sorted(other)}"


def _other_run(out: Path, whole: Path, kind: Kind) -> Iterator[str]:
    if standing(out) != "finished":
        yield f"its heartbeat says {standing(out)}"
        return
    for sentence in unlike(out, whole, kind):
        if not sentence.startswith("other checkpoints"):  # one that was stopped has one more
            yield sentence


def _other_files(out: Path, whole: Path) -> Iterator[str]:
    ours, theirs = (
        {str(path.relative_to(one)): path for path in one.rglob("*") if path.is_file()}
        for one in (out, whole)
    )
    if ours.keys() != theirs.keys():
        yield f"other files than usual: {sorted(ours.keys() ^ theirs.keys())}"
        return
    yield from (f"{name} is another" for name in ours if _text(ours[name]) != _text(theirs[name]))


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
    """What isn't there any more, in its place or set aside; lines may have come behind."""
    for path, data in before.items():
        name = path.parent.name
        aside = path.parent.parent.glob(f"{glob.escape(name)}{ASIDE}*/{path.name}")
        found = [one.read_bytes() for one in (path, *aside) if one.is_file()]
        if not any(one.startswith(data) for one in found):
            yield f"what was in {path.name} is gone"


def litter(place: Path) -> list[str]:
    """Temporary files, ours and those of libraries."""
    drafts = (path.name for path in place.rglob("*") if path.name.endswith((".part", "~")))
    return [*left_over(place), *(f"{name} was left over" for name in drafts)]
