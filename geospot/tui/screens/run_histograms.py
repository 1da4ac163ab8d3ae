"""How a run's rewards or distances were spread: over all steps, and at one step beside the one before."""

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from geospot.runs.columns import FloatArray
from geospot.runs.histograms import Quantity
from geospot.runs.spreads import Spreads
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.widgets.heatmap import GROUPS, HeatMap
from geospot.tui.widgets.histogram import StepHistogram

_NOTHING_YET: Final = (
    "No histograms yet: they come with the first step.\n\n"
    "Then there will be a heat map of the rewards over all steps, and each step's histogram."
)
_SFT: Final = (
    "Supervised training asks for no answers, so there are no rewards to be spread.\n\n"
    "What there is: the NLL of training and test photos (o), and evaluations on the way (p). "
    "geospot rl, started from one of the checkpoints, has histograms."
)
_NO_ROLLOUTS: Final = "no rollouts of it are on record"


class Histograms(Vertical):
    """The heat map, and beside it the histogram of the step that its cursor is on."""

    DEFAULT_CSS = """
    Histograms { height: 1fr; padding: 0 1; }
    Histograms HeatMap { width: 1fr; }
    Histograms StepHistogram { width: 34%; min-width: 30; max-width: 60; margin-left: 2; }
    Histograms #histograms-reading { height: 1; }
    Histograms #histograms-nothing {
        display: none; height: 1fr; padding: 0 8; content-align: center middle; text-align: center;
        color: $text-muted;
    }
    Histograms.-nothing > * { display: none; }
    Histograms.-nothing > #histograms-nothing { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "t", "quantity", "Reward/km", tooltip="How rewards are spread, or how distances are"
        ),
        Binding("f", "follow", "Newest", show=False, tooltip="To the newest step, and on with it"),
    ]

    class Asked(Message):
        """The rollouts of a cell are wanted."""

        def __init__(self, step: int, query: str, said: str) -> None:
            super().__init__()
            self.step, self.query, self.said = step, query, said

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.quantity: Quantity = "reward"
        self._state: RunState | None = None

    def compose(self) -> ComposeResult:
        """Over all steps, at one step, in words."""
        with Horizontal():
            yield HeatMap()
            yield StepHistogram()
        yield Static("", id="histograms-reading", markup=False)
        yield Static("", id="histograms-nothing", markup=False)

    @property
    def heat_map(self) -> HeatMap:
        """The heat map."""
        return self.query_one(HeatMap)

    def show(self, state: RunState) -> None:
        """Shows what is known of a run."""
        self._state = state
        spreads = self._spreads(state)
        self.set_class(not len(spreads), "-nothing")
        if not len(spreads):
            words = _SFT if state.kind == "sft" else _NOTHING_YET
            self.query_one("#histograms-nothing", Static).update(words)
            return
        self.heat_map.show(spreads, self.quantity, groups_of(state))
        self._show_step()

    def _spreads(self, state: RunState) -> Spreads:
        return state.reward if self.quantity == "reward" else state.distance_km

    def _show_step(self) -> None:
        heat_map = self.heat_map
        unit = "" if self.quantity == "reward" else " km"
        self.query_one(StepHistogram).show(
            heat_map.spreads, heat_map.binned.rows, heat_map.step, unit
        )
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(" " + heat_map.reading, "bold")
        text.append(f" · {self._what_enter_does()}", "dim")
        self.query_one("#histograms-reading", Static).update(text)

    def _what_enter_does(self) -> str:
        steps = self.heat_map.steps_in_cell()
        if not steps:
            return "nothing in this cell"
        step = self._newest_on_record(steps)
        return _NO_ROLLOUTS if step is None else f"⏎ opens step {step:,}"

    def _newest_on_record(self, steps: Sequence[int]) -> int | None:
        """The newest of the steps whose rollouts can be read."""
        known = set(self._state.rollout_steps if self._state is not None else ())
        return next((step for step in steps if step in known), None)

    def focus_first(self) -> None:
        """Gives the keys to the heat map."""
        self.heat_map.focus()

    def on_resize(self) -> None:
        """Rows follow the size; the histogram beside the heat map has the same."""
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        if self._state is not None and len(self._spreads(self._state)):
            self._show_step()

    def action_quantity(self) -> None:
        """Rewards or distances."""
        self.quantity = "distance_km" if self.quantity == "reward" else "reward"
        if self._state is not None:
            self.show(self._state)

    def action_follow(self) -> None:
        """The newest step."""
        self.heat_map.action_newest()

    def on_heat_map_moved(self, event: HeatMap.Moved) -> None:
        """Shows the histogram of the cursor's step."""
        event.stop()
        self._show_step()

    def on_heat_map_opened(self, event: HeatMap.Opened) -> None:
        """Asks for the rollouts of the newest step that has some in the cell."""
        event.stop()
        step = self._newest_on_record(event.steps)
        if step is None:
            words = _NO_ROLLOUTS if event.steps else "there is nothing in this cell"
            self.notify(words.capitalize() + ".", markup=False)
            return
        others = len(event.steps) - 1
        said = printable(event.row.name)
        if others:
            said += f": step {step:,}, the newest of {others + 1} steps with rollouts here"
        self.post_message(self.Asked(step, event.row.query, said))


def groups_of(state: RunState) -> dict[str, FloatArray]:
    """Shares of groups at the steps of the histograms, from their file, or else from the metrics."""
    if state.groups:
        return {name: share for name, share in state.groups.items() if name in GROUPS}
    import numpy as np

    found: dict[str, FloatArray] = {}
    columns, steps = state.columns, state.reward.steps_S
    place = np.searchsorted(columns.steps_N, steps)
    there = place < len(columns)
    there[there] = columns.steps_N[place[there]] == steps[there]
    for name in GROUPS:
        values = columns.values_N.get(f"env/all/by_group/{name}")
        if values is not None:
            share = np.full(len(steps), np.nan, np.float32)
            share[there] = values[place[there]]
            found[name] = share
    return found
