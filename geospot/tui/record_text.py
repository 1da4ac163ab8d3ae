"""An answer of a model in full: what it says, what was read in it, and how far off that is."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from rich.text import Text

from geospot.evaluation.standing import section
from geospot.textsafe import printable

LONGEST: Final = 20_000
"""Characters of a text that are shown; the rest is counted."""


def safe_lines(text: str, longest: int = LONGEST) -> str:
    """Text of several lines with nothing in it that a terminal would act on."""
    shown = text[:longest].replace("\r\n", "\n")
    lines = "\n".join(printable(line) for line in shown.split("\n"))
    left = len(text) - longest
    return f"{lines}\n… {left:,} more characters" if left > 0 else lines


def answer_text(record: Mapping[str, Any]) -> Text:
    """A record of samples.jsonl for reading; whatever is odd in it is shown as it is."""
    text = Text()
    outcome = str(record.get("outcome"))
    head = [outcome]
    if outcome == "ok":
        head += [
            _figure(record.get("distance_km"), " km"),
            f"GeoScore {_figure(record.get('geoscore'))}",
        ]
    _line(text, "", " · ".join(head), "bold")
    _line(text, "true", _place(record, "true_", section(record, "labels")))
    _line(text, "said", _place(record, "", section(record, "place")))
    for name in ("note", "error"):
        if record.get(name):
            _line(text, name, str(record[name]))
    _line(text, "", _spent(record), "dim")
    text.append("\n")
    said = record.get("text")
    text.append(safe_lines(said) if isinstance(said, str) and said else "(no text)")
    return text


def answers_text(records: Sequence[Mapping[str, Any]]) -> Text:
    """Several answers to one image, one after the other."""
    if not records:
        return Text("There is no answer to this image (any more).", "dim")
    text = Text()
    for record in records:
        text.append("\n\n" if text else "")
        if len(records) > 1:
            text.append(f"answer {record.get('draw', 0)}\n", "bold")
        text.append_text(answer_text(record))
    return text


def _line(text: Text, name: str, value: str, style: str = "") -> None:
    if name:
        text.append(f"{name}  ", "dim")
    text.append(printable(value) + "\n", style)


def _place(record: Mapping[str, Any], before: str, names: Mapping[str, Any]) -> str:
    degrees = [record.get(f"{before}{axis}") for axis in ("latitude", "longitude")]
    there = all(isinstance(value, int | float) for value in degrees)
    where = ", ".join(f"{value:.4f}" for value in cast(list[float], degrees)) if there else "–"
    named = ", ".join(
        str(names[level]) for level in ("city", "region", "country") if names.get(level)
    )
    return f"{where}  {named}" if named else where


def _spent(record: Mapping[str, Any]) -> str:
    usage = section(record, "usage")
    parts = [
        f"{usage[name]} tokens {word}"
        for name, word in (("input_tokens", "in"), ("output_tokens", "out"))
        if usage.get(name) is not None
    ]
    latency, attempts = record.get("latency_s"), record.get("attempts")
    parts += [_figure(latency, " s", 2)] if latency else []
    parts += [f"{attempts} attempts"] if isinstance(attempts, int) and attempts > 1 else []
    parts += ["cut off by the token limit"] if record.get("truncated") else []
    parts += ["refused through the protocol"] if record.get("refused") else []
    return " · ".join(parts)


def _figure(value: object, unit: str = "", decimals: int = 1) -> str:
    return f"{value:,.{decimals}f}{unit}" if isinstance(value, int | float) else "–"
