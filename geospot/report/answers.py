"""The answers that a report shows in full: the best, the worst, the most typical, and failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geospot.evaluation.following import OUTCOMES, Answers, read_answer
from geospot.textsafe import printable

IntArray = npt.NDArray[np.int64]

EACH: Final = 6
"""Answers of each sort."""
_TEXT: Final = 600


@dataclass(frozen=True)
class Shown:
    """An answer as it is shown. Everything that came from outside is on one line and printable."""

    id: str
    raw_id: str
    outcome: str
    distance_km: float | None
    truth: str
    said: str
    text: Sequence[str]
    """The model's words, line by line, cut after some hundred characters."""


def chosen(answers: Answers) -> Mapping[str, IntArray]:
    """Rows of the best, worst and most typical answers, and of failures, in this order.

    The most typical are those about the median distance. Equal distances stand in the order of the file.
    """
    answered_A = np.flatnonzero(answers.answered_N)
    order_A = answered_A[np.argsort(answers.distance_km_N[answered_A], kind="stable")]
    middle = max((len(order_A) - EACH) // 2, 0)
    return {
        "The nearest": order_A[:EACH],
        "The most typical (about the median)": order_A[middle : middle + EACH],
        "The farthest": order_A[::-1][:EACH],
        "Failures": np.flatnonzero(~answers.answered_N)[:EACH],
    }


def shown(folder: Path, answers: Answers, row: int) -> Shown:
    """An answer of a result directory, read from its file."""
    record = read_answer(folder, int(answers.columns_N["offset"][row])) or {}
    is_answered = bool(answers.answered_N[row])
    text = str(record.get("text") or record.get("error") or "")
    labels = _words(record.get("labels"))
    place = _words(record.get("place"))
    return Shown(
        id=printable(answers.ids[row], limit=80),
        raw_id=answers.ids[row],
        outcome=OUTCOMES[int(answers.outcome_N[row])],
        distance_km=float(answers.distance_km_N[row]) if is_answered else None,
        truth=_place(labels, answers.point(row, true=True)),
        said=_place(place, answers.point(row, true=False)),
        text=[printable(line) for line in text[:_TEXT].splitlines()[:12]]
        + (["…"] if len(text) > _TEXT else []),
    )


def _words(value: object) -> str:
    """City, region and country of a record's part, as far as it has them."""
    if not isinstance(value, dict):
        return ""
    part: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
    names = [part.get(level) for level in ("city", "region", "country")]
    return printable(", ".join(name for name in names if isinstance(name, str)), limit=120)


def _place(names: str, point: tuple[float, float]) -> str:
    if not np.isfinite(point).all():
        return names or "–"
    at = f"{point[0]:.4f}, {point[1]:.4f}"
    return f"{names} ({at})" if names else at
