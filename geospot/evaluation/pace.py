"""How fast answers came in an earlier result of the same model: what says best how long others will take."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from geospot.errors import GeospotError
from geospot.evaluation.results import ASIDE, EVAL, SUMMARY, read_json
from geospot.evaluation.standing import section

_LEAST_ANSWERS: Final = 20
"""Of fewer, most of the time is the model's start."""

_MOST_FOLDERS: Final = 500


@dataclass(frozen=True, slots=True)
class Pace:
    """What a result took."""

    folder: Path
    answers_a_second: float
    concurrency: int | None
    """How many were asked at a time, None where it isn't known."""


def find_pace(folder: Path, described: Mapping[str, Any]) -> Pace | None:
    """The pace of the newest complete result directly in `folder` that asked the same model, if there is one.

    Args:
        described: what the backend says of itself, as in eval.json.
    """
    for result in _newest_first(folder):
        try:
            manifest, summary = read_json(result / EVAL) or {}, read_json(result / SUMMARY) or {}
        except GeospotError:
            continue
        seconds, outcomes = summary.get("seconds"), section(summary, "outcomes")
        answers = sum(count for count in outcomes.values() if isinstance(count, int))
        if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            continue  # it was scored from a file
        if answers < _LEAST_ANSWERS or summary.get("complete") is not True:
            continue
        if _is_same(section(manifest, "backend"), described):
            concurrency = section(manifest, "config").get("concurrency")
            known = concurrency if isinstance(concurrency, int) else None
            return Pace(result, answers / seconds, known)
    return None


def _newest_first(folder: Path) -> list[Path]:
    """Directories that have a summary, those whose summary was written last first."""
    found: list[tuple[float, Path]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if ASIDE in entry.name:
                    continue
                try:
                    written_s = (Path(entry.path) / SUMMARY).stat().st_mtime
                except OSError:
                    continue
                found.append((written_s, Path(entry.path)))
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)[:_MOST_FOLDERS]]


def _is_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether both ask the same model, or what was made of the same base model, in the same place."""
    if any(before.get(key) != now.get(key) for key in ("name", "base_url")):
        return False
    return before.get("model") == now.get("model") or _base(before) == _base(now)


def _base(backend: Mapping[str, Any]) -> Any:
    trained = section(backend, "run") or section(backend, "exported")
    return backend.get("base_model") or trained.get("model_name") or backend.get("model")
