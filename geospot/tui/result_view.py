"""One evaluation as what its screen shows: figures in words, the order of answers, countries, settings.

Figures are those of summary.json. While there is none yet, the same functions that write it make figures of
the answers so far, which are called that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt
from rich.text import Text

from geospot.evaluation.following import OUTCOMES, Answers
from geospot.evaluation.metrics import HEADLINE, Scores
from geospot.evaluation.standing import flaws, section
from geospot.textsafe import printable
from geospot.tui.inks import Inks
from geospot.tui.query import Query, Value
from geospot.tui.widgets.table import Cell, Cells, Column

IntArray = npt.NDArray[np.int64]
Document = Mapping[str, Any]

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

_MARKS: Final = dict(zip(OUTCOMES, "█▓▒░╳▚▞·", strict=True))
"""Each outcome's character in the bar, so that it needs no colour."""

_LONG: Final = 400


@dataclass(frozen=True)
class Country:
    """Figures of the photos of one country; `values` are by the columns' keys."""

    name: str
    code: str
    values: Mapping[str, float]


def so_far(answers: Answers, manifest: Document) -> Document:
    """A summary of the answers that there are, without what only all of them can say."""
    dataset, config = section(manifest, "dataset"), section(manifest, "config")
    n, samples = dataset.get("n"), config.get("samples")
    expected = (n if isinstance(n, int) else len(answers)) * (samples or 1)
    scores = Scores(answers.distance_km_N, answers.geoscore_N, answers.answered_N)
    count = np.bincount(answers.outcome_N, minlength=len(OUTCOMES))
    return {
        "n": n,
        "samples_per_image": samples,
        "coverage": scores.coverage,
        "outcomes": dict(zip(OUTCOMES, map(int, count), strict=True)),
        "not_asked": max(expected - len(answers), 0),
        "complete": False,
        "all": scores.over_all(),
        "answered": scores.over_answered(),
        "canary": manifest.get("canary"),
    }


def sound(summary: Document) -> Document:
    """The summary without what isn't of the kind it should be; files may come from anywhere."""
    ci = section(summary, "ci")
    pairs = {
        name: [float(bound) for bound in cast(list[Any], pair)]
        for name, pair in section(ci, "all").items()
        if isinstance(pair, list)
        and len(cast(list[Any], pair)) == 2
        and all(isinstance(bound, int | float) for bound in cast(list[Any], pair))
    }
    counts = {k: v for k, v in section(summary, "outcomes").items() if isinstance(v, int)}
    admin = section(summary, "admin")
    kept: dict[str, Any] = {
        name: value
        for name in ("n", "coverage", "not_asked", "samples_per_image", "cost_usd", "seconds")
        if isinstance(value := summary.get(name), int | float)
    }
    return {
        **{
            name: _numbers(section(summary, name)) for name in ("all", "answered", "spread", "said")
        },
        "ci": {"all": pairs, "level": _numbers(ci).get("level")},
        "outcomes": counts,
        "admin": {kind: _numbers(section(admin, kind)) for kind in ("official", "fixed")},
        "collapse": _plain_numbers(section(summary, "collapse")),
        "usage": _plain_numbers(section(summary, "usage")),
        "canary": summary.get("canary"),
        "complete": summary.get("complete"),
        **kept,
    }


def overview(
    manifest: Document, summary: Document, *, is_so_far: bool, inks: Inks, width: int
) -> Text:
    """Figures, what is wrong with the result, outcomes, places, cost."""
    summary = sound(summary)
    text = Text()
    ink = {"bad": f"#{inks.bad:06x}", "warning": f"#{inks.warning:06x}"}
    if is_so_far:
        text.append(
            "Under way: figures are of the answers so far, without intervals.\n", ink["warning"]
        )
    else:
        for flaw in flaws(manifest, summary):
            kind = "Unranked" if flaw.unranked else "Warning"
            style = ink["bad" if flaw.unranked else "warning"]
            text.append(printable(f"{kind} ({flaw.mark}): {flaw.sentence}") + "\n", style)
    text.append_text(_figures(summary))
    text.append("\n")
    text.append_text(_outcomes(summary, inks, width))
    text.append("\n")
    text.append_text(_places(summary))
    text.append_text(_rest(manifest, summary))
    return text


def _figures(summary: Document) -> Text:
    from geospot.evaluation.report import figure_rows

    rows = list(figure_rows(summary))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = Text()
    for number, row in enumerate(rows):
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        text.append(row[0].ljust(widths[0]), "" if number else "dim")
        text.append("  " + cells[0], "bold" if number else "dim")
        text.append("".join(f"  {cell}" for cell in cells[1:]) + "\n", "" if number else "dim")
    return text


