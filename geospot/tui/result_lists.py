"""Answers, countries and settings of one evaluation as rows of tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt

from geospot.evaluation.following import OUTCOMES, Answers
from geospot.evaluation.metrics import HEADLINE, Scores
from geospot.evaluation.standing import section
from geospot.evaluation.textsearch import TextSearch
from geospot.query import Query, Value
from geospot.textsafe import printable
from geospot.tui.result_view import Document, numbers
from geospot.tui.widgets.table import Cell, Cells, Column

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Order = Literal["worst", "best", "typical", "as answered"]
ORDERS: Final[tuple[Order, ...]] = ("worst", "best", "typical", "as answered")
KEYS: Final[Mapping[str, Sequence[str]]] = {
    "km": (),
    "geoscore": (),
    "outcome": OUTCOMES,
    "country": (),
    "said": (),
    "id": (),
    "draw": (),
}
"""What answers can be filtered by."""

ANSWER_COLUMNS: Final = (
    Column("km", "km", 9, "right"),
    Column("geoscore", "GeoScore", 8, "right"),
    Column("outcome", "outcome", 11),
    Column("true", "true", 20),
    Column("said", "said", 24, flexible=True),
    Column("id", "photo", 12, flexible=True, priority=1),
)
COUNTRY_COLUMNS: Final = (
    Column("name", "country", 20, flexible=True),
    Column("n", "images", 7, "right"),
    Column("median_km", "median km", 9, "right"),
    Column("mean_km", "mean km", 9, "right", priority=1),
    Column("geoscore", "GeoScore", 8, "right"),
    Column("acc_25km", "<25 km", 7, "right", priority=3),
    Column("acc_200km", "<200 km", 7, "right", priority=2),
    Column("acc_750km", "<750 km", 7, "right"),
    Column("coverage", "coverage", 8, "right"),
)
SETTING_COLUMNS: Final = (
    Column("name", "setting", 28),
    Column("value", "value", 40, flexible=True),
)

_LONG: Final = 400


@dataclass(frozen=True)
class Country:
    """Figures of the photos of one country; `values` are by the columns' keys."""

    name: str
    code: str
    values: Mapping[str, float]


# The answers


def order_of(
    answers: Answers, sort: str, *, descending: bool, query: Query, search: TextSearch
) -> IntArray:
    """The rows that a query keeps, in an order. With many answers it takes a while: for a thread.

    Args:
        sort: one of `ORDERS` or a column's key.
        search: looks for the query's words in what the model wrote.
    """
    rows = np.arange(len(answers))
    if query.terms:
        written = {
            word: np.isin(answers.columns_N["offset"], hits.offsets)
            for word, hits in search.look(query.words).items()
        }
        keep = [
            query.matches(_fields(answers, row), lambda r=row: _searched(answers, r, written))
            for row in range(len(answers))
        ]
        rows = rows[np.array(keep, np.bool_)]
    km_M, answered_M = answers.distance_km_N[rows], answers.answered_N[rows]
    if sort in ("worst", "km"):
        turn = sort == "worst" or descending
        return rows[np.lexsort((~answered_M if not turn else answered_M, -km_M if turn else km_M))]
    if sort == "best":
        return rows[np.lexsort((~answered_M, km_M))]
    if sort == "typical":
        middle = float(np.median(answers.distance_km_N)) if len(answers) else 0.0
        return rows[np.argsort(np.abs(km_M - middle), kind="stable")]
    if sort == "as answered":
        return rows
    by = np.array(
        [_sort_text(answers, int(row), sort) for row in range(len(answers))], dtype=object
    )
    if sort == "geoscore":
        placed = np.argsort(answers.geoscore_N[rows], kind="stable")
    else:
        placed = np.array(sorted(range(len(rows)), key=lambda i: by[i]), np.int64)
    return rows[placed[::-1]] if descending else rows[placed]


def _sort_text(answers: Answers, row: int, key: str) -> str:
    if key == "true":
        return answers.country(row)
    if key == "said":
        return answers.said[row].casefold()
    return OUTCOMES[int(answers.outcome_N[row])] if key == "outcome" else answers.ids[row]


