"""The world in braille: true places, said places, and the great circles between them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from geospot.tui.atlas import legend
from geospot.tui.atlas.classes import ERRORS, Classes
from geospot.tui.atlas.projection import REGIONS, Box, View, box_around
from geospot.tui.atlas.scene import Mode, Plotted, Scene, Shades, paint
from geospot.tui.canvas import Canvas
from geospot.tui.inks import Inks
from geospot.tui.widgets.drawn import Drawn

FloatArray = NDArray[np.float64]
Order = Literal["worst", "best", "as read"]

_ZOOM: Final = 1.5
_STEP: Final = 0.15
"""Share of the map that an arrow key moves by."""
_ORDERS: Final[tuple[Order, ...]] = ("worst", "best", "as read")
_NEAR_CELLS: Final = 3


class WorldMap(Drawn, can_focus=True):
    """A map of answers. It fills whatever room it has; its last row is the legend.

    `show` hands it answers, `shade` colours countries; everything else are its keys and the mouse.
    """

    DEFAULT_CSS = "WorldMap { width: 1fr; height: 1fr; background: $background; }"
    ALLOW_SELECT = False
    """A drag moves the map."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom(1)", "Closer", tooltip="Zoom in", key_display="+"),
        Binding("minus,underscore", "zoom(-1)", "Farther", tooltip="Zoom out", key_display="-"),
        Binding("left", "move(-1,0)", "West", show=False, tooltip="Move the map west"),
        Binding("right", "move(1,0)", "East", show=False, tooltip="Move the map east"),
        Binding("up", "move(0,-1)", "North", show=False, tooltip="Move the map north"),
        Binding("down", "move(0,1)", "South", show=False, tooltip="Move the map south"),
        Binding("0", "region('world')", "World", show=False, tooltip="The whole world"),
        Binding("f", "fit", "Fit", show=False, tooltip="As close as all places allow"),
        Binding("r", "next_region(1)", "Region", tooltip="The next region: world, continents"),
        Binding("R", "next_region(-1)", "Region back", show=False, tooltip="The region before"),
        Binding("v", "next_mode", "View", tooltip="Arcs, points, true places, said places"),
        Binding("n", "step(1)", "Next", tooltip="The next answer, worst first"),
        Binding("p", "step(-1)", "Previous", show=False, tooltip="The answer before"),
        Binding("o", "next_order", "Order", show=False, tooltip="Worst first, best first, as read"),
        Binding(
            "z", "zoom_to_answer", "To answer", show=False, tooltip="Zoom to the chosen answer"
        ),
        Binding("enter", "choose", "Open", tooltip="Open the chosen answer"),
    ]

    class Highlighted(Message):
        """Another answer is chosen; `answer` is its number in what was shown, None for no answer."""

        def __init__(self, world_map: "WorldMap", answer: int | None) -> None:
            super().__init__()
            self.world_map, self.answer = world_map, answer

        @property
        def control(self) -> "WorldMap":
            """The map."""
            return self.world_map

    class Selected(Message):
        """The chosen answer is to be opened."""

        def __init__(self, world_map: "WorldMap", answer: int) -> None:
            super().__init__()
            self.world_map, self.answer = world_map, answer

        @property
        def control(self) -> "WorldMap":
            """The map."""
            return self.world_map

    class Changed(Message):
        """Something else is drawn, or another part of the globe."""

        def __init__(self, world_map: "WorldMap") -> None:
            super().__init__()
            self.world_map = world_map

        @property
        def control(self) -> "WorldMap":
            """The map."""
            return self.world_map

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        nothing = np.empty((0, 2))
        self.scene = Scene(Plotted(nothing, nothing, np.empty(0)))
        self.view = View.of(REGIONS["world"], 0, 0)
        self.looks_at: str = "world"
        """Name of what is zoomed to; empty after the view was moved by hand."""
        self.order: Order = "worst"
        self._box: Box = REGIONS["world"]
        self._order_N: NDArray[np.int64] | None = None
        self._held: tuple[int, int] | None = None
        self._dragged = False

    # What is shown

    def show(
        self,
        truths_N_L: NDArray[Any],
        predictions_N_L: NDArray[Any],
        km_N: NDArray[Any],
        *,
        classes: Classes = ERRORS,
        reasons: Mapping[str, int] | None = None,
        keep_selected: bool = False,
    ) -> None:
        """Shows N answers, in place of those before; the view stays.

        Args:
            truths_N_L: latitude and longitude in degrees of where photos were taken; NaN where unknown.
            predictions_N_L: what was said; NaN where no place was.
            km_N: what colours, patterns and the order are about: distances in km (half the
                circumference for failures), or, with `classes=CHANGES`, changes of distances.
            classes: how `km_N` is told apart.
            reasons: how many of those without a place there are by outcome, for the legend.
            keep_selected: whether the chosen answer's number still means the same answer.
        """
        selected = self.scene.selected
        if not keep_selected or (selected is not None and selected >= len(km_N)):
            selected = None
        answers = Plotted(
            np.asarray(truths_N_L, np.float64).reshape(-1, 2),
            np.asarray(predictions_N_L, np.float64).reshape(-1, 2),
            np.asarray(km_N, np.float64),
            classes,
            dict(reasons or {}),
        )
        self.scene = replace(self.scene, answers=answers, selected=selected)
        self._order_N = None
        self.redraw()

    def shade(self, shades: Shades | None) -> None:
        """Colours countries by a number of km instead of drawing answers; None draws answers again."""
        self.scene = replace(self.scene, shades=shades)
        self.redraw()

    def select(self, answer: int | None) -> None:
        """Chooses an answer by its number, and brings it into sight."""
        if answer == self.scene.selected:
            return
        self.scene = replace(self.scene, selected=answer)
        if answer is not None:
            self._bring_into_sight(answer)
        self.redraw()
        self.post_message(self.Highlighted(self, answer))

    def look_at(self, box: Box, name: str = "") -> None:
        """Zooms to a box (south, west, north, east in degrees)."""
        self.looks_at, self._box = name, box
        room = 0.0 if name == "world" else 0.08
        self.view = View.of(box, self.view.width, self.view.height, room)
        self.redraw()
        self.post_message(self.Changed(self))

    @property
    def selected(self) -> int | None:
        """The chosen answer's number."""
        return self.scene.selected

    @property
    def position(self) -> int | None:
        """Where the chosen answer stands in the order, from 0."""
        if self.scene.selected is None:
            return None
        return int(np.flatnonzero(self._in_order() == self.scene.selected)[0])

    # Drawing

    def draw(self, inks: Inks) -> Sequence[Strip]:
        """The map with its answers, and its legend."""
        canvas, view = Canvas(*self.size), self.view
        if view.width >= 4 and view.height >= 4:
            note = paint(canvas, view, self.scene, inks)
            legend.paint_scale(canvas, view, inks)
            legend.paint_note(canvas, note, inks)
            legend.paint_legend(canvas, self.scene, inks)
        return canvas.strips(self.rich_style)

    def on_resize(self) -> None:
        """The map keeps what it shows."""
        width, height = 2 * self.size.width, 4 * max(self.size.height - 1, 0)
        if self.looks_at:
            self.view = replace(self.view, width=width, height=height)
            self.look_at(self._box, self.looks_at)
        else:
            self.view = self.view.resized(width, height)
        self.redraw()

    # Moving

    def action_zoom(self, direction: int) -> None:
        """Closer or farther, around the chosen answer or the middle."""
        self._set_view(self.view.zoomed(_ZOOM**direction))

    def action_move(self, right: int, down: int) -> None:
        """Moves the map."""
        self._set_view(
            self.view.moved(right * _STEP * self.view.width, down * _STEP * self.view.height)
        )

    def action_region(self, name: str) -> None:
        """Zooms to a region by name."""
        self.look_at(REGIONS[name], name)

    def action_next_region(self, direction: int) -> None:
        """Zooms to the region after this one."""
        names = list(REGIONS)
        here = names.index(self.looks_at) if self.looks_at in names else 0
        self.action_region(names[(here + direction) % len(names)])

    def action_fit(self) -> None:
        """Zooms as close as all places that are shown allow."""
        places = np.concatenate([self.scene.answers.truths_N_L, self.scene.answers.predictions_N_L])
        self.look_at(box_around(places[:, 0], places[:, 1]), "all places")

    def action_zoom_to_answer(self) -> None:
        """Zooms to the two ends of the chosen answer."""
        if self.scene.selected is not None:
            ends = self._ends(self.scene.selected)
            self.look_at(_padded(box_around(ends[:, 0], ends[:, 1])), "answer")

    def _set_view(self, view: View) -> None:
        self.view, self.looks_at = view, ""
        self.redraw()
        self.post_message(self.Changed(self))

    def _bring_into_sight(self, answer: int) -> None:
        ends = self._ends(answer)
        x, y = self.view.x(ends[:, 1]), self.view.y(ends[:, 0])
        inside = (x >= 0) & (x < self.view.width) & (y >= 0) & (y < self.view.height)
        if len(ends) and not inside.all() and self.view.width:
            south, west, north, east = box_around(ends[:, 0], ends[:, 1])
            across = (east - west) % 360
            self._set_view(self.view.centred((south + north) / 2, west + across / 2))

    def _ends(self, answer: int) -> FloatArray:
        ends = np.stack(
            [self.scene.answers.truths_N_L[answer], self.scene.answers.predictions_N_L[answer]]
        )
        return ends[np.isfinite(ends).all(axis=1)]

    # Answers

    def action_next_mode(self) -> None:
        """Draws arcs, points, true places or said places."""
        modes = list(Mode)
        mode = modes[(modes.index(self.scene.mode) + 1) % len(modes)]
        self.scene = replace(self.scene, mode=mode)
        self.redraw()
        self.post_message(self.Changed(self))

    def action_step(self, answers: int) -> None:
        """Chooses the next answer in the order, or the one before."""
        order_N = self._in_order()
        if len(order_N):
            here = self.position
            there = 0 if here is None else (here + answers) % len(order_N)
            self.select(int(order_N[there]))

    def action_next_order(self) -> None:
        """Steps worst first, best first, or as answers were read."""
        self.order = _ORDERS[(_ORDERS.index(self.order) + 1) % len(_ORDERS)]
        self._order_N = None
        order_N = self._in_order()
        self.select(int(order_N[0]) if len(order_N) else None)

    def action_choose(self) -> None:
        """Opens the chosen answer."""
        if self.scene.selected is not None:
            self.post_message(self.Selected(self, self.scene.selected))

    def _in_order(self) -> NDArray[np.int64]:
        """The answers' numbers as one steps through them; sorted when they are asked for."""
        if self._order_N is None:
            value_N = self.scene.answers.value_N
            if self.order == "as read":
                self._order_N = np.arange(len(value_N))
            else:
                sign = -1 if self.order == "worst" else 1
                self._order_N = np.argsort(sign * value_N, kind="stable")
        return self._order_N

    # The mouse

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Closer, around the pointer."""
        self._zoom_at(event, _ZOOM)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Farther, around the pointer."""
        self._zoom_at(event, 1 / _ZOOM)

    def _zoom_at(self, event: events.MouseEvent, factor: float) -> None:
        event.stop()
        self._set_view(self.view.zoomed(factor, *_dot(event.x, event.y)))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Takes hold of the map."""
        self._held, self._dragged = (event.x, event.y), False
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Draws the map along."""
        if self._held is None:
            return
        if self._dragged or (event.x, event.y) != self._held:
            place = self.view.place(*_dot(*self._held))
            self._held, self._dragged = (event.x, event.y), True
            self._set_view(self.view.holding(*place, *_dot(event.x, event.y)))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Lets go; where nothing was moved the nearest answer is chosen, the chosen one opened."""
        held, self._held = self._held, None
        self.release_mouse()
        if held is None or self._dragged:
            return
        nearest = self._nearest(*_dot(event.x, event.y))
        if nearest is not None and nearest == self.scene.selected:
            self.action_choose()
        elif nearest is not None:
            self.select(nearest)

    def _nearest(self, x: float, y: float) -> int | None:
        """The answer one of whose ends is nearest to a dot, if it is near."""
        ends: Sequence[FloatArray] = (
            self.scene.answers.truths_N_L,
            self.scene.answers.predictions_N_L,
        )
        away = [np.hypot(self.view.x(end[:, 1]) - x, self.view.y(end[:, 0]) - y) for end in ends]
        nearest_N = np.fmin(away[0], away[1])
        if not len(nearest_N) or not np.isfinite(nearest_N).any():
            return None
        nearest = int(np.nanargmin(nearest_N))
        return nearest if nearest_N[nearest] <= 4 * _NEAR_CELLS else None


def _dot(column: int, row: int) -> tuple[float, float]:
    """The middle of a cell, in dots."""
    return 2.0 * column + 1, 4.0 * row + 2


def _padded(box: Box) -> Box:
    """A box with room, so that two places next to each other don't fill the map."""
    south, west, north, east = box
    across = (east - west) % 360
    high, wide = max((north - south) * 0.3, 1.5), max(across * 0.3, 1.5)
    if across + 2 * wide >= 360:
        west, east, wide = -180.0, 180.0, 0.0
    return max(south - high, -90.0), west - wide, min(north + high, 90.0), east + wide
