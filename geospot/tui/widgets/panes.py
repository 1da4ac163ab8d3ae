"""Several views of one thing: one is seen; where there is room, the first stays beside the others."""

from collections.abc import Mapping
from typing import Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

_GAP: Final = 3


class Panes(Widget):
    """A line of names above the views.

    Args:
        views: the views by their names as shown; a name's key, if it has one, stands in front of it.
        beside: cells of the first view where it stays beside the others.
        wide: from how many cells on it does.
    """

    DEFAULT_CSS = """
    Panes { height: 1fr; layout: vertical; }
    Panes > #panes-names { height: 1; padding: 0 1; background: $surface; }
    Panes > Horizontal { height: 1fr; }
    Panes > Horizontal > * { width: 1fr; }
    """

    class Shown(Message):
        """Another view is seen; `name` is as given."""

        def __init__(self, panes: "Panes", name: str) -> None:
            super().__init__()
            self.panes, self.name = panes, name

        @property
        def control(self) -> "Panes":
            """The views."""
            return self.panes

    def __init__(
        self, views: Mapping[str, Widget], *, beside: int, wide: int, id: str | None = None  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__(id=id)
        self.views = dict(views)
        self._beside, self._wide = beside, wide
        self.shown = next(iter(views))

    def compose(self) -> ComposeResult:
        """Names, then views."""
        yield Static("", id="panes-names", markup=False)
        yield Horizontal(*self.views.values())

    def on_mount(self) -> None:
        """Shows the first."""
        self._apply()

    def on_resize(self, _event: events.Resize) -> None:
        """The first view comes beside the others, or is one of them."""
        self._apply()

    @property
    def is_wide(self) -> bool:
        """Whether the first view stays."""
        return self.size.width >= self._wide

    def show(self, name: str) -> None:
        """Shows a view, and gives it the focus."""
        self.shown = name
        self._apply()
        view = self.views[name]
        # At once: whoever shows a view may give the keys to something else after it.
        if view.can_focus:
            self.screen.set_focus(view)
        else:
            inner = next((w for w in view.query("*").results(Widget) if _is_seen(w)), None)
            if inner is not None:
                self.screen.set_focus(inner)
        self.post_message(self.Shown(self, name))

    def next(self, by: int) -> None:
        """Shows the next view, or the one before."""
        names = list(self.views)
        if self.is_wide:
            names = names[1:]
        place = names.index(self.shown) if self.shown in names else -1
        self.show(names[(place + by) % len(names)])

    def _apply(self) -> None:
        names = list(self.views)
        beside = names[1] if self.is_wide and self.shown == names[0] else self.shown
        for name, view in self.views.items():
            stays = self.is_wide and name == names[0]
            view.display = stays or name == beside
            view.styles.width = self._beside if stays else "1fr"
        text = Text(no_wrap=True, overflow="ellipsis")
        for name in names:
            text.append(" " * _GAP if text else "")
            text.append(name, "bold reverse" if self.views[name].display else "dim")
        self.query_one("#panes-names", Static).update(text)

    def on_click(self, event: events.Click) -> None:
        """A click on a name shows its view."""
        line = self.query_one("#panes-names", Static)
        offset = event.get_content_offset(line)
        if offset is None:
            return
        x = offset.x
        for name in self.views:
            if 0 <= x < len(name):
                self.show(name)
                return
            x -= len(name) + _GAP


def _is_seen(widget: Widget) -> bool:
    """Whether it can have the focus, and neither it nor what it is in is hidden."""
    around = [one for one in widget.ancestors_with_self if isinstance(one, Widget)]
    return widget.can_focus and all(one.display for one in around)
