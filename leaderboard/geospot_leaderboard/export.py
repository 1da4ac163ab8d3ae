"""The leaderboard as CSV and as Markdown."""

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from geospot.evaluation.metrics import ACCURACIES
from geospot.evaluation.report import dollars
from geospot.evaluation.standing import section
from geospot.outcomes import Outcome
from geospot.textsafe import printable, spreadsheet_cell
from geospot_leaderboard.collect import Broken, Result
from geospot_leaderboard.names import Name, names
from geospot_leaderboard.ranking import Group, Ranked
from geospot_leaderboard.references import Reference, references

Cell = str | int | float | None


def _at(*names: str) -> Callable[[Result], Cell]:
    """Reads a figure of the summary by the names on the way to it; None where it isn't there."""

    def read(result: Result) -> Cell:
        found = result.summary
        for name in names[:-1]:
            found = section(found, name)
        return cast(Cell, found.get(names[-1]))

    return read


def _said(part: str, name: str) -> Callable[[Result], Cell]:
    """Reads a value of eval.json."""
    return lambda result: section(result.manifest, part).get(name)


def _bound(index: int) -> Callable[[Result], Cell]:
    def read(result: Result) -> Cell:
        pair: Any = section(section(result.summary, "ci"), "all").get("geoscore")
        return cast(list[Cell], pair)[index] if isinstance(pair, list) else None

    return read


_COLUMNS: Final[Mapping[str, Callable[[Result], Cell]]] = {
    "model": _said("backend", "model"),
    "backend": _said("backend", "name"),
    "dataset": _said("dataset", "name"),
    "split": _said("dataset", "split"),
    "n": _at("n"),
    "coverage": _at("coverage"),
    "geoscore": _at("all", "geoscore"),
    "geoscore_ci_low": _bound(0),
    "geoscore_ci_high": _bound(1),
    "geoscore_answered": _at("answered", "geoscore"),
    "median_km": _at("all", "median_km"),
    "mean_km_answered": _at("answered", "mean_km"),
    **{name: _at("all", name) for name in ACCURACIES},
    "country_acc": _at("admin", "official", "country"),
    "region_acc": _at("admin", "official", "region"),
    "sub_region_acc": _at("admin", "official", "sub_region"),
    "city_acc": _at("admin", "official", "city"),
    "refusals": _at("outcomes", Outcome.REFUSAL),
    "unparsed": _at("outcomes", Outcome.UNPARSED),
    "transport_errors": _at("outcomes", Outcome.TRANSPORT_ERROR),
    "cost_usd": _at("cost_usd"),
    "tokens_in": _at("usage", "input_tokens"),
    "tokens_out": _at("usage", "output_tokens"),
    "prompt_sha": _said("prompt", "sha"),
    "fingerprint": lambda result: result.fingerprint,
    "date": lambda result: result.manifest.get("created"),
    "geospot_version": lambda result: result.manifest.get("geospot_version"),
}

COLUMNS: Final = ("rank", *_COLUMNS)
"""Columns of the CSV. `rank` says why where a row is unranked."""

_DECIMALS: Final = {
    "geoscore": 2,
    "geoscore_ci_low": 2,
    "geoscore_ci_high": 2,
    "geoscore_answered": 2,
    "median_km": 3,
    "mean_km_answered": 3,
    "cost_usd": 6,
}
_SHORT_SHA: Final = 8
_FRACTION_DECIMALS: Final = 6  # one image of OSV-5M's 210,122 still shows


def cells(row: Ranked) -> list[Cell]:
    """The values of one row, in the order of `COLUMNS`."""
    return [standing(row), *(read(row.result) for read in _COLUMNS.values())]


def standing(row: Ranked) -> str:
    """The rank, or why there is none."""
    if row.rank is not None:
        return str(row.rank)
    return f"unranked: {', '.join(row.result.marks)}"


