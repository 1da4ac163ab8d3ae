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
from geospot.tui.widgets.bins import rows_of
from geospot.tui.widgets.heatmap import GROUPS, HeatMap
from geospot.tui.widgets.histogram import StepHistogram
from geospot.tui.widgets.ridgeline import Ridgeline

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
_WALK: Final = "the newest first: [ ] walk over them, f leaves them for the newest of all"


class Histograms(Vertical):
    """The heat map, and beside it the histogram of the step that its cursor is on."""

    DEFAULT_CSS = """
    Histograms { height: 1fr; padding: 0 1; }
    Histograms HeatMap { width: 1fr; }
    Histograms Ridgeline { width: 1fr; display: none; }
    Histograms.-ridges HeatMap { display: none; }
    Histograms.-ridges Ridgeline { display: block; }
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
        Binding("g", "ridges", "Ridges", tooltip="Ridges one behind another, or the heat map"),
        Binding("f", "follow", "Newest", show=False, tooltip="To the newest step, and on with it"),
    ]

    class Asked(Message):
        """The rollouts of a cell are wanted."""

        def __init__(self, steps: Sequence[int], query: str, said: str) -> None:
            super().__init__()
            self.steps, self.query, self.said = steps, query, said

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.quantity: Quantity = "reward"
        self._state: RunState | None = None

    def compose(self) -> ComposeResult:
        """Over all steps, at one step, in words."""
        with Horizontal():
            yield HeatMap()
            yield Ridgeline()
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
        if self.has_class("-ridges"):
            self._ridges.show(spreads, self.quantity)
        else:
            self.heat_map.show(spreads, self.quantity, groups_of(state))
        self._show_step()

    def _spreads(self, state: RunState) -> Spreads:
        return state.reward if self.quantity == "reward" else state.distance_km

    @property
    def _ridges(self) -> Ridgeline:
        return self.query_one(Ridgeline)

    @property
    def step(self) -> int | None:
        """The newest step under the cursor that has a histogram."""
        if self.has_class("-ridges"):
            return next(iter(self._ridges.steps), None)
        return self.heat_map.step

    def _show_step(self) -> None:
        is_ridges = self.has_class("-ridges")
        spreads = self._ridges.spreads if is_ridges else self.heat_map.spreads
        beside = self.query_one(StepHistogram)
        # Beside the heat map the rows are its own, and named there.
        most = max(self.size.height - 6, 3)
        rows = rows_of(spreads, self.quantity, most) if is_ridges else self.heat_map.binned.rows
        unit = "" if self.quantity == "reward" else " km"
        beside.show(spreads, rows, self.step, unit, labelled=is_ridges)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(" " + (self._ridges.reading if is_ridges else self.heat_map.reading), "bold")
        text.append(f" · {self._what_enter_does()}", "dim")
        self.query_one("#histograms-reading", Static).update(text)

    def _what_enter_does(self) -> str:
        is_ridges = self.has_class("-ridges")
        steps = self._ridges.steps if is_ridges else self.heat_map.steps_in_cell()
        if not steps:
            return "nothing in this cell"
        there = self._on_record(steps)
        if not there:
            return _NO_ROLLOUTS
        return f"⏎ opens {len(there)} steps" if there[1:] else f"⏎ opens step {there[0]:,}"

    def _on_record(self, steps: Sequence[int]) -> Sequence[int]:
        """Those of the steps whose rollouts can be read."""
        known = set(self._state.rollout_steps if self._state is not None else ())
        return [step for step in steps if step in known]

    def focus_first(self) -> None:
        """Gives the keys to the heat map, or to the ridges."""
        (self._ridges if self.has_class("-ridges") else self.heat_map).focus()

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
        self._ridges.action_newest()

    def action_ridges(self) -> None:
        """Ridges instead of the heat map, and back."""
        if self._state is not None and len(self._spreads(self._state)):
            self.toggle_class("-ridges")
            self.show(self._state)
            self.focus_first()
            self.on_resize()

    def on_ridgeline_moved(self, event: Ridgeline.Moved) -> None:
        """Shows the histogram of the ridge's newest step."""
        event.stop()
        self._show_step()

    def on_ridgeline_opened(self, event: Ridgeline.Opened) -> None:
        """Asks for the rollouts of the ridge's steps."""
        event.stop()
        self._ask(event.steps, "", "all rollouts")

    def on_heat_map_moved(self, event: HeatMap.Moved) -> None:
        """Shows the histogram of the cursor's step."""
        event.stop()
        self._show_step()

    def on_heat_map_opened(self, event: HeatMap.Opened) -> None:
        """Asks for the rollouts of the steps that have some in the cell."""
        event.stop()
        self._ask(event.steps, event.row.query, event.row.name)

    def on_step_histogram_chosen(self, event: StepHistogram.Chosen) -> None:
        """Asks for the rollouts of a bar."""
        event.stop()
        self._ask([event.step] if event.count else (), event.row.query, event.row.name)

    def _ask(self, steps: Sequence[int], query: str, what: str) -> None:
        """Asks for those of these steps whose rollouts can be read; without one, says so."""
        there = self._on_record(steps)
        if not there:
            words = _NO_ROLLOUTS if steps else "there is nothing in it"
            self.notify(words.capitalize() + ".", markup=False)
            return
        said = printable(what)
        if len(there) > 1:
            said += f": {len(there)} steps, {_WALK}"
        elif len(steps) > 1:
            said += f": step {there[0]:,}, the only one of {len(steps)} with rollouts on record"
        self.post_message(self.Asked(there, f"{query}{self._counted}".strip(), said))

    @property
    def _counted(self) -> str:
        """The filter for what histograms count: photos that are shown again aren't among it."""
        is_replaying = self._state is not None and bool(self._state.config.get("replay_hard"))
        return " replayed:no" if is_replaying else ""


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
