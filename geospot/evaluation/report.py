"""A result on one screen: scores over all and over answered, what failed, what it cost."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from geospot.evaluation.admin import LEVELS
from geospot.evaluation.metrics import ACCURACIES, HEADLINE
from geospot.evaluation.standing import flaws, section
from geospot.textsafe import never_fail_to_print, printable

_TITLES: Final = {
    "geoscore": "GeoScore (0–5000)",
    "mean_km": "mean distance",
    "median_km": "median distance",
} | {name: f"within {radius:g} km" for name, radius in ACCURACIES.items()}


def show(
    manifest: Mapping[str, Any], summary: Mapping[str, Any], console: Console | None = None
) -> None:
    """Prints a result: a table on a terminal, plain lines elsewhere."""
    if console is None:
        never_fail_to_print(sys.stdout)
        console = Console()
    if console.is_terminal:
        console.print(as_renderable(manifest, summary))
    else:
        console.out(as_text(manifest, summary), highlight=False)


def as_renderable(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> RenderableType:
    """The result for a terminal."""
    head, *rows = figure_rows(summary)
    figures = Table(title=Text(_title(manifest, summary)), title_justify="left")
    for index, heading in enumerate(head):
        figures.add_column(Text(heading), justify="right" if index else "left")
    for row in rows:
        figures.add_row(*(Text(cell) for cell in row))
    table = Table(show_header=False, box=None)
    for name, value in facts(summary):
        table.add_row(Text(name, style="bold"), Text(value))
    warnings = [Text(f"! {flaw.sentence}", style="bold red") for flaw in flaws(manifest, summary)]
    return Group(figures, table, *warnings)


def as_text(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The result in plain lines."""
    rows = list(figure_rows(summary))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [_title(manifest, summary), ""]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    lines.append("")
    lines += [f"{name}: {value}" for name, value in facts(summary)]
    lines += [f"WARNING: {flaw.sentence}" for flaw in flaws(manifest, summary)]
    return "\n".join(lines)


def _title(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    backend, dataset = section(manifest, "backend"), section(manifest, "dataset")
    k = summary.get("samples_per_image") or 1
    return printable(
        f"{backend.get('name') or '?'} · {backend.get('model') or '?'} on"
        f" {dataset.get('name') or '?'}, {dataset.get('split') or '?'}:"
        f" {_count(summary.get('n'))} images{f' × {k} answers' if k > 1 else ''}",
        limit=200,
    )


def figure_rows(summary: Mapping[str, Any]) -> Iterator[list[str]]:
    """The headline figures as words, a heading first: over all, its interval, over answered."""
    over_all, answered = section(summary, "all"), section(summary, "answered")
    ci, spread = section(summary, "ci"), section(summary, "spread")
    intervals = section(ci, "all")
    level = ci.get("level") or 0.95
    heading = ["", "over all", f"{level:.0%} interval", "over answered"]
    yield [*heading, "± per draw"] if spread else heading
    for name in HEADLINE:
        row = [
            _TITLES[name],
            _figure(name, over_all.get(name)),
            _interval(name, intervals.get(name)),
            _figure(name, answered.get(name)),
        ]
        yield [*row, _figure(name, spread.get(name))] if spread else row


def facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What else there is to say: coverage, outcomes, right places, what was spent."""
    outcomes = {name: count for name, count in section(summary, "outcomes").items() if count}
    if summary.get("not_asked"):
        outcomes["not asked"] = summary["not_asked"]
    yield "coverage", _share(summary.get("coverage"))
    yield "outcomes", ", ".join(f"{name} {_count(count)}" for name, count in outcomes.items())
    admin = section(summary, "admin")
    unknown = "– (not all were asked)" if summary.get("not_asked") else "the data set has no labels"
    yield "right place (official)", _levels(section(admin, "official")) or unknown
    yield "right place (fixed)", _levels(section(admin, "fixed")) or unknown
    yield "right place named", _levels(section(summary, "said")) or unknown
    collapse = section(summary, "collapse")
    if collapse.get("top_share") is not None:
        yield (
            "coordinates",
            f"{_count(collapse.get('distinct'))} different, most frequent"
            f" {_share(collapse.get('top_share'))}",
        )
    yield "spent", _spent(summary)


def _levels(accuracies: Mapping[str, Any]) -> str:
    known = [
        f"{level.replace('_', '-')} {_share(accuracies[level])}"
        for level in LEVELS
        if accuracies.get(level) is not None
    ]
    return ", ".join(known)


def _spent(summary: Mapping[str, Any]) -> str:
    usage = section(summary, "usage")
    parts = [
        f"{_count(usage.get('input_tokens') or 0)} tokens in",
        f"{_count(usage.get('output_tokens') or 0)} out",
    ]
    if summary.get("cost_usd") is not None:
        parts.append(dollars(summary["cost_usd"]))
    if summary.get("seconds") is not None:
        parts.append(f"{summary['seconds']:,.1f} s")
    return ", ".join(parts)


def dollars(value_usd: float) -> str:
    """An amount in US dollars, in cents; below a dollar with at least two digits that aren't 0."""
    if not 0 < value_usd < 1:
        return f"${value_usd:,.2f}"
    return f"${value_usd:.{max(2, 1 - math.floor(math.log10(value_usd)))}f}"


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in ACCURACIES:
        return _share(value)
    return f"{value:,.1f}" if name == "geoscore" else _kilometres(value)


def _interval(name: str, pair: list[float] | None) -> str:
    return "–" if pair is None else " – ".join(_figure(name, bound) for bound in pair)


def _kilometres(value: float) -> str:
    return f"{value:,.2f} km" if value < 10 else f"{value:,.1f} km"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