def to_csv(groups: Iterable[Group]) -> str:
    """One line a result; ranks are within a fingerprint. Nothing in it is run as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group in groups:
        for row in group.rows:
            named = zip(COLUMNS, cells(row), strict=True)
            writer.writerow([_csv_cell(name, value) for name, value in named])
    return out.getvalue()


def _csv_cell(name: str, value: Cell) -> str:
    return spreadsheet_cell(printable(_text(name, value)))


def _text(name: str, value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{_DECIMALS.get(name, _FRACTION_DECIMALS)}f}"
    return str(value)


def references_for(groups: Iterable[Group]) -> list[list[Reference]]:
    """Published results on each data set that the groups are about, once each."""
    named = dict.fromkeys((group.dataset, group.split) for group in groups)
    return [published for name in named if (published := references(*name))]


_MARKDOWN_COLUMNS: Final = (
    "rank",
    "model",
    "coverage",
    "geoscore",
    "95% interval",
    "answered",
    "median km",
    *(f"within {radius:g} km" for radius in ACCURACIES.values()),
    "country",
    "region",
    "cost",
)


def to_markdown(groups: Iterable[Group], broken: Sequence[Broken] = ()) -> str:
    """A table for each set of images, published results apart, and what could not be read."""
    groups = list(groups)
    parts = ["# Leaderboard", ""]
    for group in groups:
        parts += _markdown_group(group)
    for published in references_for(groups):
        parts += _markdown_references(published)
    if broken:
        parts += ["## Left out", ""]
        parts += [f"- {_md(f'{one.reason} {one.advice}')}" for one in broken]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def truth(group: Group) -> str:
    """Which true coordinates, in words."""
    if group.truth_sha is None:
        return "true coordinates not recorded"
    return f"true coordinates {group.truth_sha[:_SHORT_SHA]}"


def _markdown_group(group: Group) -> list[str]:
    named = names([row.result for row in group.rows])
    lines = [
        f"## {_md(group.dataset)}, {_md(group.split)}: {group.n:,} images",
        "",
        f"Fingerprint {_md(group.fingerprint)}, {_md(truth(group))}. Scores are over all images; a"
        " failure counts as the worst answer.",
        "",
        *_table(
            _MARKDOWN_COLUMNS, [_markdown_row(row, named[row.result.path]) for row in group.rows]
        ),
        "",
    ]
    notes = [
        f"- {_md(named[row.result.path].short)}: {_md(flaw.sentence)}"
        for row in group.rows
        for flaw in row.result.flaws
    ]
    return [*lines, *notes, ""] if notes else lines


def _markdown_row(row: Ranked, name: Name) -> list[str]:
    value = dict(zip(COLUMNS, cells(row), strict=True))
    low, high = value["geoscore_ci_low"], value["geoscore_ci_high"]
    return [
        _md(standing(row)),
        _md(f"{name.label} ({name.detail})" if name.detail else name.label),
        percent(value["coverage"]),
        number(value["geoscore"], 1),
        f"{number(low, 1)} – {number(high, 1)}" if low is not None else "",
        number(value["geoscore_answered"], 1),
        number(value["median_km"], 1),
        *(percent(value[name]) for name in ACCURACIES),
        percent(value["country_acc"]),
        percent(value["region_acc"]),
        cost(value["cost_usd"]),
    ]


def _markdown_references(published: Sequence[Reference]) -> list[str]:
    heading = ("published", "n", "geoscore", "mean km", "country", "region", "sub-region", "city")
    rows = [
        [
            _md(row.model),
            f"{row.n:,}",
            number(row.geoscore, 0),
            number(row.mean_km, 0),
            percent(row.country_acc),
            percent(row.region_acc),
            percent(row.sub_region_acc),
            percent(row.city_acc),
            _md(row.source if row.read_at_source else f"{row.source} (not read at the source)"),
        ]
        for row in published
    ]
    return [
        f"## Published on {_md(published[0].dataset)}, {_md(published[0].split)}",
        "",
        "Whole test set; not measured here and not ranked.",
        "",
        *_table((*heading, "source"), rows),
        "",
    ]


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line([_md(name) for name in heading]), _line(["---"] * len(heading))] + [
        _line(row) for row in rows
    ]


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def _md(text: str) -> str:
    """Text on one line in which Markdown and HTML mean nothing."""
    escaped = re.sub(r"([\\`*_{}\[\]#|~@])", r"\\\1", printable(text))
    return html.escape(escaped, quote=False)


def percent(value: Cell) -> str:
    """A fraction as a percentage; empty where there is none."""
    return f"{value:.1%}" if isinstance(value, int | float) else ""


def number(value: Cell, decimals: int) -> str:
    """A number with so many decimals; empty where there is none."""
    return f"{value:,.{decimals}f}" if isinstance(value, int | float) else ""


def cost(value: Cell) -> str:
    """An amount in US dollars; empty where it isn't known."""
    return dollars(value) if isinstance(value, int | float) else ""
