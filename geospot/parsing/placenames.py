"""City, region and country as an answer writes them, and short answers that are only a place."""

import re
from collections import deque
from typing import Final

from geospot.parsing.candidate import Places
from geospot.parsing.countries import is_country
from geospot.parsing.refusal import is_refusal
from geospot.parsing.values import is_template, is_unknown
from geospot.parsing.vocabulary import CITY, COUNTRY, LATITUDE, LETTER, LONGITUDE, PLACE, REGION

MAX_LENGTH: Final = 100
"""Characters that a place name may have; what is longer is cut."""

# Five labels on one line with nothing but a space between; "city:" may be the end of "Mexico City:".
_RUN_ON = r"(?<=[^\s:,;|]) (?=(?:region|state|country|latitude|longitude|coordinates): )"
_LABEL: Final = re.compile(
    rf"(?:^|[\n,;|({{]|{_RUN_ON})(?:[ \t>*#•·\-\"'_“`–]|\d{{1,2}}[.)](?=[ \t]))*+"
    rf"(?:(?P<city>{CITY})|(?P<region>{REGION})|(?P<country>{COUNTRY})|(?P<whole>{PLACE})"
    rf"|(?P<stop>{LATITUDE}|{LONGITUDE}|coordinates?|coords|gps|confidence|reasoning"
    rf"|explanation))(?:[_ ]name)?"
    rf"(?![{LETTER}0-9])[ \t*_\"'`”]*+(?:\([^()\n]{{0,60}}\)[ \t*_]*)?(?:[:：=|]|[ \t][-–—][ \t])",
)
_HEADING: Final = re.compile(
    r"^[^\w\n]*(?:(?P<best>final|answer|best|correct|revis|actual|updat|top|primary)"
    r"|(?P<lesser>second|2nd|third|3rd|alternat|another|other|runner|back-?up|fallback|less likely)"
    r")[^\n\d]{0,60}$",
    re.MULTILINE,
)
_EDGES: Final = " \t\r\n*_`\"'“”„|,;{}<>#，；、"
_SPACES: Final = re.compile(r"[\s\x00-\x1f\x7f]+")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]+")
_NEAR: Final = re.compile(
    r"(?:near|close to|around|outside|not far from|just outside)(?: of)? (?:the )?", re.IGNORECASE
)
_SHORT: Final = re.compile(
    r"(?:(?:final |my |best ){0,3}(?:answer|guess|location|place|country)(?: is)?:? ?"
    r"|(?:this(?: photo| image| picture| place| scene)?|it|the (?:photo|image|picture"
    r"|location|place))(?: (?:was|is|were|looks like|appears to be|seems to be"
    r"|could be|may be|might be)){0,3}(?: probably| likely| most likely| possibly"
    r"| taken){0,3}(?: in| from| at)?(?: the)? "
    r"|(?:probably |likely |most likely |possibly |maybe |perhaps )?"
    r"(?:(?:somewhere )?(?:in|near)) (?:the )?"
    r"|(?:probably|likely|most likely|possibly|maybe|perhaps) )?"
    r"(?P<place>[^.!?:\n]{2,80}|[^!?:\n]{2,60}u\.s\.a\.)[.!]?",
    re.IGNORECASE,
)


def place_value(written: str) -> str | None:
    """`written` without markup and surrounding punctuation, None for a placeholder."""
    value = _SPACES.sub(" ", written[: 4 * MAX_LENGTH]).strip(_EDGES)
    if is_template(written) or is_unknown(value) or is_refusal(value.lower()):
        return None
    if value.endswith(".") and value.count(".") == 1:
        value = value[:-1].rstrip(_EDGES)
    value = value[:MAX_LENGTH].rstrip()
    return value or None


def labelled_places(text: str) -> Places:
    """The last value of each label in `text`, blanks of a template and lesser guesses aside."""
    folded = text.replace("İ", "I").lower()
    labels = list(_LABEL.finditer(folded))
    places: Places = {}
    headings = deque((match.start(), match.lastgroup) for match in _HEADING.finditer(folded))
    lesser = False
    for index, label in enumerate(labels):
        kind = label.lastgroup or ""
        while headings and headings[0][0] <= label.start():
            lesser = headings.popleft()[1] == "lesser"
        if kind == "stop" or (lesser and places):
            continue
        limit = labels[index + 1].start() if index + 1 < len(labels) else len(text)
        limit = max(min(limit, label.end() + 4 * MAX_LENGTH), label.end())
        written = text[label.end() : limit].lstrip(" \t*_`")
        written = written.split("\n", 1)[0].split("|", 1)[0]
        if not written.strip() or is_template(written.strip(_EDGES.replace("<", ""))):
            continue
        if kind == "whole":
            places |= short_place(written) or {}
        else:
            places[kind] = place_value(_first_of_json(text, label.end(), written))
    return places


def short_place(text: str) -> Places | None:
    """City and country of an answer that is only `City, Country` or a country, else None."""
    if len(text) > 160:
        return None
    match = _SHORT.fullmatch(_CONTROLS.sub(" ", text).strip().strip("*_`\"'“” "))
    if match is None:
        return None
    parts = [part.strip(_EDGES + " ") for part in match["place"].split(",")]
    if len(parts) == 2 and (near := _NEAR.match(parts[1])):
        parts = [parts[1][near.end() :].strip(), parts[0]]  # "Kenya, near Nairobi"
    if not 1 <= len(parts) <= 4 or not all(parts) or not is_country(parts[-1]):
        return None
    if any(len(part.split()) > 5 or any(char.isdigit() for char in part) for part in parts):
        return None
    places: Places = {"country": parts[-1]}
    if len(parts) > 1:
        places["city"] = parts[0]
    if len(parts) > 2:
        places["region"] = parts[-2]
    return places


def _first_of_json(text: str, position: int, written: str) -> str:
    """Of a value in quotes, what stands in the quotes: `"Paris", "zip": 75001` is Paris."""
    stripped = written.strip()
    before = text[max(position - 2, 0) : position]
    if stripped[:1] in {'"', "“"} and ('"' in before or ":" in before):
        inner = re.split(r"[\"”]", stripped[1:], maxsplit=1)[0]
        return inner or written
    return written
