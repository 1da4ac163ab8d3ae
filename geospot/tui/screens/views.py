"""What a screen with views of one thing is made of, one of which is a list that is filtered and sorted."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from textual.binding import Binding

from geospot.query import Query
from geospot.tui.screen import GeoScreen
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.panes import Panes

VIEW_KEYS: Final[Sequence[Binding]] = (
    Binding("tab", "view(1)", "Next view", tooltip="The next of the names at the top"),
    Binding("shift+tab", "view(-1)", "View before", show=False, tooltip="The view before"),
)
"""Stand first among the keys of such a screen; a base's keys would come last."""


class ViewsScreen(GeoScreen):
    """Turns through its `Panes`, and filters the list. The subclass puts the list in order."""

    LIST: ClassVar[str]
    """Name of the view with the list."""

    def __init__(self) -> None:
        super().__init__()
        self.order_N: npt.NDArray[np.int64] = np.empty(0, np.int64)
        """Rows of what is listed, as they are shown."""
        self.query_said = Query()

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

    def reorder(self) -> None:
        """Puts the list in order beside the screen; an order that was wanted before is given up."""

        async def reorder() -> None:
            await self.put_in_order()
            self.say()

        self.run_worker(reorder(), exclusive=True, group="order")

    def action_filter(self) -> None:
        """Types a filter for the list."""
        self.panes.show(self.LIST)
        self.query_one(FilterBar).open()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Shows what the filter keeps."""
        self.query_said = event.query
        if event.query.words:
            self.say_status("looking through the texts of the answers…")
        self.reorder()