def _outcomes(summary: Document, inks: Inks, width: int) -> Text:
    """A bar of shares, each outcome with a character of its own, and words for them."""
    counts = {
        name: count
        for name, count in section(summary, "outcomes").items()
        if isinstance(count, int) and count > 0
    }
    not_asked = summary.get("not_asked") or 0
    if not_asked:
        counts["not asked"] = not_asked
    total = sum(counts.values())
    text = Text("Outcomes", "bold")
    text.append(f"  {total:,} answers\n", "dim")
    if not total:
        return text
    room = max(width - 2, 10)
    for name, cells in _shared(counts, room).items():
        text.append(_mark(name) * cells, _outcome_style(name, inks))
    text.append("\n")
    for name, count in counts.items():
        text.append(_mark(name), _outcome_style(name, inks))
        text.append(f" {printable(name)} {count:,} ({count / total:.1%})   ")
    text.append("\n")
    return text


def _mark(outcome: str) -> str:
    return _MARKS.get(outcome, " ") if outcome != "not asked" else "┄"


def _outcome_style(outcome: str, inks: Inks) -> str:
    if outcome == "ok":
        return f"#{inks.good:06x}"
    return f"#{inks.muted:06x}" if outcome == "not asked" else f"#{inks.bad:06x}"


def _shared(counts: Mapping[str, int], room: int) -> dict[str, int]:
    """Cells of a bar by share; whatever there is gets at least one."""
    total = sum(counts.values())
    cells = {name: max(1, round(count / total * room)) for name, count in counts.items()}
    largest = max(cells, key=lambda name: cells[name])
    cells[largest] = max(cells[largest] - (sum(cells.values()) - room), 1)
    return cells


def _places(summary: Document) -> Text:
    """Right places: where the coordinates are, beside what the answers name."""
    admin = section(summary, "admin")
    kinds = {
        "by coordinates (official)": section(admin, "official"),
        "by coordinates (fixed)": section(admin, "fixed"),
        "by the names said": section(summary, "said"),
    }
    levels = ("country", "region", "sub_region", "city")
    if not any(value is not None for kind in kinds.values() for value in kind.values()):
        return Text(
            "Right places: known when everything was asked, where photos have labels.\n", "dim"
        )
    text = Text(f"{'Right places':25}", "bold")
    text.append("".join(level.replace("_", "-").rjust(12) for level in levels) + "\n", "dim")
    for name, kind in kinds.items():
        text.append(
            f"{name:25}" + "".join(_share(kind.get(level)).rjust(12) for level in levels) + "\n"
        )
    return text


def _rest(manifest: Document, summary: Document) -> Text:
    from geospot.evaluation.report import facts

    text = Text("\n")
    wanted = ("coverage", "coordinates", "spent")
    known = {name: value for name, value in facts(summary) if name in wanted}
    canary = section(summary, "canary") or section(manifest, "canary")
    passed = canary.get("passed")
    known["canary"] = (
        "not asked" if passed is None else "passed" if passed is True else "failed"
    ) + (f": {canary['detail']}" if canary.get("detail") else "")
    for name, value in known.items():
        text.append(f"{name:13}", "dim")
        text.append(printable(value) + "\n")
    return text


def _share(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "–"


# The answers


def order_of(answers: Answers, sort: str, *, descending: bool, query: Query) -> IntArray:
    """The rows that a query keeps, in an order. With many answers it takes a while: for a thread.

    Args:
        sort: one of `ORDERS` or a column's key.
    """
    rows = np.arange(len(answers))
    if query.terms:
        keep = [
            query.matches(_fields(answers, row), lambda r=row: _searched(answers, r))
            for row in rows
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
    by = np.array([_sort_text(answers, int(row), sort) for row in rows], dtype=object)
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


def _searched(answers: Answers, row: int) -> str:
    return f"{answers.ids[row]} {answers.said[row]} {answers.country(row)}".casefold()


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
    of_all = {code: _numbers(figures) for code, figures in given.items()}
    found = of_all or _by_label(answers)
    return [Country(_country_name(code), code, values) for code, values in found.items()]


def _plain_numbers(figures: Document) -> dict[str, int | float]:
    return {k: v for k, v in figures.items() if isinstance(v, int | float)}


def _numbers(figures: object) -> dict[str, float]:
    """The numbers of a JSON object by name; empty where it is something else."""
    if not isinstance(figures, Mapping):
        return {}
    pairs = cast(Mapping[str, Any], figures).items()
    return {k: float(v) for k, v in pairs if isinstance(v, int | float) and not isinstance(v, bool)}


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


def _flatten(before: str, value: object, found: list[tuple[str, str]]) -> None:
    if isinstance(value, dict) and value and before.count(".") < 6:
        for key, inner in cast(dict[str, object], value).items():
            _flatten(f"{before}.{key}" if before else str(key), inner, found)
        return
    shown = "–" if value is None else str(value)
    found.append((printable(before, limit=_LONG), printable(shown, limit=_LONG)))
