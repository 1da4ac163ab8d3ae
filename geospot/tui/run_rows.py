"""A run as a row of the table: its columns, what stands in them, and how they sort."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from geospot.numbertext import compact, duration
from geospot.runs.catalogue import RunSummary
from geospot.textsafe import printable
from geospot.tui.inks import Inks
from geospot.tui.widgets.sparkline import spark
from geospot.tui.widgets.table import Cell, Cells, Column

STANDING_MARKS: Final[Mapping[str, str]] = {
    "running": "▶",
    "silent": "◌",
    "finished": "✓",
    "stopped": "■",
    "failed": "✗",
    "died": "†",
    "unknown": "?",
}
"""A mark for what has become of a run, beside the word."""

_SPARK: Final = 8
_WIDE_SPARK: Final = 20
_WIDE: Final = 170
"""Cells from which on the curve has more room."""


def columns_for(width: int, kept: str = "") -> Sequence[Column]:
    """The columns for a table of this width. At 80 there is room for those that matter most.

    Args:
        kept: key of a column for which there is room in any case: the one that rows are sorted by.
    """
    columns = (
        Column("marked", "", 1),
        Column("state", "State", 10),
        Column("name", "Run", 15, flexible=True, cut="start"),
        Column("kind", "Kind", 5 if width > 80 or kept == "kind" else 4, priority=4),
        Column("model", "Model", 18, flexible=width >= _WIDE, priority=6, cut="start"),
        Column("step", "Step", 11, "right", priority=1),
        Column("score", "Rew/NLL", 8, "right"),
        Column("spark", "", _WIDE_SPARK if width >= _WIDE else _SPARK, priority=3),
        Column("km", "Med km", 7, "right", priority=2),
        Column("elapsed", "Elapsed", 8, "right", priority=5),
        Column("eta", "Left", 6, "right", priority=5),
        Column("tokens", "Tokens", 7, "right", priority=8),
        Column("cost", "Cost", 8, "right", priority=7),
        Column("started", "Started", 11, "right", priority=9),
    )
    return tuple(replace(one, priority=0) if one.key == kept else one for one in columns)


_BY: Final[Mapping[str, Callable[[RunSummary], float | str | None]]] = {
    "state": lambda run: list(STANDING_MARKS).index(run.standing),
    "name": lambda run: run.name.casefold(),
    "kind": lambda run: run.kind,
    "model": lambda run: run.model.casefold(),
    "step": lambda run: run.step,
    "score": lambda run: run.score,
    "km": lambda run: run.median_km,
    "elapsed": lambda run: run.elapsed_s,
    "eta": lambda run: run.eta_s,
    "tokens": lambda run: run.tokens,
    "cost": lambda run: run.cost_usd,
    "started": lambda run: run.started_s,
}
SORTABLE: Final = tuple(_BY)
"""Keys of the columns that rows can be sorted by, in their order."""
_TEXTS: Final = ("state", "name", "kind", "model")


def descends_first(key: str) -> bool:
    """Whether the first sorting by a column is from large to small."""
    return key not in (*_TEXTS, "km", "eta")


def sorted_runs(runs: Sequence[RunSummary], key: str, *, descending: bool) -> list[RunSummary]:
    """The runs by a column. Those without a figure are at the end either way; equals stay as they were."""
    by = _BY[key]
    there = [run for run in runs if _is_figure(by(run))]
    there.sort(key=by, reverse=descending)  # pyright: ignore[reportArgumentType]
    if key == "score":  # a reward is no greater NLL: the two kinds stay apart
        there.sort(key=lambda run: run.score_name != "reward")
    return [*there, *(run for run in runs if not _is_figure(by(run)))]


def _is_figure(value: float | str | None) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def cells_of(run: RunSummary, *, marked: bool, inks: Inks, spark_width: int) -> Cells:
    """The row of a run, in the order of `columns_for`."""
    muted = f"#{inks.muted:06x}"
    return (
        Cell("●" if marked else " ", f"#{inks.accent:06x}"),
        standing_cell(run.standing, inks),
        printable(run.name),
        Cell(run.kind, muted),
        Cell(printable(run.model), muted),
        _steps(run),
        _number(run.score),
        Cell(spark(np.array(run.spark), spark_width), f"#{inks.series[0]:06x}"),
        _number(run.median_km),
        Cell(_duration(run.elapsed_s), muted),
        _duration(run.eta_s),
        Cell(_number(run.tokens), muted),
        dollars(run.cost_usd),
        Cell("" if run.started_s is None else _clock(run.started_s), muted),
    )


def unread_cells(name: str, inks: Inks, *, marked: bool) -> Cells:
    """The row of a run whose files haven't been read yet."""
    return (
        Cell("●" if marked else " ", f"#{inks.accent:06x}"),
        Cell("… reading", f"#{inks.muted:06x}"),
        printable(name),
    )


def standing_cell(standing: str, inks: Inks) -> Cell:
    """What has become of a run: a mark and a word, in a colour that says it again."""
    ink = {
        "running": inks.good,
        "silent": inks.warning,
        "failed": inks.bad,
        "died": inks.bad,
        "finished": inks.foreground,
    }.get(standing, inks.muted)
    return Cell(f"{STANDING_MARKS.get(standing, '?')} {standing}", f"#{ink:06x}")


def _steps(run: RunSummary) -> str:
    done, total = (f"{n:,}" if n < 100_000 else compact(n) for n in (run.step, run.total))
    return f"{done}/{total}" if run.total else done


def _number(value: float | None) -> str:
    return "" if value is None else compact(value)


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def dollars(value: float | None) -> str:
    """A cost; empty where none is known."""
    if value is None or not math.isfinite(value):
        return ""
    return f"${value:,.2f}" if value < 100_000 else f"${compact(value)}"


def _clock(seconds: float) -> str:
    try:
        return time.strftime("%m-%d %H:%M", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return "–"
