"""The line in which filters are typed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input, Static

from geospot.tui.widgets.filterbar import FilterBar, complete
from geospot.tui.widgets.table import Column, Table

KEYS = {"kind": ("sft", "rl"), "model": (), "place": ("New York", "Nice"), "reward": ()}


class WithList(App[None]):
    """A filter above a table."""

    BINDINGS = [("slash", "filter", "Filter")]  # noqa: RUF012

    def __init__(self, history: list[str] | None = None, value: str = "") -> None:
        super().__init__()
        self.told: list[tuple[str, int]] = []
        self.history = [] if history is None else history
        self.value = value

    def compose(self) -> ComposeResult:
        yield FilterBar(KEYS, history=self.history, value=self.value)
        yield Table([Column("a", "A", 5)])

    def action_filter(self) -> None:
        self.bar.open()

    @property
    def bar(self) -> FilterBar:
        return self.query_one(FilterBar)

    @property
    def line(self) -> Input:
        return self.query_one(Input)

    @property
    def reason(self) -> str:
        return str(self.query_one("#filter-reason", Static).content)

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        self.told.append((event.text, len(event.query.terms)))


def drive(app: WithList, steps: Callable[[Pilot[None]], Awaitable[None]]) -> None:
    async def main() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            app.query_one(Table).focus()
            await pilot.pause()
            await steps(pilot)

    asyncio.run(main())


def test_it_opens_filters_as_one_types_and_goes_back_with_enter() -> None:
    app = WithList()

    async def steps(pilot: Pilot[None]) -> None:
        assert not app.bar.display
        await pilot.press("slash")
        assert app.bar.display
        assert app.focused is app.line
        assert (app.bar.region.height, app.line.region.height) == (1, 1)
        await pilot.press(*"kind:r", "l")
        assert app.told[-1] == ("kind:rl", 1)
        await pilot.press("enter")
        assert isinstance(app.focused, Table)
        assert app.bar.display  # what filters the list stays in sight
        assert app.bar.text == "kind:rl"
        assert app.history == ["kind:rl"]

    drive(app, steps)


def test_escape_empties_it_and_then_goes_back() -> None:
    app = WithList()

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"paris", "escape")
        assert app.focused is app.line
        assert app.told[-1] == ("", 0)
        await pilot.press("escape")
        assert isinstance(app.focused, Table)
        assert not app.bar.display

    drive(app, steps)


def test_the_reason_stands_beside_what_cannot_be_read_and_the_last_filter_holds() -> None:
    app = WithList()

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"kind:rl reward")
        before = list(app.told)
        await pilot.press("greater_than_sign")
        assert app.told == before
        assert app.reason.startswith("reward> wants a number")
        assert app.query_one("#filter-reason").region.height == 1
        await pilot.press("enter")
        assert app.focused is app.line  # it is still to be mended
        await pilot.press("0")
        assert app.told[-1] == ("kind:rl reward>0", 2)
        assert app.reason == ""

    drive(app, steps)


def test_tab_completes_keys_and_values() -> None:
    app = WithList()

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash", "k", "tab")
        assert app.line.value == "kind:"
        await pilot.press("r", "tab", "space", "minus", "h", "tab", "r", "tab")
        assert app.line.value == "kind:rl -has:reward"
        assert app.told[-1] == ("kind:rl -has:reward", 2)
        await pilot.press("tab")
        assert isinstance(app.focused, Table)  # nothing to complete: tab goes on

    drive(app, steps)


def test_up_and_down_bring_earlier_filters() -> None:
    app = WithList(["kind:rl", "paris"])

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash")
        shown: list[str] = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            shown.append(app.line.value)
        assert shown == ["paris", "kind:rl", "kind:rl", "paris", ""]
        await pilot.press("up", "enter", "slash", "enter")
        assert app.history == ["kind:rl", "paris"]  # the same again isn't kept twice

    drive(app, steps)


def test_it_starts_with_a_filter_and_shows_it() -> None:
    app = WithList(value="kind:sft")

    async def steps(pilot: Pilot[None]) -> None:
        assert app.bar.display
        assert app.told == [("kind:sft", 1)]
        app.bar.clear()
        await pilot.pause()
        assert app.told[-1] == ("", 0)
        assert not app.bar.display

    drive(app, steps)


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("", None),
        ("k", "kind:"),
        ("kind:rl m", "kind:rl model"),
        ("-re", "-reward"),
        ("h", "has:"),
        ("has:m", "has:model"),
        ("kind:s", "kind:sft"),
        ("kind:x", None),
        ("place:n", 'place:"New York"'),
        ("place:ni", "place:Nice"),
        ("model:q", None),
        ("nothing", None),
        ('"k', None),
        ("kind", "kind:"),
        ("reward", None),
        ("unknown:k", None),
    ],
)
def test_the_last_word_is_completed(text: str, completed: str | None) -> None:
    assert complete(text, KEYS) == completed
