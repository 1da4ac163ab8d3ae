"""Scoring millions of predictions, and the bootstrap, beside the obvious ways to write them."""

from typing import Final

from benchmarks.candidates import ask
from benchmarks.environments import PLACES
from benchmarks.records import Table

NAME: Final = "Scoring and bootstrap"
_NOTES: Final = """\
Processor time on one thread, so that other people's work counts little and a second core doesn't help.
Scores are GeoScore, mean and median distance and five accuracies. The naive bootstrap is timed on 20
resamples and multiplied; ours draws all 1,000.
"""


def main(quick: bool) -> Table:
    """The table. A full run takes about four minutes."""
    found = ask(PLACES, "benchmarks.scoring_work", "quick" if quick else "full")
    if isinstance(found, str):
        return Table(notes=f"Not measured: geopy and haversine can't be installed here: {found}")
    return Table(found, PLACES.versions, _NOTES)
