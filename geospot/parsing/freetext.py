"""Coordinates that nothing labels: pairs in prose, `geo:` URIs, WKT, ISO 6709, links to maps.

Numbers are many and coordinates few, so a pair has to look like one: by hemispheres, by degree
signs, by enough decimals, or by being all there is.
"""

import re
from collections.abc import Iterable
from typing import Final

from geospot.parsing.angle import Angle, angle_at, angles_in
from geospot.parsing.candidate import Candidate, pair
from geospot.parsing.values import has_range
from geospot.parsing.vocabulary import BETWEEN, LATITUDE, LETTER, LONGITUDE, RANGE_JOINT

_SIGNED = r"[+-]?\d{1,3}(?:\.\d{1,20})?"
_GEO_URI: Final = re.compile(
    rf"\bgeo:({_SIGNED}),({_SIGNED})(?:[^\s?]{{0,60}}\?q=({_SIGNED}),({_SIGNED}))?", re.IGNORECASE
)
_WKT: Final = re.compile(
    rf"\bpoint ?z?m? ?\( ?({_SIGNED}) {{1,4}}({_SIGNED})(?: {_SIGNED})?(?=[ )])", re.IGNORECASE
)
_ISO_6709: Final = re.compile(
    r"(?<![\w.+-])([+-]\d{2}(?:\.\d{1,12})?)([+-]\d{3}(?:\.\d{1,12})?)(?:[+-]\d+(?:\.\d+)?)?(?=/|\s|$)"
)
_AVIATION: Final = re.compile(
    r"\b(\d{2})(\d{2})(\d{2})([NS])[ ,/]{0,3}(\d{3})(\d{2})(\d{2})([EW])\b"
)
URL: Final = re.compile(r"\bhttps?://[^\s<>\"')\]]{1,2000}")
_IN_URL: Final = (
    re.compile(rf"!3d({_SIGNED})!4d({_SIGNED})"),
    re.compile(
        rf"[?&#](?:q|query|ll|loc|center|cp|destination|daddr|marker|pt|viewpoint|point)=(?:loc:)?({_SIGNED})(?:,|%2c|~|;)(?:\+|%20)?({_SIGNED})",
        re.IGNORECASE,
    ),
    re.compile(rf"[?&#]m?lat(?:itude)?=({_SIGNED})&(?:m?lon|lng|mlng|longitude)=({_SIGNED})", re.IGNORECASE),
    re.compile(rf"/(?:@|place/|search/|dir/|\?)({_SIGNED}),(?:\+|%20)?({_SIGNED})"),
    re.compile(rf"#(?:map=)?[\d.]{{1,5}}/({_SIGNED})/({_SIGNED})"),
)

_AXIS_WORD = rf"(?P<%s>(?:{LATITUDE})|(?:{LONGITUDE}))"
_GAP: Final = re.compile(
    r"[ )\]\"']*(?:\(?[ ]?" + _AXIS_WORD % "after" + r"\.?[ ]?\)?)?[\s)\]\"']*"
    r"(?P<sep>[,;/|&]|-(?=\s)|\n)?[\s]*(?P<word>(?:and|und|et|y|e|en|i|и|ve|by|和|及|と|및|و)(?=[\s(\d]))?"
    r"[\s(\[\"']*(?:" + _AXIS_WORD % "before" + r"[\s:=]*)?[\s(\[\"'|~≈]*"
)
_RANGE_GAP: Final = re.compile(rf"[\s)\]]*(?:{RANGE_JOINT})[\s(\[]*")
_AND_GAP: Final = re.compile(r"[\s)\]]*(?:and|und|et|y|e|en|i|и|ve|和|to|a|à|bis)[\s(\[]*")
_BETWEEN_BEFORE: Final = re.compile(rf"(?<![{LETTER}])(?:{BETWEEN})[\s(\[]*$")
_PROSE_GAP: Final = re.compile(r"[^\n\d;:]{0,60}")
_CUE: Final = re.compile(
    rf"(?<![{LETTER}])(?:coord|locat|position|gps|geo|lat|lon|point|guess|estimat|around|near|approx|place"
    r"|spot|situated|somewhere|koordinat|standort|ort|lieu|lugar|ubica|situ|punkt|luogo|plaats|место|точк)"
    r"|\bat$|坐标|位置|座標|지점|위치|الموقع|स्थान"
)
_COUNTER_CUE: Final = re.compile(
    r"\b(?:version|v|ver|rat(?:ing|ed)s?|scores?d?|prices?|pric(?:ed|ing)|costs?|routes?|highways?|roads?|exits?|figs?"
    r"|figures?|tables?|chapters?|sections?|steps?|ratios?|pages?|confidences?|probabilit(?:y|ies)|sizes?|scales?"
    r"|elevations?|altitudes?|temperatures?|ind(?:ex|ices)|models?|python|levels?|heights?|widths?|lengths?"
    r"|distances?|speeds?|weights?|populations?|odds|phone|tel|fax|zip|numbers?|years?|values?|percentages?"
    r"|magnitudes?|ph|times?|dates?|areas?|angles?|rotated|rotat(?:es?|ion)|dimensions?|resolution|aspect|focal"
    r"|aperture|weighs?|measur\w{1,6}|pays?|paid|grades?|gpa|rgb|color|colour|rank(?:s|ed)?|ip)"
    r"\b[^\w\n]{0,3}(?:(?:is|are|was|were|of|about|around|between|from|the|by|at|roughly)[^\w\n]{1,3}){0,2}$"
)
_LOOSE: Final = 360.0
"""Degrees; without hemisphere or degree sign a greater number is no coordinate at all."""


