"""The top of a run's screen: whether it lives, how far it is, what it costs, its newest figures."""

import math
import time
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from geospot.numbertext import compact, duration
from geospot.runs.heartbeat import standing_by_files
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.inks import Inks
from geospot.tui.run_rows import STANDING_MARKS
from geospot.tui.screens.run_figures import NEWEST
from geospot.tui.widgets.sparkline import spark

Part = tuple[str, str]
"""Text and its style."""

_GOOD: Final = ("running", "finished")
_BAR: Final = 16
_PACED: Final = 20
_TOKENS: Final = ("tokens/prefill", "tokens/cached_prefill", "tokens/sample", "tokens/train")
_SPARK: Final = 12
_LONGEST_REASON: Final = 1200
_ROOM_BESIDE: Final = 12
"""Columns of the head that the state takes, before the reason."""


def standing_of(state: RunState) -> Sequence[str]:
    """What has become of the run, in words: the state, and what there is to say about it.

    Without a heartbeat, as of tinker-cookbook's runs, it is what the files look like, and that is said.
    """
    beat = state.beat
    if beat is None:
        return _standing_by_files(state)
    standing = beat.standing()
    where = "" if beat.is_here else f"on {printable(beat.host, limit=40)}, read only"
    if standing == "running":
        return ("running", where, "stopping, as asked" if beat.stopping else printable(beat.phase))
    if standing == "silent":
        quiet = duration(max(time.time() - beat.time, 0))
        return ("silent", f"no sign of life for {quiet}, since {_clock(beat.time)}", where)
    if standing == "died":
        return (
            "died",
            f"its process {beat.pid} is gone; it last beat at {_clock(beat.time)}",
            where,
        )
    return (standing, printable(beat.reason, limit=300), where)


def _standing_by_files(state: RunState) -> Sequence[str]:
    standing = standing_by_files(ends=state.has_final, written_s=state.written_s)
    if standing == "finished":
        return (standing, "no heartbeat, but its final checkpoint is there")
    if state.written_s is None:
        return (standing, "no heartbeat: nothing says whether it is running")
    ago = duration(max(time.time() - state.written_s, 0))
    if standing == "running":
        return (standing, f"no heartbeat, but it wrote {ago} ago")
    return (standing, f"no heartbeat, and nothing written for {ago}")


def long_reason(state: RunState, width: int) -> str:
    """Why the run failed, where that doesn't fit into the head; empty where it does."""
    beat = state.beat
    if beat is None or beat.standing() != "failed":
        return ""
    reason = printable(beat.reason, limit=_LONGEST_REASON)
    return reason if len(reason) + _ROOM_BESIDE > width else ""


def head(state: RunState, width: int, inks: Inks, *, is_gone: bool) -> Text:
    """Two lines: where the run stands, and its newest figures; what doesn't fit leaves from the end.

    Args:
        is_gone: whether the directory isn't there any more, and `state` is what was known of it.
    """
    standing, *words = (
        ("gone", "its directory isn't there any more") if is_gone else standing_of(state)
    )
    if not is_gone and long_reason(state, width):
        words = ["why stands below"]
    inks_of_standing = {"silent": inks.warning, "stopped": inks.warning, "unknown": inks.muted}
    ink = inks.good if standing in _GOOD else inks_of_standing.get(standing, inks.bad)
    colour = f"#{ink:06x}"
    first: Part = (f"{STANDING_MARKS.get(standing, '?')} {standing}", f"bold {colour}")
    said = [(word, "" if standing in _GOOD else colour) for word in words if word]
    progress = _progress(state, standing)
    text = _fitted(
        [first, *progress, *said] if standing == "finished" else [first, *said, *progress], width
    )
    text.append("\n")
    text.append_text(_fitted(_newest(state), width))
    return text


def is_over(state: RunState) -> bool:
    """Whether nothing more is to come, as far as anything says so."""
    if state.beat is None:
        return state.is_gone or state.has_final
    return state.is_gone or state.beat.standing() not in ("running", "silent")