def _fields(answers: Answers, row: int) -> dict[str, Value]:
    return {
        "km": float(answers.distance_km_N[row]),
        "geoscore": float(answers.geoscore_N[row]),
        "outcome": OUTCOMES[int(answers.outcome_N[row])],
        "country": answers.country(row),
        "said": answers.said[row],
        "id": answers.ids[row],
        "draw": float(answers.columns_N["draw"][row]),
    }


def _searched(answers: Answers, row: int, written: Mapping[str, BoolArray]) -> str:
    listed = f"{answers.ids[row]} {answers.said[row]} {answers.country(row)}".casefold()
    return "\n".join([listed, *(word for word, is_there_N in written.items() if is_there_N[row])])


def answer_cells(answers: Answers, row: int) -> Cells:
    """One answer as cells of `ANSWER_COLUMNS`."""
    outcome = OUTCOMES[int(answers.outcome_N[row])]
    is_ok = outcome == "ok"
    said = answers.said[row]
    if is_ok:
        said = f"{degrees(answers.point(row, true=False))} {said}"
    return [
        Cell(f"{answers.distance_km_N[row]:,.1f}" if is_ok else "–", "bold"),
        f"{answers.geoscore_N[row]:,.0f}",
        Cell(outcome, "" if is_ok else "bold"),
        printable(f"{answers.country(row)[:3]:3}{degrees(answers.point(row, true=True))}"),
        printable(said, limit=_LONG),
        printable(answers.ids[row], limit=_LONG),
    ]


def degrees(point: tuple[float, float]) -> str:
    """Latitude and longitude in a fixed width."""
    return f"{point[0]:7.2f} {point[1]:8.2f}" if all(map(math.isfinite, point)) else "–"


# Countries and settings


def countries_of(answers: Answers, summary: Document | None) -> list[Country]:
    """Figures by country, from the summary; while it has none, of the answers so far by their labels."""
    given = section(summary or {}, "by_country")
    of_all = {code: numbers(figures) for code, figures in given.items()}
    found = of_all or _by_label(answers)
    return [Country(_country_name(code), code, values) for code, values in found.items()]


def _by_label(answers: Answers) -> dict[str, dict[str, float]]:
    country_N = answers.columns_N["country"]
    found: dict[str, dict[str, float]] = {}
    for index, name in enumerate(answers.countries):
        rows = np.flatnonzero(country_N == index)
        if not name or not len(rows):
            continue
        scores = Scores(
            answers.distance_km_N[rows], answers.geoscore_N[rows], answers.answered_N[rows]
        )
        figures = scores.over_all()
        values = {key: float(figures[key] or 0.0) for key in HEADLINE}
        found[name] = values | {"n": float(len(rows)), "coverage": scores.coverage}
    return found


def _country_name(code: str) -> str:
    from geospot.places import country_name

    name = country_name(code) if len(code) == 2 else None
    return f"{code} {name}" if name else code


def sorted_countries(countries: Sequence[Country], key: str, *, descending: bool) -> list[Country]:
    """Countries by a column; those without a value come last."""
    if key == "name":
        return sorted(countries, key=lambda one: one.name.casefold(), reverse=descending)
    there = [one for one in countries if key in one.values]
    lacking = [one for one in countries if key not in one.values]
    return sorted(there, key=lambda one: one.values[key], reverse=descending) + lacking


def country_cells(country: Country) -> Cells:
    """One country as cells of `COUNTRY_COLUMNS`."""

    def shown(key: str) -> str:
        value = country.values.get(key)
        if value is None:
            return "–"
        if key.startswith("acc_") or key == "coverage":
            return f"{value:.1%}"
        return f"{value:,.0f}" if key == "n" else f"{value:,.1f}"

    return [printable(country.name, limit=_LONG), *(shown(c.key) for c in COUNTRY_COLUMNS[1:])]


def settings_of(manifest: Document) -> list[tuple[str, str]]:
    """Everything that eval.json says, a dotted name and a value each; printable."""
    found: list[tuple[str, str]] = []
    _flatten("", manifest, found)
    return found


def _flatten(before: str, value: Any, found: list[tuple[str, str]]) -> None:
    if isinstance(value, dict) and value and before.count(".") < 6:
        for key, inner in cast(dict[str, object], value).items():
            _flatten(f"{before}.{key}" if before else str(key), inner, found)
        return
    shown = "–" if value is None else str(cast(object, value))
    found.append((printable(before, limit=_LONG), printable(shown, limit=_LONG)))
