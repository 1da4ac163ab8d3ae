"""How long was asked, over all sessions, from the events that a killed process leaves behind."""

import math
from pathlib import Path

from geospot.durable import number, parse_row
from geospot.evaluation.results import EVENTS


def seconds_asking(directory: Path) -> float:
    """Wall time in seconds from each session's start to its last event, added up.

    A session that was killed is counted up to the last event it wrote, at most some ten seconds
    short. Zero without events, as in a result scored from a file.
    """
    path = directory / EVENTS
    if not path.is_file():
        return 0.0
    total = 0.0
    last: float | None = None
    with path.open("rb") as lines:
        for line in lines:
            event = parse_row(line) or {}  # nothing where a kill tore it
            moment, name = number(event.get("time")), event.get("event")
            if not math.isfinite(moment):
                continue
            if last is not None and name != "session":
                total += max(0.0, moment - last)  # a clock that was set back takes no time away
            last = None if name == "session_end" else moment
    return round(total, 3)