def free_candidates(text: str, letter_o: str) -> list[Candidate]:
    """Every unlabelled pair of normalised `text`, in order; links only where there is nothing else."""
    without_links = URL.sub(lambda match: " " * len(match[0]), text)
    found = list(_notations(without_links))
    for notation in found:
        blank = " " * (notation.end - notation.start)
        without_links = without_links[: notation.start] + blank + without_links[notation.end :]
    found += _pairs(without_links, letter_o)
    if not any(candidate.note is None for candidate in found):
        found += _links(text)
    return sorted(found, key=lambda candidate: candidate.start)


def _notations(text: str) -> Iterable[Candidate]:
    for match in _GEO_URI.finditer(text):
        yield _numbers(match, match[3] or match[1], match[4] or match[2])
    for match in _WKT.finditer(text):
        yield _numbers(match, match[2], match[1])
    for match in _ISO_6709.finditer(text):
        yield _numbers(match, match[1], match[2])
    for match in _AVIATION.finditer(text):
        latitude = angle_at(f"{match[1]}°{match[2]}'{match[3]}\"{match[4]}", 0)
        longitude = angle_at(f"{match[5]}°{match[6]}'{match[7]}\"{match[8]}", 0)
        if latitude and longitude:
            both = pair(latitude, longitude, "")
            yield Candidate(
                match.start(), match.end(), both.latitude, both.longitude, both.note, closed=True
            )


def _links(text: str) -> Iterable[Candidate]:
    for link in URL.finditer(text):
        for wanted in _IN_URL:
            match = wanted.search(link[0])
            if match:
                end = link.start() + match.end()
                yield _numbers(match, match[1], match[2], link.start(), end)
                break


def _numbers(
    match: re.Match[str],
    latitude: str,
    longitude: str,
    start: int | None = None,
    end: int | None = None,
) -> Candidate:
    first, second = angle_at(latitude, 0), angle_at(longitude, 0)
    if first is None or second is None:
        return Candidate(match.start(), match.end(), note="malformed", closed=True)
    both = pair(first, second, "")
    return Candidate(
        match.start() if start is None else start,
        match.end() if end is None else end,
        both.latitude,
        both.longitude,
        both.note,
    )


def _pairs(text: str, letter_o: str) -> list[Candidate]:
    angles = [angle for angle in angles_in(text) if not angle.bare]
    found: list[Candidate] = []
    index = 0
    while index + 1 < len(angles):
        first, second = angles[index], angles[index + 1]
        candidate = _pair(text, first, second, letter_o)
        if candidate is None:
            index += 1
            continue
        if candidate.note is None and _in_range_or_list(text, angles, index):
            candidate = Candidate(first.start, second.end, note="range", closed=True)
        found.append(candidate)
        index += 2
    if not found and has_range(text):
        found.append(Candidate(0, len(text), note="range", closed=True))
    return found


def _gap(text: str, first: Angle, second: Angle) -> str | None:
    return text[first.end : second.start] if second.start - first.end <= 80 else None


