"""What screens with a list are made of, which is filtered and sorted; the list may be one of some views."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from textual.binding import Binding

from geospot.query import Query
from geospot.tui.screen import GeoScreen
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.panes import Panes
from geospot.tui.widgets.table import Table

VIEW_KEYS: Final[Sequence[Binding]] = (
    Binding("tab", "view(1)", "Next view", tooltip="The next of the names at the top"),
    Binding("shift+tab", "view(-1)", "View before", show=False, tooltip="The view before"),
)
"""Stand first among the keys of such a screen; a base's keys would come last."""


class ListScreen(GeoScreen):
    """Sorts and filters its list by the same keys as every list. The subclass shows it."""

    SORTS: ClassVar[Sequence[str]]
    """Columns by which the key sorts, one after the other; a click sorts by any."""
    DESCENDING: ClassVar[frozenset[str]]
    """Columns in which more comes first when they are chosen; in all others less does."""

    def __init__(self, sort: str, *, descending: bool = False) -> None:
        super().__init__()
        self.sort, self.descending = sort, descending
        self.query_said = Query()

    def list_anew(self) -> None:
        """Shows the list as `sort`, `descending` and `query_said` have it now."""
        raise NotImplementedError

    def sort_by(self, key: str) -> None:
        """Sorts by a column; once more turns it round."""
        self.descending = not self.descending if key == self.sort else key in self.DESCENDING
        self.sort = key
        self.list_anew()

    def action_sort(self) -> None:
        """Sorts by the next column."""
        place = self.SORTS.index(self.sort) if self.sort in self.SORTS else -1
        self.sort_by(self.SORTS[(place + 1) % len(self.SORTS)])

    def action_reverse(self) -> None:
        """Turns the order round."""
        self.sort_by(self.sort)

    def on_table_header_clicked(self, event: Table.HeaderClicked) -> None:
        """Sorts by the column; Textual calls this of every class, so a subclass has `header_clicked`."""
        self.header_clicked(event.table, event.key)

    def header_clicked(self, table: Table, key: str) -> None:
        """Sorts a table by a column; once more turns it round."""
        del table
        self.sort_by(key)

    def action_filter(self) -> None:
        """Types a filter for the list."""
        self.query_one(FilterBar).open()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Shows what the filter keeps."""
        self.query_said = event.query
        self.list_anew()


class ViewsScreen(ListScreen):
    """Turns through its `Panes`, of which one holds the list. The subclass puts the list in order."""

    LIST: ClassVar[str]
    """Name of the view with the list."""

    def __init__(self, sort: str, *, descending: bool = False) -> None:
        super().__init__(sort, descending=descending)
        self.order_N: npt.NDArray[np.int64] = np.empty(0, np.int64)
        """Rows of what is listed, as they are shown."""

    async def put_in_order(self) -> None:
        """Shows the list sorted, with what `query_said` keeps."""
        raise NotImplementedError

    def say(self) -> None:
        """Says in the status line what is shown."""
        raise NotImplementedError

    @property
    def panes(self) -> Panes:
        """The views."""
        return self.query_one(Panes)

    def action_view(self, by: int) -> None:
        """Another view."""
        self.panes.next(by)
        self.say()

    def action_show(self, name: str) -> None:
        """A view by its name."""
        self.panes.show(name)
        self.say()

    def list_anew(self) -> None:
        """Puts the list in order beside the screen; an order that was wanted before is given up."""

        async def reorder() -> None:
            await self.put_in_order()
            self.say()

        if self.query_said.words:
            self.say_status("looking through the texts of the answers…")
        self.order_anew(reorder)

    def action_filter(self) -> None:
        """Types a filter for the list, which is shown."""
        self.panes.show(self.LIST)
        super().action_filter()
