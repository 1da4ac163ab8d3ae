"""The tables of a report: figures, outcomes, countries, names, comparisons. Words and numbers only."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from geospot.errors import GeospotError
from geospot.evaluation.metrics import ACCURACIES
from geospot.evaluation.report import facts, figure_rows
from geospot.evaluation.standing import section
from geospot.places import country_name
from geospot.report.charts import interval, letter
from geospot.report.sources import Run, step_of
from geospot.textsafe import printable
from geospot_leaderboard.collect import Result
from geospot_leaderboard.compare import Comparison, Difference, compare

_LEVELS: Final = (
    ("country", "country"),
    ("region", "region"),
    ("sub_region", "sub-region"),
    ("city", "city"),
)
_FIGURES: Final = (
    "GeoScore",
    "95% interval",
    "median km",
    "95% interval",
    "< 25 km",
    "< 750 km",
    "coverage",
)


_SECOND: Final = re.compile(r"(?<!\S)B(?=:?(?!\S))")


@dataclass(frozen=True)
class Table:
    """A table; its first column is a heading for each row, the others are numbers at the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: int = 1
    """How many columns from the left are words."""


@dataclass(frozen=True)
class Compared:
    """Two results, pair by pair; or why they can't be compared."""

    title: str
    verdict: str
    caveats: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=list[Table])


def overview(results: Sequence[Result]) -> Table:
    """Every result in a row."""
    rows = [
        [
            letter(place),
            printable(one.label, limit=60),
            printable(one.name, limit=60),
            *_figures(one),
            f"{one.summary['n']:,}",
            _marks(one),
        ]
        for place, one in enumerate(results)
    ]
    return Table(["", "model", "result", *_FIGURES, "images", "marks"], rows, words=3)


def course(run: Run) -> Table | None:
    """The evaluations on a run's way, a step each."""
    rows = [
        [f"{step_of(one):,}", *_figures(one), f"{one.summary['n']:,}", _marks(one)]
        for one in run.course
    ]
    return Table(["step", *_FIGURES, "images", "marks"], rows, words=0) if rows else None


def _figures(one: Result) -> list[str]:
    """What `_FIGURES` names."""
    over_all = section(one.summary, "all")
    return [
        f"{over_all['geoscore']:,.0f}",
        _interval(one, "geoscore"),
        f"{over_all['median_km']:,.0f}",
        _interval(one, "median_km"),
        _share(over_all.get("acc_25km")),
        _share(over_all.get("acc_750km")),
        _share(one.summary.get("coverage")),
    ]


def _interval(one: Result, figure: str) -> str:
    pair = interval(one.summary, figure)
    return f"{pair[0]:,.0f} – {pair[1]:,.0f}" if pair else "–"


def _marks(one: Result) -> str:
    return ", ".join(flaw.mark for flaw in one.flaws) or "–"


def headline(one: Result) -> Table:
    """Every headline figure: over all, with its interval, and over what was answered."""
    head, *rows = figure_rows(one.summary)
    return Table(head, rows)


def all_facts(one: Result) -> Sequence[tuple[str, str]]:
    """What else there is to say of a result, and how it was asked."""
    described, prompt = section(one.manifest, "dataset"), section(one.manifest, "prompt")
    said = [(name, printable(value, limit=300)) for name, value in facts(one.summary)]
    said.append(
        (
            "images",
            printable(
                f"{described.get('name')}, {described.get('split')}: {one.summary['n']:,} of"
                f" {described.get('available') or '?'}, fingerprint {str(one.fingerprint)[:12]}",
                limit=300,
            ),
        )
    )
    asked = " ".join(str(prompt.get("text") or "–").split())
    said.append(("prompt", printable(asked, limit=400)))
    canary = section(one.summary, "canary") or section(one.manifest, "canary")
    passed = canary.get("passed")
    verdict = "passed: images reach the model" if passed is True else "not asked"
    said.append(("canary", "FAILED" if passed is False else verdict))
    made = f"{one.manifest.get('created') or '?'}, geospot {one.manifest.get('geospot_version') or '?'}"
    said.append(("made", printable(made, limit=100)))
    return said


