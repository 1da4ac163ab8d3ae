"""Commands that only look at something and print it."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.drills.errands import ANSWERS, SAID, Arguments, Errand, Ground
from tests.drills.errands_writing import copy_checkpoints

_TEXTS: Final = 40
_PHOTOS: Final = 24
_WIDTH: Final = 32


def reading(made: Ground) -> Iterator[Errand]:
    """Every command that prints what it finds out, its output going to a file."""

    def prints(name: str, *arguments: str | Path | Callable[[], Path], code: int = 0) -> Errand:
        def command(out: Path) -> Arguments:
            del out
            return [*name.split(), *(one() if callable(one) else one for one in arguments)]

        return Errand(
            name, command, _said_otherwise, lay=_folder, code=code, prints=True, only_reads=True
        )

    def score() -> Path:
        return made.whole(made.errands["score"])

    ask = ("--backend", "openai", "--base-url", made.server.base_url, "--model", "some-vlm")
    photos = sorted((made.dataset / "images" / "test").rglob("*.jpg"))[:_PHOTOS]
    yield prints("predict", *photos, *ask, code=3)  # some photos are refused
    yield prints("runs list", made.runs)
    yield prints("runs show", made.stopped, "--json")
    yield prints("leaderboard show", made.results)
    yield prints("leaderboard compare", made.result, score)
    yield prints("parse", "--jsonl", lambda: _texts(made))
    yield prints("backends")
    yield prints("checkpoints list", "--state-dir", lambda: _archive(made))
    yield prints("checkpoints show", made.stopped, "--state-dir", lambda: _archive(made))
    yield Errand(
        "doctor",
        lambda _: ["doctor", "--offline"],
        _lines_missing,
        lay=_folder,
        prints=True,
        only_reads=True,
    )
    yield Errand(
        "data check",
        lambda _: ["data", "check", made.zipped(), "--split", "train", "--json"],
        _said_otherwise,
        lay=_folder,
        variables=lambda out: {"GEOSPOT_CACHE": str(out / "cache")},
        prints=True,
    )


def _folder(out: Path) -> None:
    out.mkdir(parents=True)


def _said_otherwise(out: Path, whole: Path) -> Iterable[str]:
    said, usually = ((one / SAID).read_text(encoding="utf-8") for one in (out, whole))
    return [] if said == usually else [f"it says {said[-400:]!r} for {usually[-400:]!r}"]


def _lines_missing(out: Path, whole: Path) -> Iterable[str]:
    """The figures of a machine change, and what is looked at doesn't."""
    said, usually = (
        [line[:_WIDTH] for line in (one / SAID).read_text(encoding="utf-8").splitlines()]
        for one in (out, whole)
    )
    return [] if said == usually else [f"it says {said} for {usually}"]


def _texts(made: Ground) -> Path:
    """Answers of a model, so many that what is read in them doesn't fit into a block of the disk."""
    path = made.folder / "answers.jsonl"
    if not path.exists():
        rows = [json.dumps({"text": text}) for text in ANSWERS * _TEXTS]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def _archive(made: Ground) -> Path:
    """The checkpoints of the run that was stopped, in a folder where no more come."""
    folder = made.folder / "archive"
    if not folder.exists():
        copy_checkpoints(made, folder)
    return folder
