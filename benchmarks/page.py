"""RESULTS.md: made from the records, never written by hand."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.records import FOLDER, Conditions, Figure, Record

PAGE: Final = "RESULTS.md"
_LOWEST: Final = 12
_WHY: Final = Path(__file__).with_name("lowest.md")
_INTRO: Final = """\
# Benchmarks beside peers

Written by `make bench` (`python -m benchmarks`) from the records in `results/`; a part is measured again
by its name, and keeps the rest: `python -m benchmarks scoring`.

**Ratio**: how many times better geospot is than the peer in the same round. Above 1 geospot costs less,
or does more in the same time; below 1 the peer does. Each cell is the median of the rounds, with the
range in brackets. Both sides do the same work, in turns, so that a busy machine slows both alike; where
a part does otherwise, its notes say so. Peers named "alone", "bare" or "loop" do less on purpose: they are
what nobody can go below, or what one writes without a library.
"""


def markdown(records: Sequence[Record], pictures: Path, names: Sequence[str]) -> str:
    """The whole page.

    Args:
        pictures: those that lie in this folder's `results`.
        names: of all benchmarks that there are; those without a record are named.
    """
    parts = [_INTRO, *_unmeasured(records, names), _lowest(records), _WHY.read_text()]
    parts += [_section(record, pictures) for record in records]
    return "\n".join(parts)


def _unmeasured(records: Sequence[Record], names: Sequence[str]) -> Sequence[str]:
    known = {record.name for record in records}
    without = [f"`{name}`" for name in names if name not in known]
    return [f"**Without a record**, and so not on this page: {', '.join(without)}.\n"][
        : len(without)
    ]


def section(record: Record) -> str:
    """One benchmark: conditions, lines and notes."""
    table = record.table
    parts = [f"## {record.title}\n", _conditions(record.conditions, table.versions)]
    if table.figures:
        parts.append(_lines(table.figures))
    if table.notes:
        parts.append(table.notes.strip() + "\n")
    return "\n".join(parts)


def _section(record: Record, folder: Path) -> str:
    text = section(record)
    if (folder / FOLDER / f"{record.name}.svg").exists():
        text += f"\n![{record.title}: cost against size]({FOLDER}/{record.name}.svg)\n"
    return text


def _conditions(seen: Conditions, versions: dict[str, str] | object) -> str:
    assert isinstance(versions, dict)
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())  # pyright: ignore[reportUnknownVariableType]
    return "\n".join(
        [
            f"`{seen.command}`, {seen.date}, {seen.seconds:.0f} s, geospot {seen.commit}"
            + (f"; {packages}." if packages else "."),
            f"{seen.machine}. Load average {seen.load_before:.2f} before and {seen.load_after:.2f} after; "
            f"other processes kept {seen.others:.2f} cores busy, the host took {seen.steal:.1%}.",
            "",
        ]
    )


def _lines(figures: Sequence[Figure]) -> str:
    lines = [
        "| what | size | unit | geospot | peer | theirs | ratio |",
        "| --- | ---: | --- | ---: | --- | ---: | ---: |",
    ]
    for one in figures:
        size = "" if one.size is None else f"{one.size:,.0f} {one.axis}"
        theirs = _span(one.theirs) if one.theirs else "–"
        ratio = _span(one.ratios) if one.ratios else "–"
        lines.append(
            f"| {one.task} | {size} | {one.unit} | {_span(one.ours)} | {one.peer or '–'} "
            f"| {theirs} | {ratio} |"
        )
    return "\n".join(lines) + "\n"


def _lowest(records: Sequence[Record]) -> str:
    """The lines in which we are worst, each task and peer once: at the size where it is worst."""
    worst: dict[tuple[str, str, str], tuple[float, Record, Figure]] = {}
    for record in records:
        for one in record.table.figures:
            if one.ratio is None:
                continue
            key = (record.name, one.task, one.peer)
            if key not in worst or one.ratio < worst[key][0]:
                worst[key] = (one.ratio, record, one)
    lines = [
        "## The lowest ratios\n",
        "| benchmark | what | size | peer | ratio |",
        "| --- | --- | ---: | --- | ---: |",
    ]
    for _, record, one in sorted(worst.values(), key=lambda found: found[0])[:_LOWEST]:
        size = "" if one.size is None else f"{one.size:,.0f} {one.axis}"
        lines.append(
            f"| {record.title} | {one.task}, {one.unit} | {size} | {one.peer} | {_span(one.ratios)} |"
        )
    return "\n".join(lines) + "\n"


def _span(values: Sequence[float]) -> str:
    """Median and range, in three digits."""
    middle = _number(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))}–{_number(max(values))})"


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
