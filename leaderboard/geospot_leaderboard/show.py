"""The leaderboard on a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from geospot.evaluation.metrics import ACCURACIES
from geospot.textsafe import printable
from geospot_leaderboard.collect import Broken
from geospot_leaderboard.export import (
    COLUMNS,
    Cell,
    cells,
    number,
    percent,
    references_for,
    standing,
)
from geospot_leaderboard.ranking import Group, Ranked
from geospot_leaderboard.references import Reference

_SHORT_FINGERPRINT = 24


def as_renderable(groups: Sequence[Group], broken: Sequence[Broken]) -> RenderableType:
    """A table for each set of images, published results under it, then what could not be read."""
    parts: list[RenderableType] = []
    for group in groups:
        parts += [_measured(group), *_notes(group), Text()]
    for published in references_for(groups):
        parts += [_published(published), Text()]
    if broken:
        parts.append(Text("Not readable:", style="bold red"))
        parts += [
            Text(f"  {printable(str(one.path))}: {printable(one.reason)}", style="red")
            for one in broken
        ]
    return Stack(*parts)


def _measured(group: Group) -> Table:
    title = (
        f"{group.dataset}, {group.split}: {group.n:,} images"
        f" (fingerprint {group.fingerprint[:_SHORT_FINGERPRINT]}…)"
    )
    table = Table(title=Text(printable(title)), title_justify="left")
    table.add_column("rank", justify="right")
    table.add_column("model", overflow="fold")
    for heading in ("GeoScore", "95% interval", "answered", "coverage", "median km"):
        table.add_column(heading, justify="right")
    for radius in ACCURACIES.values():
        table.add_column(f"<{radius:g} km", justify="right")
    table.add_column("country", justify="right")
    for row in group.rows:
        table.add_row(*(Text(cell) for cell in _measured_row(row)))
    return table


def _measured_row(row: Ranked) -> list[str]:
    value: dict[str, Cell] = dict(zip(COLUMNS, cells(row), strict=True))
    low, high = value["geoscore_ci_low"], value["geoscore_ci_high"]
    return [
        standing(row),
        printable(row.result.label, limit=80),
        number(value["geoscore"], 1),
        f"{number(low, 0)}–{number(high, 0)}" if low is not None else "",
        number(value["geoscore_answered"], 1),
        percent(value["coverage"]),
        number(value["median_km"], 1),
        *(percent(value[name]) for name in ACCURACIES),
        percent(value["country_acc"]),
    ]


def _notes(group: Group) -> Iterator[Text]:
    for row in group.rows:
        for flaw in row.result.flaws:
            label = printable(row.result.label, limit=80)
            yield Text(f"! {label}: {flaw.sentence}", style="red" if flaw.unranked else "yellow")


def _published(rows: Sequence[Reference]) -> Table:
    title = f"Published on {rows[0].dataset}, {rows[0].split}, whole: not measured here, not ranked"
    table = Table(title=Text(title), title_justify="left")
    table.add_column("model")
    for heading in ("GeoScore", "mean km", "country", "region", "sub-region", "city"):
        table.add_column(heading, justify="right")
    table.add_column("source", overflow="fold")
    for row in rows:
        table.add_row(
            row.model,
            number(row.geoscore, 0),
            number(row.mean_km, 0),
            percent(row.country_acc),
            percent(row.region_acc),
            percent(row.sub_region_acc),
            percent(row.city_acc),
            row.source if row.read_at_source else f"{row.source} (not read at the source)",
        )
    return table
