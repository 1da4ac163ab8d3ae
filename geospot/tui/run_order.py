"""Which runs the list shows, and in which order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from geospot.query import Query
from geospot.runs.catalogue import RunSummary
from geospot.tui.run_rows import descends_first, sorted_runs

NEWEST_FIRST: Final = "started"


class RunOrder:
    """A filter and a column to sort by. What was found out about a run is kept until the run changes."""

    def __init__(self) -> None:
        self.query = Query()
        self.key, self.descending = NEWEST_FIRST, True
        self._matching: dict[Path, tuple[RunSummary, bool]] = {}

    @property
    def is_usual(self) -> bool:
        """Whether the newest are first."""
        return self.key == NEWEST_FIRST and self.descending

    def filter_by(self, query: Query) -> None:
        """Shows only what the query lets through."""
        self.query = query
        self._matching.clear()

    def sort_by(self, key: str) -> None:
        """Sorts by a column; by the same again, the other way round."""
        self.descending = not self.descending if key == self.key else descends_first(key)
        self.key = key

    def rows(self, runs: Sequence[Path], summaries: Mapping[Path, RunSummary]) -> Sequence[Path]:
        """The runs that are shown, of `runs`, newest first. Those that aren't read yet are at the end."""
        through = [run for run in runs if self._passes(summaries.get(run))]
        if self.key == NEWEST_FIRST:
            return through if self.descending else through[::-1]
        read = [summaries[run] for run in through if run in summaries]
        ordered = [s.folder for s in sorted_runs(read, self.key, descending=self.descending)]
        return [*ordered, *(run for run in through if run not in summaries)]

    def _passes(self, run: RunSummary | None) -> bool:
        if not self.query.terms:
            return True
        if run is None:
            return False
        known = self._matching.get(run.folder)
        if known is None or known[0] is not run:
            known = run, self.query.matches(run.fields, lambda: _text(run))
            self._matching[run.folder] = known
        return known[1]


def _text(run: RunSummary) -> str:
    """What a word without a key looks through."""
    return " ".join((run.name, run.kind, run.model, run.standing, run.phase, run.reason))
