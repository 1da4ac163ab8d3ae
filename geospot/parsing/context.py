"""What the words around a pair say of it: that it is denied, a lesser guess, in another hemisphere."""

import re
from dataclasses import replace
from typing import Final

from geospot.parsing.candidate import Candidate
from geospot.parsing.vocabulary import HEMISPHERE_PHRASES, LETTER, NOT

_DENIED: Final = re.compile(
    rf"(?:(?<![{LETTER}])|(?=n't))(?:{NOT})[\s:,\"'(\[]{{1,4}}"
    rf"(?:(?:at|in|the|a|is|be|on|with|near|around|really|likely|probably|coordinates?|location|gps"
    rf"|latitude|lat)[\s:,\"'(\[]{{1,4}}){{0,4}}$"
)
_LESSER: Final = re.compile(
    r"(?:(?:my |the |an? )?(?:second|2nd|third|3rd|fourth|4th|fifth|5th|another|other)(?: (?:best|likely))?"
    r"(?=:| (?:guess|option|candidate|possib|location|place|answer|estimate|choice|prediction))"
    r"|(?:my |the |an? )?(?:alternat(?:iv)?e(?:ly|s)?|runner[- ]?up"
    r"|back-?up|fallback|(?:less|least) likely|secondary"
    r"|zweite|deuxième|segund[oa]|alternativ[ao]?)\b)"
)
_NUMBER: Final = re.compile(
    r"(?:(?:guess|option|candidate|location|place|prediction|answer|choice|rank|possibility) ?)?"
    r"#? ?(?P<n>\d{1,2})"
    r"(?:[.):]| ?[-–] )"
)
_MARKS: Final = " \t>*#•-–_\"'(["
_FIELD: Final = re.compile(
    r"(?:city|town|region|state|province|country|place|location|latitude|coordinates?|confidence"
    r"|ciudad|ville|stadt|land|pays|país)\b[^:\n]{0,20}:"
)
_DECIMAL: Final = re.compile(r"\d[.,]\d")
_LOOK_BACK: Final = 240
_NEAR: Final = 60
_PHRASES: Final = {code: re.compile(words) for code, words in HEMISPHERE_PHRASES.items()}
_ANY_PHRASE: Final = re.compile("|".join(HEMISPHERE_PHRASES.values()))


def is_denied(folded: str, start: int) -> bool:
    """Whether the words right before `start` say that it is not what follows."""
    return _DENIED.search(folded, max(start - 48, 0), start) is not None


def speaks_of_hemispheres(folded: str) -> bool:
    """Whether there is a phrase like "southern hemisphere" anywhere."""
    return _ANY_PHRASE.search(folded) is not None


def checked(candidate: Candidate, folded: str) -> Candidate:
    """The candidate; ambiguous where a phrase beside it puts a positive number south or west."""
    if candidate.note is not None:
        return candidate
    before = folded[max(candidate.start - _NEAR, 0) : candidate.start].rsplit("\n", 1)[-1]
    after = folded[candidate.end : candidate.end + _NEAR].split("\n", 1)[0]
    near = before + folded[candidate.start : candidate.end][:400] + after
    for code, value in (("S", candidate.latitude), ("W", candidate.longitude)):
        if value > 0 and any(
            not is_denied(near, phrase.start()) for phrase in _PHRASES[code].finditer(near)
        ):
            return replace(candidate, note="ambiguous", closed=True)
    return candidate


def best_ranked(candidates: list[Candidate], folded: str) -> list[Candidate]:
    """The candidates without those that the text itself ranks behind an earlier one.

    A numbered list counts as one answer, whose first entry is the best; so do a guess and what is
    called an alternative to it.
    """
    if len(candidates) < 2:
        return candidates
    kept: list[Candidate] = []
    number = 0
    for candidate in candidates:
        heading = _heading(folded, candidate.start)
        numbered = _NUMBER.match(heading)
        previous, number = number, int(numbered["n"]) if numbered else 0
        follows = number > 1 and number == previous + 1
        if kept and (follows or _is_lesser(heading)):
            continue
        kept.append(candidate)
    return kept


def _is_lesser(heading: str) -> bool:
    return _LESSER.match(heading) is not None


def _heading(folded: str, start: int) -> str:
    """The beginning of the line of `start`, or the line above its block of labelled fields."""
    lines = folded[max(start - _LOOK_BACK, 0) : start].split("\n")
    own = lines[-1].lstrip(_MARKS)
    if own and (_NUMBER.match(own) or not _FIELD.match(own)):
        return own
    for line in reversed(lines[:-1]):
        above = line.lstrip(_MARKS)
        if above and not _FIELD.match(above):
            is_heading = len(above) < 80 and _DECIMAL.search(above) is None
            return above if is_heading else ""
    return ""
