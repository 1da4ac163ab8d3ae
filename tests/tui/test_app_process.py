"""The app as all that a process does."""

import subprocess
import sys

_PROGRAM = """
import asyncio, gc
from geospot.tui.app import GeospotApp

told = []
async def look(pilot):
    for _ in range(600):
        if gc.get_freeze_count():
            break
        await pilot.pause(0.1)
    told.append((gc.get_freeze_count(), len(gc.get_objects()), gc.get_threshold()[0]))
    await pilot.press("q")

GeospotApp(()).run(headless=True, auto_pilot=look)
print(*told[0])
"""


def test_what_stays_is_out_of_the_garbage_collectors_sight() -> None:
    """A collection of everything takes 40 ms, in which no key is looked at."""
    said = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM], capture_output=True, text=True, timeout=240
    )
    assert said.returncode == 0, said.stderr
    frozen, in_sight, threshold = map(int, said.stdout.split())
    assert frozen > 40_000
    assert in_sight < frozen / 2
    assert threshold > 700
