"""What a run has saved: its checkpoints, and the evaluations that it made on its way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from geospot.durable import parse_row
from geospot.numbertext import compact
from geospot.runs.checkpoints import FINAL, RunCheckpoint
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.widgets.table import Cells, Column, Table

_SUMMARY: Final = "summary.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation on the way: its directory and its figures, None while it is under way."""

    folder: Path
    n: int | None = None
    geoscore: float | None = None
    median_km: float | None = None
    coverage: float | None = None
    is_complete: bool = False


def read_evaluation(folder: Path) -> Evaluation:
    """The figures of a result directory; blocks. What can't be read is None."""
    try:
        row = parse_row((folder / _SUMMARY).read_bytes())
    except OSError:
        row = None
    if row is None:
        return Evaluation(folder)
    overall = row.get("all")
    figures = cast(dict[str, Any], overall) if isinstance(overall, dict) else {}
    n = _number(row.get("n"))
    return Evaluation(
        folder,
        None if n is None else int(n),
        _number(figures.get("geoscore")),
        _number(figures.get("median_km")),
        _number(row.get("coverage")),
        row.get("complete") is True,
    )


def read_evaluations(folders: Sequence[Path]) -> list[Evaluation]:
    """All of them, in their order; blocks."""
    return [read_evaluation(folder) for folder in folders]


class Saved(Vertical):
    """Two tables: checkpoints, evaluations."""

    DEFAULT_CSS = """
    Saved { height: 1fr; }
    Saved > Static { height: 1; padding: 0 1; text-style: bold; margin-top: 1; }
    Saved > #saved-checkpoints-name { margin-top: 0; }
    Saved > Table { height: 1fr; }
    Saved > .nothing { display: none; height: 1fr; color: $text-muted; text-style: none; }
    """

    class CheckpointChosen(Message):
        """A checkpoint was chosen."""

        def __init__(self, checkpoint: RunCheckpoint) -> None:
            super().__init__()
            self.checkpoint = checkpoint

    class EvaluationChosen(Message):
        """An evaluation was chosen."""

        def __init__(self, evaluation: Evaluation) -> None:
            super().__init__()
            self.evaluation = evaluation

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._checkpoints: Sequence[RunCheckpoint] = ()
        self._evaluations: Sequence[Evaluation] = ()

    def compose(self) -> ComposeResult:
        """Checkpoints above, evaluations below."""
        yield Static("Checkpoints", id="saved-checkpoints-name", markup=False)
        yield Table(
            [
                Column("name", "Name", 12),
                Column("step", "Step", 9, "right"),
                Column("marks", "", 10),
                Column("state", "To go on from", 14, flexible=True, priority=1),
                Column("sampler", "To ask", 14, flexible=True, priority=2),
            ],
            id="saved-checkpoints",
        )
        yield Static("", id="saved-no-checkpoints", classes="nothing", markup=False)
        yield Static("Evaluations on the way", id="saved-evaluations-name", markup=False)
        yield Table(
            [
                Column("name", "Evaluation", 14, flexible=True),
                Column("n", "Photos", 8, "right"),
                Column("geoscore", "GeoScore", 9, "right"),
                Column("median", "Median km", 10, "right"),
                Column("coverage", "Answered", 9, "right"),
                Column("complete", "", 12),
            ],
            id="saved-evaluations",
        )
        yield Static("", id="saved-no-evaluations", classes="nothing", markup=False)

    def show(self, state: RunState, evaluations: Sequence[Evaluation]) -> None:
        """Shows what a run has saved; newest first."""
        self._checkpoints = tuple(reversed(state.checkpoints))
        self._evaluations = tuple(reversed(evaluations))
        every = state.config.get("save_every")
        hint = (
            f" One is saved every {every} steps,"
            if isinstance(every, int)
            else " One is saved now and then,"
        )
        self._fill("checkpoints", len(self._checkpoints), self._checkpoint_cells,
                   f"None yet.{hint} and where the run is stopped.")  # fmt: skip
        every = state.config.get("eval_every")
        hint = "None: eval_every=0." if every == 0 else "None yet."
        self._fill("evaluations", len(self._evaluations), self._evaluation_cells,
                   f"{hint} e evaluates a checkpoint now.")  # fmt: skip

    def _fill(self, name: str, count: int, cells: Callable[[int], Cells], nothing: str) -> None:
        table = self.query_one(f"#saved-{name}", Table)
        table.display = count > 0
        table.show(count, cells)
        words = self.query_one(f"#saved-no-{name}", Static)
        words.display = not count
        words.update(nothing)

    def _checkpoint_cells(self, row: int) -> Cells:
        one = self._checkpoints[row]
        marks = [
            "final" if one.name == FINAL else "",
            "evaluation" if one.extra.get("evaluation") else "",
            "diverged" if one.diverged else "",
        ]
        return (
            printable(one.name),
            "" if one.batch is None else f"{one.batch:,}",
            " ".join(mark for mark in marks if mark),
            printable(one.state_path or "–"),
            printable(one.sampler_path or "–"),
        )

    def _evaluation_cells(self, row: int) -> Cells:
        one = self._evaluations[row]
        if one.n is None:
            return (printable(one.folder.name), "", "", "", "", "under way")
        return (
            printable(one.folder.name),
            f"{one.n:,}",
            _shown(one.geoscore),
            _shown(one.median_km),
            "–" if one.coverage is None else f"{one.coverage:.1%}",
            "" if one.is_complete else "incomplete",
        )

    @property
    def checkpoint(self) -> RunCheckpoint | None:
        """The checkpoint under the cursor."""
        place = self.query_one("#saved-checkpoints", Table).cursor
        return self._checkpoints[place] if place < len(self._checkpoints) else None

    def focus_first(self) -> None:
        """Gives the keys to the first table that has rows."""
        for name in ("checkpoints", "evaluations"):
            table = self.query_one(f"#saved-{name}", Table)
            if table.display:
                table.focus()
                return

    def on_table_selected(self, event: Table.Selected) -> None:
        """Tells what was chosen."""
        event.stop()
        if event.table.id == "saved-checkpoints":
            self.post_message(self.CheckpointChosen(self._checkpoints[event.row]))
        else:
            self.post_message(self.EvaluationChosen(self._evaluations[event.row]))


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _shown(value: float | None) -> str:
    return "–" if value is None else compact(value, 4)