def countries(one: Result) -> Table | None:
    """Figures by the country where photos were taken, the most photographed first."""
    groups = section(one.summary, "by_country")
    if not groups:
        return None
    known = ((code, section(groups, code)) for code in groups)
    ordered = sorted(known, key=lambda item: (-(item[1].get("n") or 0), item[0]))
    rows = [
        [
            printable(country_name(code) or code or "(none)", limit=40),
            _whole(group.get("n")),
            _whole(group.get("geoscore")),
            _whole(group.get("median_km")),
            _share(group.get("acc_25km")),
            _share(group.get("acc_200km")),
            _share(group.get("acc_750km")),
            _share(group.get("coverage")),
        ]
        for code, group in ordered
    ]
    head = [
        "country",
        "images",
        "GeoScore",
        "median km",
        "< 25 km",
        "< 200 km",
        "< 750 km",
        "coverage",
    ]
    return Table(head, rows)


def names(one: Result) -> Table | None:
    """Places that were named, beside the places in which the coordinates lie."""
    said, admin = section(one.summary, "said"), section(one.summary, "admin")
    fixed, official = section(admin, "fixed"), section(admin, "official")
    rows = [
        [title, _share(said.get(level)), _share(fixed.get(level)), _share(official.get(level))]
        for level, title in _LEVELS
        if any(part.get(level) is not None for part in (said, fixed, official))
    ]
    if not rows:
        return None
    head = ["right", "as named", "by coordinates", "by coordinates, official rule"]
    return Table(head, rows)


def comparisons(results: Sequence[Result]) -> Iterator[Compared]:
    """Every result beside the first one, on the images that both were asked."""
    for place, one in enumerate(results[1:], start=1):
        title = f"A and {letter(place)}"
        try:
            found = compare(results[0].path, one.path)
        except GeospotError as error:
            yield Compared(title, f"Not compared: {printable(str(error), limit=400)}")
            continue
        yield _compared(found, title, letter(place))


def _compared(found: Comparison, title: str, other: str) -> Compared:
    def named(text: str) -> str:
        """The comparison calls the second one B, the page by its own letter."""
        return _SECOND.sub(other, text)

    differences = [("GeoScore", found.geoscore), ("median distance (km)", found.median_km)]
    table = Table(
        ["", "A", other, f"{other} − A", "95% interval", "p (permutation)"],
        [_difference(title, one) for title, one in differences],
        f"{found.common:,} images that both were asked. {other} is nearer on {found.wins:,}, as near on"
        f" {found.ties:,}, farther on {found.losses:,}.",
    )
    radii = Table(
        ["within", "A", other, "only A", f"only {other}", "p (McNemar, mid)", "p (Holm)"],
        [
            [
                f"{ACCURACIES[name]:g} km", _share(test.a), _share(test.b), f"{test.only_a:,}",
                f"{test.only_b:,}", f"{test.p_mid:.3g}", f"{test.p_holm:.3g}",
            ]
            for name, test in found.thresholds.items()
        ],
    )  # fmt: skip
    worst = Table(
        ["image", "points lost", "A (km)", f"{other} (km)", "A", other],
        [
            [
                printable(one.id, limit=60), f"{one.loss:,.0f}", f"{one.a_km:,.0f}", f"{one.b_km:,.0f}",
                one.a_outcome, one.b_outcome,
            ]
            for one in found.regressions
        ],
        f"Where {other} lost most",
    )  # fmt: skip
    caveats = [printable(named(caveat), limit=400) for caveat in found.caveats]
    tables = [table, radii, worst] if worst.rows else [table, radii]
    return Compared(title, named(found.verdict), caveats, tables)


def _difference(title: str, one: Difference) -> list[str]:
    interval = f"{one.interval.low:+,.1f} – {one.interval.high:+,.1f}" if one.interval else "–"
    return [
        title,
        f"{one.a:,.1f}",
        f"{one.b:,.1f}",
        f"{one.difference:+,.1f}",
        interval,
        f"{one.p:.3g}",
    ]


def _whole(value: Any) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def _share(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "–"
