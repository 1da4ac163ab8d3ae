"""May a result be ranked, and what should a reader of its figures know?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from geospot.outcomes import Outcome

COLLAPSE_SHARE: Final = 0.2
"""From this share of answers with the very same coordinates a result is said to have collapsed."""

COLLAPSE_ANSWERS: Final = 20
"""With fewer answers than this, equal coordinates may be chance."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that a reader must know. `mark` is its short name."""

    mark: str
    sentence: str
    unranked: bool = True


def flaws(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Flaw]:
    """What is wrong with a result, worst first; empty for a clean one.

    Args:
        manifest: content of eval.json.
        summary: content of summary.json.
    """
    found = [
        _incomplete(summary),
        _canary_failed(manifest, summary),
        _self_selected(manifest),
        _collapsed(manifest, summary),
    ]
    return [flaw for flaw in found if flaw is not None]


def section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside a JSON object; empty where it is missing, null or something else."""
    value: Any = document.get(name)
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def _incomplete(summary: Mapping[str, Any]) -> Flaw | None:
    if summary.get("complete") is True:
        return None
    not_asked = summary.get("not_asked") or 0
    failed = section(summary, "outcomes").get(Outcome.TRANSPORT_ERROR) or 0
    return Flaw(
        "incomplete",
        f"Incomplete: {not_asked} not asked, {failed} lost to server or network. They count as"
        " failures here; run the same command again to ask only for them.",
    )


def _canary_failed(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> Flaw | None:
    canary = section(summary, "canary") or section(manifest, "canary")
    if canary.get("passed") is not False:
        return None
    return Flaw(
        "canary failed",
        "The canary failed: the model could not read a number from a generated image, so images may"
        " not reach it. Check that model and server take images.",
    )


def is_baseline(manifest: Mapping[str, Any]) -> bool:
    """Whether what was evaluated reads neither photo nor prompt."""
    return section(manifest, "backend").get("needs_image") is False


def _self_selected(manifest: Mapping[str, Any]) -> Flaw | None:
    if not section(manifest, "dataset").get("self_selected"):
        return None
    return Flaw(
        "self-selected",
        "The prediction file itself chose the images. Score it with --dataset, so that what it leaves"
        " out counts.",
    )


def _collapsed(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> Flaw | None:
    if is_baseline(manifest):
        return None  # it never claimed to look
    collapse = section(summary, "collapse")
    share = collapse.get("top_share") or 0.0
    answers = section(summary, "outcomes").get(Outcome.OK) or 0
    if share < COLLAPSE_SHARE or answers < COLLAPSE_ANSWERS:
        return None
    return Flaw(
        "collapsed",
        f"{share:.0%} of the answers are the same coordinates: the model may not be looking at the"
        " images.",
        unranked=False,
    )
