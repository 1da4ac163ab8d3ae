"""The leaderboard as lines of a table: groups, ranked and unranked results, published ones, what goes on.

Figures, names and the order come from `geospot_leaderboard`; here they only become cells.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, Literal

from rich.cells import cell_len

from geospot.evaluation.metrics import ACCURACIES
from geospot.evaluation.standing import section
from geospot.geo import GEOSCORE_MAX
from geospot.query import Query, Value
from geospot.textsafe import printable
from geospot.tui.widgets.table import Cell, Cells, Column
from geospot_leaderboard import export
from geospot_leaderboard.collect import Broken
from geospot_leaderboard.live import Found, UnderWay
from geospot_leaderboard.names import Name, names
from geospot_leaderboard.ranking import Group, Ranked, rank
from geospot_leaderboard.references import Reference

Kind = Literal["heading", "result", "under way", "published", "broken", "blank"]

NAME_WIDTH: Final = 15
"""The narrowest that the names' column gets."""

UNRANKED: Final = "unranked"

_LABEL: Final = 120
_LONGEST_NAME: Final = 48
_ESSENTIAL: Final = (
    Column("rank", "#", 4, "right"),
    Column("name", "model", NAME_WIDTH),
    Column("geoscore", "GeoScore", 9, "right"),
    Column("interval", "95%", 11, "right"),
    Column("bar", "", 10),
    Column("coverage", "cover", 7, "right"),
    Column("median_km", "median km", 10, "right"),
)
_MORE: Final = (
    *(Column(f"acc_{radius:g}km", f"<{radius:g} km", 8, "right") for radius in (25, 200, 750)),
    Column("geoscore_answered", "answered", 9, "right"),
    Column("country_acc", "country", 8, "right"),
    Column("canary", "canary", 8),
    Column("acc_1km", "<1 km", 7, "right"),
    Column("acc_2500km", "<2500 km", 9, "right"),
    Column("cost_usd", "cost", 8, "right"),
    Column("region_acc", "region", 7, "right"),
    Column("n", "images", 8, "right"),
    Column("date", "date", 10),
)
COLUMNS: Final = (*_ESSENTIAL, *_MORE)
_GAP: Final = 2
_FIELDS: Final[Mapping[str, str]] = {
    "model": "model",
    "backend": "backend",
    "dataset": "dataset",
    "split": "split",
    "geoscore": "geoscore",
    "answered": "geoscore_answered",
    "coverage": "coverage",
    "median": "median_km",
    "country": "country_acc",
    "images": "n",
    "cost": "cost_usd",
    "date": "date",
}
KEYS: Final[Mapping[str, Sequence[str]]] = {
    "rank": (),
    "mark": ("incomplete", "canary failed", "self-selected", "collapsed"),
    **dict.fromkeys(_FIELDS, ()),
}
"""What results can be filtered by."""
EVERYTHING: Final = Query()

Values = Mapping[str, export.Cell]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `text` is a heading's, or the name of what the line is about."""

    kind: Kind
    text: str = ""
    group: int = -1
    """Which group a heading or result belongs to."""
    ranked: Ranked | None = None
    published: Reference | None = None
    going_on: UnderWay | None = None
    broken: Broken | None = None

    @property
    def path(self) -> Path | None:
        """The result directory that the line is about."""
        if self.ranked is not None:
            return self.ranked.result.path
        return self.going_on.path if self.going_on is not None else None

    @property
    def identity(self) -> tuple[str, str]:
        """The same for the same thing after another look."""
        thing = self.path or (self.broken.path if self.broken else self.text)
        return self.kind, str(thing)


@dataclass(frozen=True)
class Board:
    """What was found, ranked and named."""

    found: Found
    groups: Sequence[Group]
    named: Mapping[Path, Name]
    shown: Mapping[Path, str]
    """The names as they are shown."""
    values: Mapping[Path, Values]
    """Figures of each result by the CSV's column names."""
    spans: Sequence[tuple[float, float]]
    """From which to which GeoScore the interval bars of a group go."""
    longest: int
    """Cells that the longest name takes."""


