"""One answer in three lines: which it is, where the photo was taken, and what was said."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from rich.text import Text
from textual.widgets import Static

from geospot.textsafe import printable
from geospot.tui.inks import Inks

_LONGEST: Final = 200


@dataclass(frozen=True)
class Reading:
    """What is known of an answer. `true` and `said` are (latitude, longitude), NaN where unknown."""

    place: str
    """Which one it is, such as `3 of 512`."""
    id: str
    outcome: str
    km: float
    true: tuple[float, float]
    said: tuple[float, float]
    letter: str
    ink: int
    """Of its class of distance."""
    where: str = ""
    """Step and group, in a run."""
    record: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The answer itself, once it is read."""


class Readout(Static):
    """Shows a `Reading`; without one, what to do to get one."""

    DEFAULT_CSS = """
    Readout {
        height: 3; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, markup=False)

    def teach(self, *lines: str) -> None:
        """Says what can be done."""
        self.update(Text("\n".join(printable(line) for line in lines), "dim", no_wrap=True))

    def read(self, reading: Reading, inks: Inks) -> None:
        """Shows one answer."""
        is_ok = reading.outcome == "ok"
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{reading.place}  ", "dim")
        km = f"{_km(reading.km)} km" if is_ok else "no place"
        colour = f"#{reading.ink if is_ok else inks.bad:06x}"
        text.append(km, f"bold {colour}")
        text.append(f" {reading.letter}" if is_ok and not inks.has_colour else "")
        text.append(f"  {printable(reading.outcome)}", "" if is_ok else f"bold {colour}")
        text.append(f"  {printable(reading.id, limit=_LONGEST)}")
        text.append(f"  {printable(reading.where)}\n" if reading.where else "\n", "dim")
        record = reading.record
        for name, place, key in (("true", reading.true, "labels"), ("said", reading.said, "place")):
            text.append(f"{name}  ", "dim")
            text.append(f"{position(place):19}  ")
            text.append(printable(_names(record.get(key)), limit=_LONGEST))
            if key == "place":
                text.append(f"  {_note(record)}", "dim")
            else:
                text.append("\n")
        self.update(text)


def position(place: tuple[float, float]) -> str:
    """Latitude and longitude as a person writes them; a dash where there is none."""
    latitude, longitude = place
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return "–"
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.3f}°{north} {abs(longitude):.3f}°{east}"


def _km(km: float) -> str:
    return f"{km:,.0f}" if km >= 100 else f"{km:.1f}"


def _names(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    names = cast(dict[str, Any], value)
    return ", ".join(str(names[k]) for k in ("city", "region", "country") if names.get(k))


def _note(record: Mapping[str, Any]) -> str:
    """Why there is no place, or the beginning of a text in which none was found."""
    note = record.get("note") or record.get("error")
    text = record.get("text")
    is_silent = record.get("outcome") != "ok" and not _names(record.get("place"))
    if is_silent and isinstance(text, str) and text.strip():
        shown = printable(" ".join(text[:_LONGEST].split()), limit=_LONGEST)
        return f"({printable(str(note), limit=60)}) {shown}" if note else shown
    return printable(str(note), limit=_LONGEST) if note else ""