def _pair(text: str, first: Angle, second: Angle, letter_o: str) -> Candidate | None:
    between = _gap(text, first, second)
    if between is None:
        return None
    axes = {first.axis, second.axis}
    if axes == {"lat", "lon"} and _PROSE_GAP.fullmatch(between):
        if (
            _both_clear(first, second)
            or _alone(text, first, second)
            or between.strip() in {",", "/"}
        ):
            return pair(first, second, letter_o)
        return None
    gap = _GAP.fullmatch(between.lower())
    if gap is None:
        return None
    labels = (_axis(gap["after"]), _axis(gap["before"]))
    if not any(labels) and axes == {""} and not _looks_like_coordinates(text, first, second, gap):
        return None
    if axes != {""} and not _both_clear(first, second):
        return None
    if axes in ({"lat"}, {"lon"}) and first.axis == second.axis:
        return None
    return pair(first, second, letter_o, labels)


def _axis(word: str | None) -> str:
    if not word:
        return ""
    return "lat" if re.fullmatch(LATITUDE, word) else "lon"


def _both_clear(first: Angle, second: Angle) -> bool:
    return all(angle.marked or angle.decimals for angle in (first, second))


def _looks_like_coordinates(text: str, first: Angle, second: Angle, gap: re.Match[str]) -> bool:
    """Whether two plain numbers, or two with degree signs, are a pair of coordinates."""
    if max(first.magnitude, second.magnitude) > _LOOSE:
        return False
    alone = _alone(text, first, second)
    if not _fit_together(first, second, gap, alone):
        return False
    if alone:
        return True
    before = text[max(first.start - 60, 0) : first.start].lower().rsplit("\n", 1)[-1]
    if _COUNTER_CUE.search(before):
        return False
    bracketed = before.rstrip()[-1:] in {"(", "["} and text[second.end : second.end + 2].lstrip()[
        :1
    ] in {")", "]"}
    expected = bracketed or _CUE.search(before.rstrip(" (:[")) is not None
    decimals = min(first.decimals, second.decimals)
    if first.marked and second.marked:
        return decimals >= 2 or expected
    if gap["word"] is not None:
        return expected and decimals >= 2
    return decimals >= 2 or (decimals == 1 and expected)


def _fit_together(first: Angle, second: Angle, gap: re.Match[str], alone: bool) -> bool:
    """Whether separator and spelling go together: no thousands, no lone spaces between short numbers."""
    separator = gap["sep"]
    if separator == "-" or first.comma != second.comma:
        return False
    if first.marked and second.marked:
        return separator != "\n"
    if not first.decimals or not second.decimals:
        return alone and separator in {",", ";", "/"} and (gap[0] != "," or second.negative)
    if first.comma and first.decimals == second.decimals == 3 and separator == ",":
        return False
    if separator is None and gap["word"] is None:
        return alone or min(first.decimals, second.decimals) >= 3
    return separator != "\n" or alone


def _alone(text: str, first: Angle, second: Angle) -> bool:
    """Whether nothing but punctuation stands beside the pair on its line or lines."""
    before = text[max(first.start - 12, 0) : first.start].rsplit("\n", 1)[-1]
    after = text[second.end : second.end + 12].split("\n", 1)[0]
    if first.start > 12 and len(before) == 12:
        return False
    return not before.strip(" -*#>•([{\"'`=~≈") and not after.strip(" .)]}\"'`;,")


def _in_range_or_list(text: str, angles: list[Angle], index: int) -> bool:
    """Whether the pair belongs to a range of pairs, a box, or a list of more numbers."""
    first, second = angles[index], angles[index + 1]
    before = angles[index - 1] if index else None
    after = angles[index + 2] if index + 2 < len(angles) else None
    if after is not None:
        gap = text[second.end : min(after.start, second.end + 40)].lower()
        if _RANGE_GAP.fullmatch(gap) and after.axis in {"", second.axis, first.axis}:
            return True
        if (
            not second.axis
            and not after.axis
            and re.fullmatch(r"[)\]]?[ ]*[,;][ ]*", gap)
            and after.decimals
        ):
            return True
        opening = text[max(first.start - 16, 0) : first.start].lower()
        if _AND_GAP.fullmatch(gap) and _BETWEEN_BEFORE.search(opening):
            return True
    if before is not None:
        gap = text[before.end : first.start].lower() if first.start - before.end < 40 else "."
        if _RANGE_GAP.fullmatch(gap) or (
            _AND_GAP.fullmatch(gap) and before.axis in {"", first.axis}
        ):
            return True
        return (
            not first.axis
            and re.fullmatch(r"[)\]]?[ ]*[,;][ ]*", gap) is not None
            and before.decimals > 0
        )
    return False
