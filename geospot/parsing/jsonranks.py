"""Which of several guesses in one JSON object or list is the best, as the object itself says."""

import math
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from geospot.parsing.jsonish import Node, Scalar

_LESSER: Final = re.compile(
    r"(?:.*[_ -])?(?:alternat(?:iv)?es?|second(?:ary|_best)?|third|fourth|fifth|[2-9](?:nd|rd|th)"
    r"|runners?[_ -]?up|others?|backups?|fallbacks?|(?:less|least)[_ -]likely|worst|worse|rejected"
    r"|excluded|discarded|ruled[_ -]out|initial|draft|previous|not|unlikely)(?:[_ -].*)?"
)
_BEST: Final = re.compile(
    r"(?:.*[_ -])?(?:top|best|primary|final|main|most[_ -]likely|first|1st|chosen|selected)(?:[_ -].*)?"
)
_NUMBERED: Final = re.compile(
    r"(?:guess|option|candidate|prediction|location|place|answer|rank|choice|estimate|top)?[_ #-]?(\d{1,2})"
)
_RANK: Final = re.compile(r"(?:rank|ranking|order|position|priority)")
_CONFIDENCE: Final = re.compile(
    r"(?:.*_)?(?:confidence|probability|prob|likelihood|score|certainty)(?:_.*)?|p"
)
_WORDS: Final = {"very high": 0.95, "high": 0.9, "medium": 0.5, "moderate": 0.5, "low": 0.1}

_Step = tuple[bool, bool, float, float, int]


class Standing(NamedTuple):
    """Where an object stands among the others of its root; the smallest is the best."""

    lesser: bool
    depth: int
    path: tuple[_Step, ...]


def folded_key(key: str) -> str:
    """The key in lower case, with `_` between the words of `camelCase`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key[:80].strip()).lower()


def standings(root: Node) -> Iterator[tuple[Standing, Node]]:
    """Every object below and with `root`, shallowest first, with its standing.

    Keys like `alternative` lose and keys like `best` win; then ranks and confidences count; then the
    first of a list, and the last of an object's keys.
    """
    level: list[tuple[Standing, Node]] = [(Standing(False, 0, ()), root)]
    while level:
        yield from (entry for entry in level if entry[1].is_object)
        level = [child for standing, node in level for child in _children(standing, node)]


def _children(standing: Standing, node: Node) -> Iterator[tuple[Standing, Node]]:
    for index, (key, value) in enumerate(node.items):
        if isinstance(value, Scalar):
            continue
        folded = folded_key(key)
        lesser = _LESSER.fullmatch(folded) is not None
        numbered = _NUMBERED.fullmatch(folded)
        rank, confidence = _said(value)
        if numbered:
            rank = float(numbered[1])
        order = -index if node.is_object else index
        step = (lesser, _BEST.fullmatch(folded) is None, rank, -confidence, order)
        yield (
            Standing(standing.lesser or lesser, standing.depth + 1, (*standing.path, step)),
            value,
        )


def _said(node: Node) -> tuple[float, float]:
    """The rank and the confidence that an object gives itself; infinity and zero without."""
    rank, confidence = math.inf, 0.0
    for key, value in node.items:
        if node.is_object and isinstance(value, Scalar):
            folded = folded_key(key)
            if _RANK.fullmatch(folded):
                rank = _number(value.text, math.inf)
            elif _CONFIDENCE.fullmatch(folded):
                confidence = _number(value.text, _WORDS.get(value.text.strip().lower(), 0.0))
    return rank, confidence


def _number(text: str, default: float) -> float:
    match = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,12})?)\s*%?\s*", text)
    if match is None:
        return default
    return float(match[1]) / 100.0 if "%" in text else float(match[1])
