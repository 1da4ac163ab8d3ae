"""The answers of a group as a list: how far off, what they earned, better or worse than their group."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from geospot.outcomes import Outcome
from geospot.tui.rollout_figures import kilometres, number, signed_bar
from geospot.tui.rollout_groups import Answer, AnswerOrder
from geospot.tui.widgets.table import Cell, Cells, Column, Table

_HALF: Final = 2
_COLUMNS: Final = (
    Column("index", "#", 3),
    Column("km", "km", 6, "right"),
    Column("reward", "reward", 6, "right"),
    Column("advantage", "adv", 2 * _HALF + 1),
)
_LARGE_FIRST: Final = ("reward", "advantage")


class AnswerList(Table):
    """The list. Left and right belong to the groups, page up and down to the answers' texts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Answer above", show=False, tooltip="The answer above"),
        Binding("down,j", "move(1)", "Answer below", show=False, tooltip="The answer below"),
        Binding("home,g", "go(0)", "First answer", show=False, tooltip="The first answer"),
        Binding("end,G", "go(-1)", "Last answer", show=False, tooltip="The last answer"),
        Binding("enter", "select", "One answer", show=False, tooltip="This answer at full width"),
        Binding("left", "screen.group(-1)", "Previous", show=False, tooltip="The photo before"),
        Binding("right", "screen.group(1)", "Next group", show=False, tooltip="The next photo"),
        Binding("pageup", "screen.scroll(-1)", "Page up", show=False, tooltip="Scroll the answers"),
        Binding(
            "pagedown", "screen.scroll(1)", "Page down", show=False, tooltip="Scroll the answers"
        ),
    ]

    def __init__(self) -> None:
        super().__init__(_COLUMNS)
        self.order: AnswerOrder = "index"
        self.is_descending = False
        self._answers: Sequence[Answer] = ()
        self._most = 1.0

    def show_answers(self, answers: Sequence[Answer], most_advantage: float, chosen: int) -> None:
        """Shows answers with the cursor on one; `most_advantage` fills the bars."""
        self._answers, self._most = answers, most_advantage
        self.show(
            len(answers),
            self._answer_cells,
            cursor=chosen,
            sorted_by=(self.order, self.is_descending),
        )

    def sort_by(self, key: str) -> None:
        """Sorts by a column; by the same one the other way round."""
        for column in _COLUMNS:
            if column.key == key and key in ("index", "km", "reward", "advantage"):
                same = key == self.order
                self.is_descending = not self.is_descending if same else key in _LARGE_FIRST
                self.order = key

    def _answer_cells(self, row: int) -> Cells:
        answer = self._answers[row]
        style = "" if answer.is_hit else "dim"
        mark = "" if answer.last.outcome is Outcome.OK else "✗"
        return (
            Cell(f"{answer.first.index}{mark}", style),
            Cell(kilometres(answer.distance_km).removesuffix(" km"), style),
            Cell(number(answer.reward), style),
            Cell(signed_bar(answer.advantage, self._most, _HALF), style),
        )
