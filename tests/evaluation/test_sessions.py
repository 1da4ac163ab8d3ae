"""How long was asked: over sessions, kills, and a clock that is set."""

import json
from pathlib import Path

import pytest

from geospot.evaluation.sessions import seconds_asking


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([], 0.0),
        ([("session", 100), ("progress", 110), ("session_end", 115.5)], 15.5),
        ([("session", 100), ("progress", 110), ("session", 900), ("session_end", 905)], 15.0),
        ([("session", 100), ("progress", 110), ("progress", 20), ("session_end", 25)], 15.0),
        ([("session", 100), ("session_end", 110), ("canary", 90_000)], 10.0),
    ],
    ids=["nothing", "one", "killed between", "clock set back", "canary a day later"],
)
def test_seconds(events: list[tuple[str, float]], seconds: float, tmp_path: Path) -> None:
    lines = [json.dumps({"event": name, "time": moment}) for name, moment in events]
    (tmp_path / "events.jsonl").write_text("".join(f"{line}\n" for line in lines) + '{"torn')
    assert seconds_asking(tmp_path) == seconds


def test_a_scored_file_took_no_time(tmp_path: Path) -> None:
    assert seconds_asking(tmp_path) == 0.0
