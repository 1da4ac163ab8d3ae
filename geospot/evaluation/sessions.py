"""How long was asked, over all sessions, from the events that a killed process leaves behind."""

import json
from pathlib import Path
from typing import Any

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
            event = _event(line)
            if event is None:
                continue
            moment = float(event["time"])
            if last is not None and event["event"] != "session":
                total += max(0.0, moment - last)  # a clock that was set back takes no time away
            last = None if event["event"] == "session_end" else moment
    return round(total, 3)


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event: Any = json.loads(line)
    except ValueError:
        return None  # torn by a kill
    if isinstance(event, dict) and isinstance(event.get("time"), int | float) and "event" in event:  # pyright: ignore[reportUnknownMemberType]
        return event  # pyright: ignore[reportUnknownVariableType]
    return None