def make_board(found: Found) -> Board:
    """Ranks and names what was found. With thousands of results it takes a while: for a thread."""
    groups = rank(found.results)
    named: dict[Path, Name] = {}
    values: dict[Path, Values] = {}
    for group in groups:
        named.update(names([row.result for row in group.rows]))
        for row in group.rows:
            values[row.result.path] = dict(zip(export.COLUMNS, export.cells(row), strict=True))
    shown = {path: _shown_name(name) for path, name in named.items()}
    longest = max(map(cell_len, shown.values()), default=0)
    return Board(found, groups, named, shown, values, [_span(g, values) for g in groups], longest)


def _shown_name(name: Name) -> str:
    """Label and what tells it from others, on one line."""
    return printable(f"{name.label} {name.detail}" if name.detail else name.label, limit=_LABEL)


def _span(group: Group, values: Mapping[Path, Values]) -> tuple[float, float]:
    """Round GeoScores around all of a group, so that its bars compare."""
    ends: list[float] = []
    for row in group.rows:
        one = values[row.result.path]
        for name in ("geoscore_ci_low", "geoscore_ci_high", "geoscore"):
            value = one[name]
            if isinstance(value, int | float) and math.isfinite(value):
                ends.append(float(value))
    low, high = min(ends, default=0.0), max(ends, default=GEOSCORE_MAX)
    step = 10.0 ** math.floor(math.log10(max(high - low, 10.0))) / 2
    low = max(math.floor(low / step) * step, 0.0)
    return low, max(min(math.ceil(high / step) * step, GEOSCORE_MAX), low + step)


def lines_of(board: Board, sort: str, *, descending: bool, query: Query = EVERYTHING) -> list[Line]:
    """The lines of the table; within each group sorted by a column, ranked before unranked.

    A query keeps results of ours; ranks stay those among all.
    """
    lines: list[Line] = [] if query.terms else list(_under_way(board))
    for index, group in enumerate(board.groups):
        lines += _group_lines(board, index, group, sort, query, descending=descending)
    if not query.terms:
        lines += _apart(board)
    while lines and lines[-1].kind == "blank":
        lines.pop()
    return lines


def _apart(board: Board) -> Iterator[Line]:
    """Published results, and what can't be read."""
    for published in export.references_for(board.groups):
        first = published[0]
        title = f"Published on {first.dataset}, {first.split}: not comparable, not ranked"
        yield Line("heading", title)
        yield from (Line("published", row.model, published=row) for row in published)
        yield Line("blank")
    unfinished = board.found.under_way
    broken = [one for one in board.found.broken if one.path not in unfinished]
    if broken:
        yield Line("heading", "Left out: can't be read")
        yield from (Line("broken", str(one.path), broken=one) for one in broken)


def _under_way(board: Board) -> Iterator[Line]:
    measured = {result.path for result in board.found.results}
    going_on = [one for one in board.found.under_way.values() if one.path not in measured]
    if going_on:
        yield Line("heading", "Under way: not ranked before it is over")
        for one in going_on:
            backend = section(one.manifest, "backend")
            label = f"{backend.get('name') or '?'}/{backend.get('model') or '?'} {one.name}"
            yield Line("under way", label, going_on=one)
        yield Line("blank")


def _group_lines(
    board: Board, index: int, group: Group, sort: str, query: Query, *, descending: bool
) -> Iterator[Line]:
    kept = [row for row in group.rows if not query.terms or _matches(board, row, query)]
    if not kept:
        return
    yield Line("heading", f"{group.dataset}, {group.split}: {group.n:,} images", index)
    for is_ranked in (True, False):
        rows = [row for row in kept if (row.rank is not None) is is_ranked]
        if rows and not is_ranked:
            yield Line("heading", UNRANKED)
        for row in _sorted(board, rows, sort, descending=descending):
            path = row.result.path
            going_on = board.found.under_way.get(path)
            yield Line("result", board.shown[path], index, ranked=row, going_on=going_on)
    yield Line("blank")


