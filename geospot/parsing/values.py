"""What stands behind a label: an angle, a range, a placeholder, or nothing that can be told."""

import re
from typing import Final, NamedTuple

from geospot.parsing.angle import Angle, angle_at
from geospot.parsing.vocabulary import AND, BETWEEN, DEGREE_MARK, LETTER, RANGE_JOINT, UNKNOWN

_PARENTHESIS = r"\((?:[^()\d\n]{0,60}|wgs ?-?84|epsg:? ?4326)\)"


def filler_pattern(words: str) -> str:
    """A pattern for one thing that may stand between a label and its value."""
    return (
        rf"(?:\s++|[:=≈~|\"'(){{}}\[\]<>→°]|{_PARENTHESIS}|-(?=[\s|:-])|(?:\|[ ]?)?:?-{{2,}}"
        rf"|(?<![{LETTER}])(?:{words})\.?(?![{LETTER}_]))"
    )


_NUMBER = r"[+-]? ?\d{1,3}(?:[.,]\d{1,15})?"
_HALF_RANGE = rf" ?(?:{DEGREE_MARK})?(?: ?(?:[nsewo]|north|south|east|west)\b)? ?"
_RANGE: Final = re.compile(rf"{_NUMBER}{_HALF_RANGE}(?:{RANGE_JOINT}) ?{_NUMBER}(?!\d)")
_RANGE_REST: Final = re.compile(rf"{_HALF_RANGE}(?:{RANGE_JOINT}) ?{_NUMBER}(?![\d])")
_BETWEEN: Final = re.compile(rf"\s*(?:{BETWEEN})\s*[+-]?\d")
_SCIENTIFIC: Final = re.compile(r"[+-]?\d{1,3}(?:\.\d{1,20})?[eE][+-]?\d{1,2}(?![\d.,°'])")
_RANGE_WORD: Final = re.compile(
    r"[ _]?(?:ranges?|bands?|bounds|limits?|zone|interval|min|max)(?![a-z])"
)
_UNKNOWN: Final = re.compile(rf"(?:{UNKNOWN})(?![{LETTER}])|\?+|-{{1,3}}[ ]*(?=[\n,}}|]|$)|—")
_TEMPLATE: Final = re.compile(
    r"<[^\W\d][^<>\n]{0,99}>?|\[[^\W\d][^\[\]\n\d]{0,80}\]|\{[a-z_ ]{1,40}\}"
    r"|[xyd#?n]{1,4}[.,][xyd#?n]{1,10}"
    r"|\.{3}|…|_{2,}|\((?:decimal|number|your|lat|lon)[a-z ,]{0,40}\)\s*(?=[\n,}]|$)|(?:your"
    r"|insert)[ _]",
)


class Value(NamedTuple):
    """An angle, or the note of what stands there instead (`range`, `placeholder`, `template`)."""

    end: int
    angle: Angle | None = None
    note: str | None = None


def value_at(text: str, folded: str, position: int) -> Value | None:
    """What begins at `position`, where only a value may stand.

    `text` is normalised; `folded` is the same in lower case.
    """
    found = _scientific(text, position) or angle_at(text, position)
    if found:
        rest = _RANGE_REST.match(folded, found.end)
        return Value(rest.end(), note="range") if rest else Value(found.end, found)
    for reason, wanted in (
        ("range", _RANGE),
        ("range", _BETWEEN),
        ("template", _TEMPLATE),
        ("placeholder", _UNKNOWN),
    ):
        match = wanted.match(folded, position)
        if match:
            return Value(match.end(), note=reason)
    return None


def _scientific(text: str, position: int) -> Angle | None:
    """`4.88566e+01` or `1e-05`, as programs write floats."""
    match = _SCIENTIFIC.match(text, position)
    if match is None:
        return None
    number = float(match[0])
    return Angle(
        match.start(), match.end(), abs(number), number < 0, "", False, 6, False, False, False
    )


def is_range_word(folded: str, position: int) -> bool:
    """Whether a label goes on as `range`, `bounds`, …, so that what follows is none."""
    return _RANGE_WORD.match(folded, position) is not None


def is_unknown(text: str) -> bool:
    """Whether `text` only says that nothing is known, or is a blank left to fill in."""
    folded = text.strip().lower()
    if not folded:
        return True
    if all(is_template(part) for part in re.split(r"[,;/\n]|\band\b", folded) if part.strip()):
        return True
    match = _UNKNOWN.match(folded)
    return match is not None and (match.end() == len(folded) or not folded[match.end()].isalpha())


def is_template(text: str) -> bool:
    """Whether `text` is a blank left to fill in, such as `<country>`."""
    folded = text.strip().lower()
    match = _TEMPLATE.match(folded)
    return match is not None and not folded[match.end() :].strip(" .>])")


_SHORT_NUMBER = r"\d{1,3}(?:[.,]\d{1,6})?"
_DEGREE_RANGE: Final = re.compile(
    rf"{_SHORT_NUMBER}{_HALF_RANGE}(?:{RANGE_JOINT}|{AND}) ?[+-]?{_SHORT_NUMBER}"
    r" ?(?:°|degrees?|[nsew]\b|north|south|east|west|grad|degrés|grados|градус|度)"
)


def has_range(text: str) -> bool:
    """Whether normalised `text` gives a stretch of degrees, as in `between 40 and 45° N`."""
    return _DEGREE_RANGE.search(text.lower()) is not None