def _progress(state: RunState, standing: str) -> list[Part]:
    """Step of total, time spent and time left, tokens, cost."""
    beat, step, total = state.beat, state.done, _total(state)
    parts: list[Part] = []
    if total:
        share = min(max(step / total, 0), 1)
        filled = round(share * _BAR)
        parts.append((f"step {step:,} of {total:,}", "bold"))
        parts.append(("━" * filled + "╌" * (_BAR - filled) + f" {share:.0%}", ""))
    else:
        parts.append((f"step {step:,}", "bold"))
    if beat is not None and beat.started:
        end = time.time() if standing == "running" else beat.time
        spent = duration(max(end - beat.started, 0))  # a clock may have been set back
        resumed = _went_on(state, end - beat.started)
        parts.append((f"{spent} since resumed" if resumed else f"for {spent}", ""))
    if standing == "running" and total > step and (pace := pace_s(state)) is not None:
        parts.append((f"about {duration((total - step) * pace)} left", ""))
    return parts + _spent(state)


def _total(state: RunState) -> int:
    """Steps in all. While a run that goes on is starting, its beat doesn't know; its earlier rows do."""
    share = state.columns.latest("progress/done_frac")
    if state.total or share is None or not 0 < share <= 1:
        return state.total
    last = int(state.columns.series("progress/done_frac")[0][-1])
    return max(state.done, round((last + 1) / share))


def _went_on(state: RunState, session_s: float) -> bool:
    """Whether its steps took longer than this process has been there: others came before it."""
    steps_s = float(state.columns.series("time/total")[1].sum())
    return steps_s > 1.1 * session_s + 2


def _spent(state: RunState) -> list[Part]:
    tokens = [state.columns.latest(key) for key in _TOKENS]
    parts: list[Part] = []
    if any(count is not None for count in tokens):
        parts.append((f"{compact(sum(count or 0 for count in tokens))} tokens", ""))
    cost = state.columns.latest("cost/usd")
    if cost is not None:
        parts.append((f"${cost:,.2f}", ""))
    return parts


def pace_s(state: RunState) -> float | None:
    """Seconds that one of the newest steps takes: the median, as some have an evaluation in them."""
    for key in ("time/total", "time/step"):
        values = sorted(state.columns.series(key)[1][-_PACED:].tolist())
        if values:
            return float(values[len(values) // 2])
    return None


def _newest(state: RunState) -> list[Part]:
    parts: list[Part] = []
    for name, key, unit in NEWEST.get(state.kind, NEWEST["rl"]):
        value = state.columns.latest(key)
        if value is None:
            continue
        shown = f"{value:.1%}" if unit == "%" else f"{compact(value, 4)}{unit}"
        if not parts:
            steps = state.columns.series(key)[1]
            parts.append((f"{name} {shown} {spark(steps, _SPARK).rstrip()}", "bold"))
        else:
            parts.append((f"{name} {shown}", ""))
    if not parts:
        parts.append(("no figures yet", "italic"))
    return parts


def _fitted(parts: Sequence[Part], width: int) -> Text:
    """The parts with dots between, as many as fit; a first one that is too long is cut off."""
    text, used = Text(no_wrap=True, overflow="ellipsis"), 0
    for text_part, style in parts:
        length = len(text_part) + (3 if used else 0)
        if used and used + length > width:
            if width - used > 20:
                text.append(" · ", "dim")
                text.append(text_part[: width - used - 4] + "…", style)
            break
        if used:
            text.append(" · ", "dim")
        text.append(text_part if used else text_part[:width], style)
        used += length
    return text


def _clock(seconds: float) -> str:
    """A moment as the person's clock says it, with the date where it wasn't today."""
    if not math.isfinite(seconds) or not 0 < seconds < 2**33:
        return "an unknown time"
    then, now = time.localtime(seconds), time.localtime()
    is_today = (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday)
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M", then)
