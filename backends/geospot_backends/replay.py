"""Answers that were recorded before: a CSV or JSONL file is asked instead of a model.

Columns (header names in any case): `id`; `text`, the raw answer; `latitude`/`lat` and
`longitude`/`lon`/`lng`; optionally `draw` (0 for the first answer), and `city`, `region`, `country`.
An answer's text wins over its coordinates; a row with neither, or whose coordinates are no numbers,
is an empty answer. Coordinates with place names are given back as the five lines that the default
prompt asks for, so that the names are scored too. A geospot `samples.jsonl` is such a file.
"""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from geospot.errors import UsageError
from geospot.evaluation.backend import BackendFault, BackendOptions, Question, Reply
from geospot.textsafe import printable

_LATITUDE: Final = ("latitude", "lat")
_LONGITUDE: Final = ("longitude", "lon", "lng")
_PLACES: Final = ("city", "region", "country")
_NEVER_ANSWERED: Final = frozenset(["missing", "transport_error", "image_error"])
"""Outcomes of a `samples.jsonl` line that holds no answer."""
_FIELD_LIMIT: Final = 16 * 1024 * 1024

Answer = str | tuple[float, float]


def create(options: BackendOptions) -> "ReplayBackend":
    """Entry point of `--backend replay`; reads the file that `--model` names."""
    if not options.model:
        raise UsageError(
            "The replay backend needs a file of recorded answers.", "Name it: --model answers.csv."
        )
    return ReplayBackend(Path(options.model).expanduser())


class ReplayBackend:
    """Gives back what a file says, by sample id and draw."""

    name = "replay"
    needs_image = False
    remote = False

    def __init__(self, path: Path) -> None:
        self.model = path.stem
        self._path = path
        self._answers = _load(path)

    async def check(self) -> None:
        """The file was read when the backend was made."""

    async def ask(self, question: Question) -> Reply:
        """The recorded answer.

        Raises:
            BackendFault: `missing`, the file has none for this id and draw.
        """
        answer = self._answers.get((question.sample_id, question.draw))
        if answer is None:
            nth = f", draw {question.draw}" if question.draw else ""
            raise BackendFault(
                "missing", f"{self._path.name} has no row for {question.sample_id}{nth}."
            )
        return Reply(answer) if isinstance(answer, str) else Reply("", coordinates=answer)

    def describe(self) -> dict[str, Any]:
        """Which file, by name and content."""
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": self._path.name, "sha256": digest, "answers": len(self._answers)}

    async def aclose(self) -> None:
        """Nothing is open."""


def _load(path: Path) -> dict[tuple[str, int], Answer]:
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", "Name a CSV or JSONL of recorded answers.")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path.name} is neither .csv nor .jsonl.", "Recorded answers come as one of the two."
        )
    answers: dict[tuple[str, int], Answer] = {}
    try:
        for line, row in reader(path):
            where = f"{path.name}, line {line}"
            key = _key(row, where)
            if row.get("outcome") in _NEVER_ANSWERED:
                continue
            if key in answers:
                raise UsageError(
                    f"{where}: a second answer for id {printable(key[0], limit=80)!r}.",
                    "Keep one row an id, or number the answers in a column draw (0, 1, …).",
                )
            answers[key] = _answer(row)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 text.", "Save it as UTF-8.") from error
    return answers


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(_FIELD_LIMIT)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            names = [name.strip().lower() for name in next(rows, list[str]())]
            _check_columns(names, path)
            for row in rows:
                if not row:
                    continue
                if len(row) != len(names):
                    raise UsageError(
                        f"{path.name}, line {rows.line_num}: {len(row)} fields, "
                        f"but the header has {len(names)}.",
                        "Quote texts that contain commas or line breaks.",
                    )
                yield rows.line_num, dict(zip(names, row, strict=True))
        except csv.Error as error:
            raise UsageError(
                f"{path.name}, line {rows.line_num} is not CSV: {error}.",
                "Quote texts that contain commas, quotes or line breaks.",
            ) from error


def _check_columns(names: list[str], path: Path) -> None:
    has_answer = "text" in names or (
        not set(_LATITUDE).isdisjoint(names) and not set(_LONGITUDE).isdisjoint(names)
    )
    if "id" not in names or not has_answer:
        there = printable(", ".join(names), limit=300) or "none"
        raise UsageError(
            f"{path.name}, line 1: a column id, and text or latitude and longitude, are needed.",
            f"The columns there are: {there}.",
        )


def _jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(
                    f"{path.name}, line {number} is not JSON: {error}.",
                    "Each line must be one JSON object.",
                ) from error
            if not isinstance(row, dict):
                raise UsageError(
                    f"{path.name}, line {number} is not a JSON object.",
                    'Write lines such as {"id": "17", "text": "…"}.',
                )
            yield number, {str(k).lower(): v for k, v in cast(dict[Any, Any], row).items()}


def _key(row: Mapping[str, Any], where: str) -> tuple[str, int]:
    raw_id = row.get("id")
    sample_id = str(raw_id).strip() if isinstance(raw_id, str | int) else ""
    if not sample_id or isinstance(raw_id, bool):
        raise UsageError(
            f"{where}: no id.", "Every row needs the id of its sample, as a text or a whole number."
        )
    draw = str(row.get("draw", "0")).strip() or "0"
    if not (draw.isascii() and draw.isdecimal()):
        raise UsageError(
            f"{where}: the draw {printable(draw, limit=40)!r} is no number.", "Count from 0."
        )
    return sample_id, int(draw)


def _answer(row: Mapping[str, Any]) -> Answer:
    text = row.get("text")
    if isinstance(text, str) and text.strip():
        return text
    latitude, longitude = _number(row, _LATITUDE), _number(row, _LONGITUDE)
    if latitude is None or longitude is None:
        return ""
    named = [
        f"{name.capitalize()}: {printable(value.strip())}"
        for name in _PLACES
        if isinstance(value := row.get(name), str) and value.strip()
    ]
    if not named:
        return latitude, longitude
    return "\n".join([*named, f"Latitude: {latitude:.8f}", f"Longitude: {longitude:.8f}"])


def _number(row: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """The first of these columns that is there, as a finite number."""
    raw = next((row[name] for name in names if name in row), None)
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
