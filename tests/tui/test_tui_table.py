"""The table of any length: what it draws, and how it is moved in."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from geospot.tui.widgets.table import Cell, Cells, Column, Table
from tests.support.screens import resized

COLUMNS = (
    Column("n", "#", 7, "right"),
    Column("name", "Name", 10, flexible=True),
    Column("last", "Last", 20, priority=1),
    Column("first", "First", 20, priority=2),
)


class Alone(App[None]):
    """A table and nothing else."""

    def __init__(self, columns: tuple[Column, ...] = COLUMNS) -> None:
        super().__init__()
        self.columns = columns
        self.told: list[tuple[str, int | str]] = []

    def compose(self) -> ComposeResult:
        yield Table(self.columns)

    @property
    def table(self) -> Table:
        return self.query_one(Table)

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        self.told.append(("on", event.row))

    def on_table_selected(self, event: Table.Selected) -> None:
        self.told.append(("chosen", event.row))

    def on_table_header_clicked(self, event: Table.HeaderClicked) -> None:
        self.told.append(("header", event.key))


def drive(
    steps: Callable[[Alone, Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (80, 12),
    columns: tuple[Column, ...] = COLUMNS,
) -> None:
    async def main() -> None:
        app = Alone(columns)
        async with app.run_test(size=size) as pilot:
            app.table.focus()
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(main())


def lines(table: Table) -> list[str]:
    return [table.render_line(y).text for y in range(table.size.height)]


def row(number: int) -> Cells:
    return (str(number), f"run {number}", Cell("last", "bold #ff0000"), "first")


def cursor_line(table: Table) -> int:
    """The line of the widget on which the cursor is, by its mark."""
    marked = [y for y, line in enumerate(lines(table)) if line.startswith("▌")]
    assert len(marked) == 1, lines(table)
    return marked[0]


def test_without_rows_there_is_a_header_and_keys_do_nothing() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(0, row)
        await pilot.press("down", "end", "pageup", "home", "enter")
        await pilot.click(Table, offset=(5, 4))
        assert "Name" in lines(app.table)[0]
        assert all(not line.strip() for line in lines(app.table)[1:])
        assert app.told == []

    drive(steps)


def test_only_rows_on_screen_are_made() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        made: set[int] = set()

        def counted(number: int) -> Cells:
            made.add(number)
            return row(number)

        app.table.show(1_000_000, counted)
        await pilot.pause()
        await pilot.press("end")
        assert lines(app.table)[-1].startswith("▌ 999999  run 999999")
        assert len(made) < 40

    drive(steps)


def test_the_cursor_is_always_below_the_header_and_above_the_end() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        table = app.table
        table.show(50, row)
        expected = 0
        moves = {"pagedown": 10, "down": 1, "end": 99, "pageup": -10, "up": -1, "home": -99}
        for key in [*moves, "j", "k", "G", "g"]:
            await pilot.press(key)
            by = moves.get(key, {"j": 1, "k": -1, "G": 99, "g": -99}.get(key, 0))
            expected = min(max(expected + by, 0), 49)
            assert table.cursor == expected, key
            assert lines(table)[cursor_line(table)].split()[1] == str(expected)
            assert cursor_line(table) >= 1

    drive(steps)


def test_the_highlighted_row_is_told_when_the_first_rows_come_and_when_it_changes() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(3, row)
        await pilot.press("down", "down", "down", "enter")
        assert app.told == [("on", 0), ("on", 1), ("on", 2), ("chosen", 2)]
        app.table.show(1, row)
        await pilot.pause()
        assert app.told[-1] == ("on", 0)
        assert cursor_line(app.table) == 1

    drive(steps)


def test_columns_leave_by_priority_and_the_flexible_one_takes_the_rest() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        table = app.table
        table.show(3, row)
        for width, labels in (
            (80, ["#", "Name", "Last", "First"]),
            (60, ["#", "Name", "Last"]),
            (40, ["#", "Name"]),
        ):
            await resized(pilot, width, 12)
            assert lines(table)[0].split() == labels
            assert lines(table)[1].split()[:3] == ["▌", "0", "run"]
            assert {len(line) for line in lines(table)} == {width}
            assert not table.show_horizontal_scrollbar
            assert sum(table.widths) + 2 * (len(labels) - 1) + 1 == width

    drive(steps)


def test_too_narrow_for_what_never_leaves_it_scrolls_and_the_mark_stays() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        table = app.table
        table.show(30, row)
        await resized(pilot, 14, 12)
        assert lines(table)[1] == "▌      0  run"
        await pilot.press("right", "right", "right", "right")
        await pilot.pause(0.5)
        assert table.scroll_offset.x > 0
        assert lines(table)[1].startswith("▌")
        assert "run 0" in lines(table)[1]
        await pilot.press("end")
        assert cursor_line(table) == 10  # above the scroll bar

    drive(steps)


def test_the_scroll_bar_that_comes_with_many_rows_takes_no_column_away() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(3, row)
        await pilot.pause()
        app.table.show(300, row)
        await pilot.pause()
        assert app.table.show_vertical_scrollbar
        assert not app.table.show_horizontal_scrollbar
        assert lines(app.table)[0].split() == ["#", "Name", "Last", "First"]

    drive(steps)


@pytest.mark.parametrize(
    "text", ["日本語の名前はながい", "e\u0301" * 30, "👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀", "מזרח"]
)
@pytest.mark.parametrize("cut", ["end", "start"])
def test_wide_and_combining_characters_keep_columns_in_line(text: str, cut: str) -> None:
    columns = (
        Column("a", "A", 8, cut="start" if cut == "start" else "end"),
        Column("b", "B", 4),
    )

    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(2, lambda n: (text if n else "plain", "next"))
        await pilot.pause()
        for line in lines(app.table)[1:3]:
            assert cell_len(line[: line.index("next")]) == 1 + 8 + 2
            assert cell_len(line) == 40

    drive(steps, (40, 6), columns)


def test_a_text_cut_at_the_start_keeps_its_end() -> None:
    columns = (Column("a", "A", 10, cut="start"), Column("b", "B", 10))

    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(1, lambda _n: ("sweep-19/rl-1999", "sweep-19/rl-1999"))
        await pilot.pause()
        assert lines(app.table)[1].split() == ["▌…9/rl-1999", "sweep-19/…"]

    drive(steps, (40, 6), columns)


def test_the_cursor_keeps_its_height_where_rows_arrive_above() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        table = app.table
        table.show(100, row)
        await pilot.press("pagedown", "pagedown", "up", "up", "up")
        line = cursor_line(table)
        table.show(105, row, cursor=table.cursor + 5)
        await pilot.pause()
        assert cursor_line(table) == line
        await pilot.press("home")
        table.show(106, row, cursor=1)
        await pilot.pause()
        assert table.scroll_offset.y == 0  # at the top what is new is seen
        assert cursor_line(table) == 2

    drive(steps)


def test_a_click_moves_the_cursor_and_another_opens() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(100, row)
        await pilot.press("end")
        app.told.clear()
        await pilot.click(Table, offset=(12, 3))
        assert app.table.cursor == app.table.scroll_offset.y + 2
        await pilot.click(Table, offset=(12, 3))
        assert app.told == [("on", app.table.cursor), ("chosen", app.table.cursor)]

    drive(steps)


@pytest.mark.parametrize(("label", "key"), [("#", "n"), ("Name", "name"), ("First", "first")])
def test_a_click_on_a_header_names_its_column(label: str, key: str) -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(3, row, sorted_by=("name", True))
        await pilot.pause()
        header = lines(app.table)[0]
        assert "Name▼" in header
        await pilot.click(Table, offset=(header.index(label), 0))
        assert app.told[-1] == ("header", key)

    drive(steps)


def test_the_row_under_the_mouse_is_shown_until_the_mouse_leaves() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        table = app.table
        table.show(5, row)
        await pilot.pause()
        papers = [list(table.render_line(3))[-1].style]
        await pilot.hover(Table, offset=(5, 3))
        papers.append(list(table.render_line(3))[-1].style)
        await pilot.hover(Table, offset=(5, 9))
        papers.append(list(table.render_line(3))[-1].style)
        assert papers[0] != papers[1]
        assert papers[0] == papers[2]

    drive(steps)


def test_other_rows_are_drawn_when_shown_again() -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        app.table.show(3, row)
        await pilot.pause()
        assert "run 1" in lines(app.table)[2]
        app.table.show(3, lambda n: ("", f"other {n}", "", ""))
        await pilot.pause()
        assert "other 1" in lines(app.table)[2]
        app.table.set_columns((Column("x", "X", 3),))
        await pilot.pause()
        assert lines(app.table)[0].split() == ["X"]

    drive(steps)


def test_only_rows_that_changed_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(app: Alone, pilot: Pilot[None]) -> None:
        table = app.table
        table.show(5, row)
        await pilot.press("down")
        drawn: list[int] = []

        def note(*regions: Region, **_how: bool) -> Table:
            drawn.extend(region.y for region in regions or [Region(0, -1, 1, 1)])
            return table

        monkeypatch.setattr(table, "refresh", note)
        table.show(5, lambda n: ("", "other", "", "") if n == 3 else row(n))
        assert set(drawn) <= {2, 4}  # the cursor's, and the one that changed
        assert 4 in drawn
        drawn.clear()
        await pilot.press("down")
        assert set(drawn) == {2, 3}
        drawn.clear()
        table.show(3, row)
        assert {4, 5} <= set(drawn)  # rows that are gone
        drawn.clear()
        table.show(3, row, sorted_by=("n", True))
        assert -1 in drawn  # the header is another one

    drive(steps)
