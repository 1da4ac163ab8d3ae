"""Notations that explain themselves: `geo:` URIs, WKT, ISO 6709, aviation, links to maps."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from geospot.parsing.angle import angle_at
from geospot.parsing.candidate import Candidate, pair

_SIGNED = r"[+-]?\d{1,3}(?:\.\d{1,20})?"

# RFC 5870; Android writes the place itself behind q=.
_GEO_URI: Final = re.compile(
    rf"\bgeo:({_SIGNED}),({_SIGNED})(?:[^\s?]{{0,60}}\?q=({_SIGNED}),({_SIGNED}))?", re.IGNORECASE
)
_WKT: Final = re.compile(
    rf"\bpoint ?z?m? ?\( ?({_SIGNED}) {{1,4}}({_SIGNED})(?: {_SIGNED})?(?=[ )])", re.IGNORECASE
)
_ISO_6709: Final = re.compile(
    r"(?<![\w.+-])([+-]\d{2}(?:\.\d{1,12})?)([+-]\d{3}(?:\.\d{1,12})?)"
    r"(?:[+-]\d{1,6}(?:\.\d{1,6})?)?(?=/|\s|$)"
)
_AVIATION: Final = re.compile(
    r"\b(\d{2})(\d{2})(\d{2})([NS])[ ,/]{0,3}(\d{3})(\d{2})(\d{2})([EW])\b"
)
_URL: Final = re.compile(r"\bhttps?://[^\s<>\"')\]]{1,2000}")
_COMMA = r"(?:,|%2c|~|;)(?:\+|%20)?"
_QUERY = r"[?&#](?:q|query|ll|loc|center|cp|destination|daddr|marker|pt|viewpoint|point)=(?:loc:)?"
_IN_URL: Final = (
    re.compile(rf"!3d({_SIGNED})!4d({_SIGNED})"),
    re.compile(rf"{_QUERY}({_SIGNED}){_COMMA}({_SIGNED})", re.IGNORECASE),
    re.compile(
        rf"[?&#]m?lat(?:itude)?=({_SIGNED})&m?(?:lon|lng|longitude)=({_SIGNED})", re.IGNORECASE
    ),
    re.compile(rf"/(?:@|place/|search/|dir/|\?)({_SIGNED}),(?:\+|%20)?({_SIGNED})"),
    re.compile(rf"#(?:map=)?[\d.]{{1,5}}/({_SIGNED})/({_SIGNED})"),
)


def take_links(text: str) -> tuple[str, list[Candidate]]:
    """`text` with blanks for links, and the places on maps that they point to."""
    return _URL.sub(lambda link: " " * len(link[0]), text), list(_links(text))


def take_notations(text: str) -> tuple[str, list[Candidate]]:
    """`text` with blanks for what is written in a notation of its own, and what that says."""
    found: list[Candidate] = []

    def take(match: re.Match[str]) -> str:
        if match.re is _AVIATION:
            latitude = f"{match[1]}°{match[2]}'{match[3]}\"{match[4]}"
            longitude = f"{match[5]}°{match[6]}'{match[7]}\"{match[8]}"
        elif match.re is _WKT:
            latitude, longitude = match[2], match[1]
        elif match.re is _GEO_URI and match[3]:
            latitude, longitude = match[3], match[4]
        else:
            latitude, longitude = match[1], match[2]
        found.append(_candidate(latitude, longitude, match.start(), match.end()))
        return " " * len(match[0])

    for notation in (_GEO_URI, _WKT, _ISO_6709, _AVIATION):
        text = notation.sub(take, text)
    return text, found


def _links(text: str) -> Iterable[Candidate]:
    for link in _URL.finditer(text):
        match = next((found for wanted in _IN_URL if (found := wanted.search(link[0]))), None)
        if match:
            yield _candidate(match[1], match[2], link.start(), link.start() + match.end())


def _candidate(latitude: str, longitude: str, start: int, end: int) -> Candidate:
    first, second = angle_at(latitude, 0), angle_at(longitude, 0)
    if first is None or second is None:
        return Candidate(start, end, note="malformed", closed=True)
    return replace(pair(first, second, ""), start=start, end=end)
