"""What widgets have in common that draw all their rows at once, and keep them while they look the same."""

from collections.abc import Sequence

from textual.strip import Strip
from textual.widget import Widget

from geospot.tui.inks import Inks, inks_for


class Drawn(Widget):
    """A widget that is drawn as a whole by `draw`, and drawn anew after `redraw`.

    Another size, another theme, and the focus coming or going draw it anew as well; Textual calls these
    handlers beside those of the class below.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._strips: Sequence[Strip] | None = None

    def draw(self, inks: Inks) -> Sequence[Strip]:
        """Its rows from the top, at its size now."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draws it anew at the next painting."""
        self._strips = None
        self.refresh()

    def on_resize(self) -> None:
        """Another size has room for more or less."""
        self.redraw()

    def on_focus(self) -> None:
        """Shows that keys go here."""
        self.redraw()

    def on_blur(self) -> None:
        """Shows that they don't any more."""
        self.redraw()

    def notify_style_update(self) -> None:
        """Another theme has other colours."""
        super().notify_style_update()
        self._strips = None

    def render_line(self, y: int) -> Strip:
        """One row of what was drawn last."""
        if self._strips is None:
            self._strips = self.draw(inks_for(self))
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)
