"""What the screen of rollouts says: of the truth, of counts, and why there is nothing to show."""

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Final

import numpy as np
from rich.text import Text

from geospot.durable import json_line
from geospot.places import country_name
from geospot.runs.rollouts import RolloutRecord
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.inks import Inks
from geospot.tui.rollout_figures import kilometres, position
from geospot.tui.rollout_groups import Answer, Group, GroupOrder, StepView

_MISSING: Final = ("", "NaN")
"""How data sets write a name that they don't have."""
_NAMES: Final = ("city", "sub_region", "region")


def truth(group: Group, width: int, inks: Inks) -> Text:
    """Where the photo was taken, in at most two lines of `width` cells; which it is; how the group did."""
    first = group.answers[0].first
    text = Text(f"{_place_lines(first, max(width, 8))}\n", "bold")
    if math.isnan(first.true_latitude) or math.isnan(first.true_longitude):
        text.append("position not known", "italic")
    else:
        text.append(position(first.true_latitude, first.true_longitude), f"#{inks.accent:06x}")
    text.append(f"\n{printable(first.sample_id, limit=200)}", f"#{inks.muted:06x}")
    for line in _group_figures(group):
        text.append(f"\n{line}")
    return text


def _place_lines(record: RolloutRecord, width: int) -> str:
    """The place in two lines at most, with as many names as that takes; the country is always among them."""
    for keys in (_NAMES, _NAMES[::2], _NAMES[:1], ()):
        lines = wrap(_place_name(record, keys), width, break_on_hyphens=False)
        if len(lines) <= 2:
            break
    return "\n".join(lines[:2])


def _place_name(record: RolloutRecord, keys: Sequence[str]) -> str:
    """The names of where a photo was taken, from the smallest to the country."""
    labels = record.labels
    names = [labels[key] for key in keys if labels.get(key, "") not in _MISSING]
    country = labels.get("country", "")
    named = country_name(country) if len(country) == 2 else None
    names.append(named or (country if country not in _MISSING else ""))
    known = ", ".join(dict.fromkeys(name for name in names if name))
    return printable(known, limit=200) or "place not named"


def _group_figures(group: Group) -> Sequence[str]:
    distances = np.array([answer.distance_km for answer in group.answers])
    distances = distances[np.isfinite(distances)]
    lines: list[str] = []
    if not math.isnan(group.mean_reward):
        lines.append(f"reward {group.mean_reward:.2f} ± {group.spread:.2f}")
    if distances.size:
        near, far = kilometres(float(distances.min())), kilometres(float(distances.max()))
        lines.append(f"{near.removesuffix(' km')} to {far}")
    return lines


def counted(view: StepView, state: RunState, *, has_filter: bool) -> Sequence[str]:
    """How many answers are shown of how many, and how the run stands."""
    groups = len(view.groups)
    standing = standing_of(state)
    shown = sum(1 for group in view.groups if group.hits)
    answers_, groups_ = _several(view.answers, "answer"), _several(groups, "group")
    if has_filter:
        found = f"{view.hits:,} of {answers_} in {shown:,} of {groups_}"
        return found, "m N P search other steps", standing
    return f"{answers_} in {groups_}", standing


def standing_of(state: RunState) -> str:
    """How the run stands, in a word; empty where it doesn't say."""
    return state.beat.standing() if state.beat is not None else ""


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


ORDER_NAMES: Final[Mapping[GroupOrder, str]] = {
    "photo": "as drawn",
    "worst": "worst first",
    "spread": "widest spread first",
}


def mark(state: RunState, *, is_gone: bool, follows: bool, is_newest: bool) -> str:
    """How the shown step stands to the run."""
    if state.is_gone:
        return "the directory is gone"
    if is_gone:
        return "gone: the run went back"
    if follows:
        return "● following"
    return "newest" if is_newest else "f follows"


def no_match(step: int, text: str, others: int) -> str:
    """Nothing in the step fulfils the filter, and what can be done about it."""
    offer = f"m searches the other {others:,} steps, / changes the filter." if others > 0 else ""
    return f"No answer of step {step} fulfils this filter:\n{printable(text)}\n\n{offer}"


def why_nothing(state: RunState) -> str:
    """Why a run has no rollouts, and when it will."""
    if state.is_gone:
        return "The run's directory isn't there (any more)."
    if state.kind == "sft":
        return (
            "This is a run of SFT: it learns from answers that are given, and samples none.\n"
            "Runs of GRPO have rollouts (2 starts one)."
        )
    every = state.config.get("rollouts_every")
    if state.beat is not None and state.beat.standing() in (
        "finished",
        "stopped",
        "failed",
        "died",
    ):
        return "This run has ended without any rollouts on disk."
    when = f" They are written every {every} steps." if isinstance(every, int) and every > 1 else ""
    return f"No rollouts yet: the first come when the first step is done.{when}"


def why_no_photo(state: RunState | None, *, has_any: bool) -> str:
    """Why a photo has no thumbnail."""
    if state is not None and state.config.get("thumbnails_mb") == 0:
        return "No photo: the run keeps no thumbnails (thumbnails_mb=0)."
    if not has_any:
        return "No photo: this run has no thumbnails (those of tinker-cookbook never do)."
    return "The photo's thumbnail is gone: only the newest are kept (thumbnails_mb)."


def copied_record(answer: Answer) -> str:
    """The answer's record, a line of JSON a turn, in ASCII."""
    return b"".join(json_line(turn.to_json()) for turn in answer.turns).decode()


def copied_text(answer: Answer) -> str:
    """The answer's text for the clipboard: line breaks kept, control characters as escapes.

    A terminal that pastes an escape character would run what follows it.
    """
    return "\n\n".join(
        "\n".join(printable(line) for line in turn.text.split("\n")) for turn in answer.turns
    )
