"""One evaluation in words: its figures, what became of its answers, right places, cost.

Figures are those of summary.json. While there is none yet, the same functions that write it make figures of
the answers so far, which are called that.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np
from rich.text import Text

from geospot.evaluation.following import OUTCOMES, Answers
from geospot.evaluation.metrics import Scores
from geospot.evaluation.standing import flaws, section
from geospot.textsafe import printable
from geospot.tui.inks import Inks

Document = Mapping[str, Any]

_MARKS: Final = dict(zip(OUTCOMES, "█▓▒░╳▚▞·", strict=True))
"""Each outcome's character in the bar, so that it needs no colour."""


def so_far(answers: Answers, manifest: Document) -> Document:
    """A summary of the answers that there are, without what only all of them can say."""
    dataset, config = section(manifest, "dataset"), section(manifest, "config")
    n, samples = dataset.get("n"), config.get("samples")
    draws = samples if isinstance(samples, int) else 1
    expected = (n if isinstance(n, int) else len(answers)) * max(draws, 1)
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
        **{name: numbers(section(summary, name)) for name in ("all", "answered", "spread", "said")},
        "ci": {"all": pairs, "level": numbers(ci).get("level")},
        "outcomes": counts,
        "admin": {kind: numbers(section(admin, kind)) for kind in ("official", "fixed")},
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
    text = Text()
    text.append("Outcomes", "bold")
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
    text = Text()
    text.append(f"{'Right places':25}", "bold")
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


def _plain_numbers(figures: Document) -> dict[str, int | float]:
    return {k: v for k, v in figures.items() if isinstance(v, int | float)}


def numbers(figures: object) -> dict[str, float]:
    """The numbers of a JSON object by name; empty where it is something else."""
    if not isinstance(figures, Mapping):
        return {}
    pairs = cast(Mapping[str, Any], figures).items()
    return {k: float(v) for k, v in pairs if isinstance(v, int | float) and not isinstance(v, bool)}
