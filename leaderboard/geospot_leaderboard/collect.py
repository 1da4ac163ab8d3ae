"""Finds result directories and reads what the leaderboard needs of them."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from geospot.durable import number
from geospot.errors import ResultFormatError, UsageError
from geospot.evaluation import results
from geospot.evaluation.metrics import HEADLINE
from geospot.evaluation.standing import Flaw, flaws, section

_METRICS: Final = "metrics.jsonl"
"""A folder with this file is a training run; its evaluations are results."""

_OF_A_RUN: Final = ("iteration_", "thumbnails")
"""How folders of a run begin that never hold a result, and may be thousands."""

_NUMBERS: Final = {
    **dict.fromkeys(("samples_per_image", "coverage", "not_asked", "cost_usd", "seconds"), 0),
    **dict.fromkeys(("all", "answered", "spread", "said", "outcomes", "usage", "collapse"), 1),
    **dict.fromkeys(("admin", "by_country", "by_continent"), 2),
}
"""Keys of a summary under which there are numbers alone, and how many names deep."""
_PLACE: Final = "top"
"""But for this one of `collapse`."""


@dataclass(frozen=True)
class Result:
    """A result directory that could be read."""

    path: Path
    manifest: Mapping[str, Any]
    """Content of eval.json."""
    summary: Mapping[str, Any]
    """Content of summary.json."""
    name: str
    """The directory, relative to the folder that was searched."""

    @property
    def fingerprint(self) -> str:
        """Which images were asked."""
        return str(self.summary["fingerprint"])

    @property
    def truth_sha(self) -> str | None:
        """Which true coordinates it was scored against; None in results of older versions."""
        sha = section(self.manifest, "dataset").get("truth_sha")
        return sha if isinstance(sha, str) else None

    @property
    def geoscore(self) -> float:
        """GeoScore over all images."""
        return float(self.summary["all"]["geoscore"])

    @property
    def flaws(self) -> list[Flaw]:
        """What a reader must know, worst first."""
        return flaws(self.manifest, self.summary)

    @property
    def marks(self) -> list[str]:
        """Why the result may not be ranked; empty if it may."""
        return [flaw.mark for flaw in self.flaws if flaw.unranked]

    @property
    def dataset(self) -> tuple[str, str]:
        """Name and split of the data set."""
        described = section(self.manifest, "dataset")
        return str(described.get("name") or "?"), str(described.get("split") or "?")

    @property
    def label(self) -> str:
        """Backend and model."""
        backend = section(self.manifest, "backend")
        return f"{backend.get('name') or '?'}/{backend.get('model') or '?'}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A directory that looks like a result but can't be read: why, and what to do."""

    path: Path
    reason: str
    """A sentence that names the directory."""
    advice: str


@dataclass(frozen=True, slots=True)
class Collection:
    """What was found under a folder, each in the order of its path."""

    results: list[Result]
    broken: list[Broken]


def collect(folder: Path) -> Collection:
    """Every result directory at or below `folder`.

    A directory with an eval.json is one; directories that `--no-resume` set aside are passed over.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", "Name the folder that holds the results.")
    found: list[Result] = []
    broken: list[Broken] = []
    for path in result_directories(folder):
        try:
            found.append(read_result(path, name_below(path, folder)))
        except ResultFormatError as error:
            broken.append(Broken(path, error.message, error.advice))
    return Collection(found, broken)


def name_below(path: Path, folder: Path) -> str:
    """What to call a result that was found at or below `folder`."""
    return path.resolve().name if path == folder else str(path.relative_to(folder))


def read_result(path: Path, name: str | None = None) -> Result:
    """Reads one result directory; `name` is what to call it, its path by default.

    Raises:
        ResultFormatError: a file is missing or isn't what it should be.
    """
    manifest = results.read_json(path / results.EVAL)
    if manifest is None:
        raise ResultFormatError(
            f"{path} has no {results.EVAL}." if path.is_dir() else f"There is no folder {path}.",
            "Give a directory that `geospot eval` or `geospot score` wrote.",
        )
    summary = _summary(path)
    for file, document in ((results.EVAL, manifest), (results.SUMMARY, summary)):
        results.check_format(path / file, document)
    _check_summary(path, summary)
    asked = section(manifest, "dataset").get("fingerprint")
    if asked is not None and asked != summary["fingerprint"]:
        raise ResultFormatError(
            f"{results.EVAL} and {results.SUMMARY} in {path} are about different images.",
            "One of them was copied from elsewhere; `geospot rescore` writes the summary anew.",
        )
    return Result(path, manifest, summary, str(path) if name is None else name)


def _summary(path: Path) -> dict[str, Any]:
    summary = results.read_json(path / results.SUMMARY)
    if summary is None:
        raise ResultFormatError(
            f"{path} has no {results.SUMMARY}: the evaluation hasn't ended.",
            "Run the same command again: it asks only for what is missing. Or score what is there"
            " with `geospot rescore`.",
        )
    return summary


def _check_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """What ranking rests on must be there; anything else may be missing, and is of its kind or not usable."""
    if not isinstance(summary.get("fingerprint"), str):
        raise _not_usable(path, "no fingerprint")
    if not _is_number(summary.get("n")) or summary["n"] < 1:
        raise _not_usable(path, "no images")
    over_all = section(summary, "all")
    wrong = [name for name in HEADLINE if not _is_number(over_all.get(name))]
    if wrong:
        raise _not_usable(path, f"no {', '.join(wrong)}")
    for name, depth in _NUMBERS.items():
        if not _are_numbers(summary.get(name), depth):
            raise _not_usable(path, f"something under {name} that is no number")
    ci = section(summary, "ci")
    intervals = [*section(ci, "all").values(), *section(ci, "answered").values()]
    if not all(map(_is_interval, [*intervals, ci.get("coverage")])):
        raise _not_usable(path, "an interval that is none")
    if not _are_numbers(ci.get("level"), 0):
        raise _not_usable(path, "a level of intervals that is no number")


def _are_numbers(value: object, depth: int) -> bool:
    """Whether there are numbers, or gaps, so many names deep and nothing else."""
    if value is None or depth == 0:
        return value is None or _is_number(value)
    if not isinstance(value, Mapping):
        return False
    named = cast(Mapping[str, object], value)
    return all(_are_numbers(one, depth - 1) for name, one in named.items() if name != _PLACE)


def _is_interval(value: object) -> bool:
    if not isinstance(value, list):
        return value is None
    bounds = cast(list[object], value)
    return len(bounds) == 2 and all(map(_is_number, bounds))


def _not_usable(path: Path, what: str) -> ResultFormatError:
    return ResultFormatError(
        f"{path / results.SUMMARY} has {what}.", "`geospot rescore` writes it anew."
    )


def _is_number(value: object) -> bool:
    return math.isfinite(number(value))


def result_directories(folder: Path, *, most: int | None = None) -> Iterator[Path]:
    """Directories at or below `folder` that look like results, in the order of their paths.

    Args:
        most: how many directories are looked into at most; all without it.
    """
    for path, names, files in islice(os.walk(folder), most):
        if results.EVAL in files or {results.SUMMARY, results.SAMPLES} <= set(files):
            names.clear()
            yield Path(path)
        else:
            no_result = _OF_A_RUN if _METRICS in files else ()
            names[:] = sorted(
                name
                for name in names
                if results.ASIDE not in name and not name.startswith(no_result)
            )