def _matches(board: Board, row: Ranked, query: Query) -> bool:
    values = board.values[row.result.path]
    fields: dict[str, Value] = {key: values[name] for key, name in _FIELDS.items()}
    fields["rank"] = row.rank
    fields["mark"] = [flaw.mark for flaw in row.result.flaws]
    return query.matches(
        fields, lambda: f"{board.shown[row.result.path]} {row.result.path}".casefold()
    )


def _sorted(
    board: Board, rows: Sequence[Ranked], sort: str, *, descending: bool
) -> Sequence[Ranked]:
    """Rows by a column; those without a value come last whichever way."""
    if sort == "rank":
        return rows[::-1] if descending else rows
    key = {"interval": "geoscore_ci_low", "bar": "geoscore", "name": "model"}.get(sort, sort)

    def value(row: Ranked) -> export.Cell:
        return board.values[row.result.path].get(key)

    there = [row for row in rows if value(row) is not None]
    lacking = [row for row in rows if value(row) is None]
    is_text = key in ("model", "date")
    by: Callable[[Ranked], str | float] = (
        (lambda row: str(value(row)).casefold()) if is_text else (lambda row: _number(value(row)))
    )
    return sorted(there, key=by, reverse=descending) + lacking


def _number(value: export.Cell) -> float:
    return float(value) if isinstance(value, int | float) else math.inf


def columns_for(width: int, longest: int) -> list[Column]:
    """The columns, the most important ones first; what doesn't fit is scrolled to."""
    fixed = sum(column.width + _GAP for column in _ESSENTIAL)  # the last gap is the cursor's mark
    spare = max(width - fixed, 0)
    bar = 10 + (4 if width >= 100 else 0) + (6 if width >= 140 else 0)
    spare = max(spare - bar + 10, 0)
    name = NAME_WIDTH + min(spare, max(min(longest, _LONGEST_NAME) - NAME_WIDTH, 0))
    made = {"name": name, "bar": bar}
    return [Column(c.key, c.label, made.get(c.key, c.width), c.align) for c in COLUMNS]


def hidden_columns(columns: Sequence[Column], width: int) -> int:
    """How many columns, from the left on, there is no room for: not even for a part of one."""
    starts = accumulate((column.width + _GAP for column in columns), initial=_GAP)
    return sum(start >= width for start in list(starts)[:-1]) if width else 0


def cells_of(board: Board, line: Line, columns: Sequence[Column], mark: str) -> Cells:
    """The cells of a line; `mark` (A or B) says that a result was chosen."""
    width = next(column.width for column in columns if column.key == "bar")
    if line.kind == "result" and line.ranked is not None:
        shown = _result_cells(board, line, width, mark)
    elif line.kind == "published" and line.published is not None:
        shown = _published_cells(line.published)
    elif line.kind == "under way" and line.going_on is not None:
        shown = _progress_cells(line, line.going_on, width)
    elif line.kind == "heading":
        shown = _heading_cells(board, line, width)
    elif line.kind == "broken":
        shown = {"rank": Cell("✗", "bold"), "name": Cell(printable(line.text), "dim")}
    else:
        shown = {}
    return [shown.get(column.key, "") for column in columns]


def _heading_cells(board: Board, line: Line, width: int) -> dict[str, Cell | str]:
    if line.text == UNRANKED:
        return {"name": Cell("unranked", "italic dim")}
    title = Cell(printable(line.text), "bold", spans=3 if line.group >= 0 else 6)
    cells: dict[str, Cell | str] = {"name": title}
    if line.group >= 0:  # the bars' scale stands above them
        low, high = (f"{end:,.0f}" for end in board.spans[line.group])
        cells["bar"] = Cell(f"{low}{high.rjust(max(width - len(low), 1))}", "dim")
    return cells


