"""The leaderboard on a terminal: as many columns as fit, the most important ones first."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from geospot.evaluation.metrics import ACCURACIES
from geospot.textsafe import printable
from geospot_leaderboard.collect import Broken
from geospot_leaderboard.export import (
    COLUMNS,
    Cell,
    cells,
    cost,
    number,
    percent,
    references_for,
    truth,
)
from geospot_leaderboard.names import Name, names
from geospot_leaderboard.ranking import Group, Ranked
from geospot_leaderboard.references import Reference

_SHORT_FINGERPRINT: Final = 16
_GAP: Final = 2  # blanks between columns
_NARROW: Final = 18  # the narrowest that the first column may get for the sake of figures
_WIDE: Final = 40  # from here on figures come before a longer name
_LABEL: Final = 120
_PIECE: Final = re.compile(r"[^/\-_:]*[/\-_:]+|[^/\-_:]+")

_ESSENTIAL: Final = ("rank", "GeoScore (95%)", "coverage", "median km")
_EXTRA: Final = (
    *(f"<{radius:g} km" for radius in (25, 200, 750)),
    "answered",
    "country",
    "<1 km",
    "<2500 km",
    "cost",
    "region",
)
"""Columns in the order in which they are added as the terminal gets wider."""


def as_renderable(groups: Sequence[Group], broken: Sequence[Broken]) -> RenderableType:
    """A table for each set of images, published results under it, then what could not be read.

    It is laid out when it is printed, for the width it is printed in.
    """
    return _Board(groups, broken)


@dataclass(frozen=True)
class _Board:
    groups: Sequence[Group]
    broken: Sequence[Broken]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        for group in self.groups:
            named = names([row.result for row in group.rows])
            yield Text(
                printable(f"{group.dataset}, {group.split}: {group.n:,} images"), style="bold"
            )
            short = printable(group.fingerprint[:_SHORT_FINGERPRINT])
            yield Text(f"fingerprint {short}…, {printable(truth(group))}", style="dim")
            yield _measured(group, named, width)
            yield from _notes(group, named, width)
            yield Text()
        for published in references_for(self.groups):
            yield from _published(published, width)
            yield Text()
        if self.broken:
            yield Text("Left out:", style="bold red")
        for one in self.broken:
            line = printable(f"- {one.reason} {one.advice}")
            yield Text(wrapped(line, width), style="red")


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        return max(map(cell_len, (self.heading, *self.cells)))


def _measured(group: Group, named: Mapping[Path, Name], width: int) -> Table:
    columns = _figures(group.rows)
    labels = [printable(named[row.result.path].label, limit=_LABEL) for row in group.rows]
    details = [printable(named[row.result.path].detail) for row in group.rows]
    shown, room = _chosen(columns, width, wanted=min(_WIDE, max(map(cell_len, labels))))
    model = min(room, max(cell_len(text) for text in ("model", *labels, *details)))
    table = _table()
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True, width=model)
    for heading in shown[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for index in range(len(group.rows)):
        name = Text(wrapped(labels[index], model))
        if details[index]:
            name.append("\n" + wrapped(details[index], model), style="dim")
        rank, *figures = (Text(columns[heading].cells[index]) for heading in shown)
        table.add_row(rank, name, *figures)
    return table


def _figures(rows: Sequence[Ranked]) -> dict[str, _Column]:
    """Every column but the model's, by heading, in the order in which they stand."""
    lines = [_line(row) for row in rows]
    return {heading: _Column(heading, [line[heading] for line in lines]) for heading in lines[0]}


def _line(row: Ranked) -> dict[str, str]:
    value: dict[str, Cell] = dict(zip(COLUMNS, cells(row), strict=True))
    low, high = value["geoscore_ci_low"], value["geoscore_ci_high"]
    interval = f" ({number(low, 0)}–{number(high, 0)})" if low is not None else ""
    return {
        "rank": "–" if row.rank is None else str(row.rank),  # a note says why
        "GeoScore (95%)": f"{number(value['geoscore'], 1)}{interval}",
        "answered": number(value["geoscore_answered"], 1),
        "coverage": percent(value["coverage"]),
        "median km": number(value["median_km"], 1),
        **{f"<{radius:g} km": percent(value[name]) for name, radius in ACCURACIES.items()},
        "country": percent(value["country_acc"]),
        "region": percent(value["region_acc"]),
        "cost": cost(value["cost_usd"]),
    }


def _chosen(columns: Mapping[str, _Column], width: int, *, wanted: int) -> tuple[list[str], int]:
    """The headings that fit beside a first column, as they stand, and the room that this leaves.

    The essential ones may narrow the first column; the others come only where it has what it wants.
    """
    chosen: list[str] = []
    room = width
    for heading in (*_ESSENTIAL, *_EXTRA):
        left = room - columns[heading].width - _GAP
        needed = min(wanted, _NARROW) if heading in _ESSENTIAL else wanted
        if left < needed and len(chosen) >= 2:
            break
        chosen.append(heading)
        room = left
    return [heading for heading in columns if heading in chosen], max(room, 1)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def wrapped(text: str, width: int) -> str:
    """`text` in lines of at most `width` cells, broken between words.

    A word that is longer than a line is broken after one of / - _ : where it has one.
    """
    lines = [""]
    for word in text.split():
        pieces = [word] if cell_len(word) <= width else _PIECE.findall(word)
        for index, piece in enumerate(pieces):
            blank = " " if lines[-1] and index == 0 else ""
            if cell_len(lines[-1] + blank + piece) <= width:
                lines[-1] += blank + piece
            else:
                lines += chop_cells(piece, width)
    return "\n".join(line for line in lines if line)


def _notes(group: Group, named: Mapping[Path, Name], width: int) -> Iterator[Text]:
    for row in group.rows:
        for flaw in row.result.flaws:
            note = f"! {printable(named[row.result.path].short)}: {flaw.sentence}"
            yield Text(wrapped(note, width), style="red" if flaw.unranked else "yellow")


def _published(rows: Sequence[Reference], width: int) -> Iterator[RenderableType]:
    yield Text(f"Published on {rows[0].dataset}, {rows[0].split}", style="bold")
    yield Text(
        f"whole test set of {rows[0].n:,} images; not measured here, not ranked", style="dim"
    )
    columns = [
        _Column("model", [row.model for row in rows]),
        _Column("GeoScore", [number(row.geoscore, 0) for row in rows]),
        _Column("mean km", [number(row.mean_km, 0) for row in rows]),
        _Column("country", [percent(row.country_acc) for row in rows]),
        _Column("region", [percent(row.region_acc) for row in rows]),
        _Column("sub-region", [percent(row.sub_region_acc) for row in rows]),
        _Column("city", [percent(row.city_acc) for row in rows]),
        _Column("source", [_source(row) for row in rows]),
    ]
    shown = list(columns)
    while len(shown) > 2 and sum(c.width + _GAP for c in shown) - _GAP > width:
        shown.pop()
    table = _table()
    for column in shown:
        words = column.heading in ("model", "source")
        table.add_column(column.heading, justify="left" if words else "right", no_wrap=True)
    for index in range(len(rows)):
        table.add_row(*(Text(column.cells[index]) for column in shown))
    yield table
    if columns[-1] not in shown:
        yield Text("; ".join(f"{row.model}: {_source(row)}" for row in rows) + ".", style="dim")


def _source(row: Reference) -> str:
    return row.source if row.read_at_source else f"{row.source} (not read at the source)"
