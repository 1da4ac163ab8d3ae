"""Countries with their median error, in any order: what stands beside the map that they colour."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from geospot.places.outlines import outlines
from geospot.textsafe import printable
from geospot.tui.atlas.classes import ERRORS
from geospot.tui.inks import inks_for
from geospot.tui.placed import FEW, CountryFigures
from geospot.tui.widgets.table import Cell, Cells, Column, Table

_COLUMNS: Final = (
    Column("name", "country", 11, flexible=True),
    Column("n", "n", 6, "right"),
    Column("median_km", "median", 8, "right"),
    Column("within_750_km", "<750", 4, "right"),
)


class CountryTable(Table):
    """The countries of some answers; `list_countries` gives them, and the order stays."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(_COLUMNS, id=id)
        self.figures: Sequence[CountryFigures] = ()
        """The countries in the order of the rows."""
        self._sort, self._descending = "n", True

    def list_countries(self, figures: Sequence[CountryFigures]) -> None:
        """Lists them, in the order that was chosen last."""
        if self._sort == "name":
            shown = sorted(figures, key=lambda one: one.name.casefold(), reverse=self._descending)
        else:
            by = self._sort
            shown = sorted(figures, key=lambda one: getattr(one, by), reverse=self._descending)
        self.figures = shown
        small = _too_small(shown)
        order = (self._sort, self._descending)
        self.show(len(shown), lambda row: self._country(shown[row], small), sorted_by=order)

    def sort_by(self, key: str) -> None:
        """Orders by a column; once more, the other way round."""
        self._descending = not self._descending if key == self._sort else key != "name"
        self._sort = key
        self.list_countries(self.figures)

    def sort_by_next(self) -> None:
        """Orders by the next column."""
        keys = [column.key for column in _COLUMNS]
        self.sort_by(keys[(keys.index(self._sort) + 1) % len(keys)])

    @property
    def notes(self) -> str:
        """What its numbers and marks mean."""
        notes = ["median and <750 in km", "enter looks at one", "tab to the map"]
        notes += [f"~ under {FEW} answers"] if any(one.is_weak for one in self.figures) else []
        notes += ["* too small for the map"] if _too_small(self.figures) else []
        return " · ".join(notes)

    def _country(self, one: CountryFigures, small: Collection[str]) -> Cells:
        each = int(ERRORS.of(np.array([one.median_km]))[0])
        ink = f"#{ERRORS.inks(inks_for(self))[each]:06x}"
        star = "*" if one.code in small else ""
        return [
            printable(f"{one.name}{star}", limit=60),
            f"{'~' if one.is_weak else ''}{one.n:,}",
            Cell(f"{one.median_km:,.0f} {ERRORS.letters[each]}", ink),
            f"{one.within_750_km:.0%}",
        ]


def _too_small(figures: Sequence[CountryFigures]) -> Collection[str]:
    """Codes of those that the map has no outline of."""
    return {one.code for one in figures} - set(outlines().codes)