def _result_cells(board: Board, line: Line, width: int, mark: str) -> dict[str, Cell | str]:
    assert line.ranked is not None  # noqa: S101 — the caller's kind of line
    row = line.ranked
    value = board.values[row.result.path]
    score, low, high = (value[name] for name in ("geoscore", "geoscore_ci_low", "geoscore_ci_high"))
    has_interval = isinstance(low, int | float) and isinstance(high, int | float)
    interval = f"{export.number(low, 0)}–{export.number(high, 0)}" if has_interval else ""
    place = "–" if row.rank is None else str(row.rank)
    warned = "!" if row.result.flaws else ""
    dim = "" if row.rank is not None else "dim"
    cells: dict[str, Cell | str] = {
        "rank": Cell(f"{mark}{warned}{place.rjust(4 - len(mark) - len(warned))}", "bold"),
        "name": Cell(line.text, "bold" if mark else dim),
        "geoscore": Cell(export.number(score, 1), dim or "bold"),
        "interval": Cell(interval, dim),
        "coverage": Cell(export.percent(value["coverage"]), dim),
        "median_km": Cell(export.number(value["median_km"], 1), dim),
        "geoscore_answered": Cell(export.number(value["geoscore_answered"], 1), dim),
        "country_acc": Cell(export.percent(value["country_acc"]), dim),
        "region_acc": Cell(export.percent(value["region_acc"]), dim),
        "cost_usd": Cell(export.cost(value["cost_usd"]), dim),
        "n": Cell(export.number(value["n"], 0), dim),
        "canary": Cell(canary_word(row), dim),
        "date": Cell(printable(str(value["date"] or "")[:10]), dim),
        **{name: Cell(export.percent(value[name]), dim) for name in ACCURACIES},
    }
    if isinstance(score, int | float):
        ends = (low, high) if has_interval else (score, score)
        cells["bar"] = Cell(
            interval_bar(float(score), (_number(ends[0]), _number(ends[1])),
                         board.spans[line.group], width),
            dim,
        )  # fmt: skip
    return cells


def canary_word(row: Ranked) -> str:
    """Whether the model was shown to see images at all."""
    canary = section(row.result.summary, "canary") or section(row.result.manifest, "canary")
    passed = canary.get("passed")
    if passed is None:
        return "–"
    return "✓ passed" if passed is True else "✗ failed"


def interval_bar(
    value: float, ends: tuple[float, float], span: tuple[float, float], width: int
) -> str:
    """A value and its interval as `├─●─┤` in so many cells, from `span`'s low to its high."""

    def place(at: float) -> int:
        share = (at - span[0]) / (span[1] - span[0])
        return min(max(round(share * (width - 1)), 0), width - 1)

    low, middle, high = place(ends[0]), place(value), place(ends[1])
    bar = [" "] * width
    bar[low : high + 1] = "─" * (high - low + 1)
    bar[low], bar[high] = "├", "┤"
    bar[middle] = "●"
    return "".join(bar)


def _published_cells(row: Reference) -> dict[str, Cell | str]:
    return {
        "rank": Cell("ref", "dim"),
        "name": Cell(printable(row.model), "italic"),
        "geoscore": Cell(export.number(row.geoscore, 0), "italic"),
        "country_acc": Cell(export.percent(row.country_acc), "italic"),
        "region_acc": Cell(export.percent(row.region_acc), "italic"),
        "n": Cell(f"{row.n:,}", "italic"),
    }


def _progress_cells(line: Line, one: UnderWay, width: int) -> dict[str, Cell | str]:
    share = min(one.answers / one.expected, 1.0) if one.expected else 0.0
    full = int(share * width)
    return {
        "rank": Cell("…", "bold"),
        "name": Cell(printable(line.text, limit=_LABEL)),
        "geoscore": Cell(export.percent(share) if one.expected else "?", "bold"),
        "interval": Cell(f"{one.answers:,}/{one.expected:,}"),
        "bar": Cell("█" * full + "░" * (width - full)),
    }
