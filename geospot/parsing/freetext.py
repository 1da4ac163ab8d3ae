"""Coordinates that nothing labels: pairs in prose, and pairs that are all there is.

Numbers are many and coordinates few, so a pair has to look like one: by hemispheres, by degree
signs, by enough decimals, or by standing alone.
"""

import re
from typing import Final

from geospot.parsing.angle import Angle, angles_in
from geospot.parsing.candidate import Candidate, pair
from geospot.parsing.countries import is_country
from geospot.parsing.notations import take_links, take_notations
from geospot.parsing.values import has_range
from geospot.parsing.vocabulary import AND, BETWEEN, LATITUDE, LETTER, LONGITUDE, RANGE_JOINT

_AXIS_WORD = rf"(?:{LATITUDE})|(?:{LONGITUDE})"
# Possessive throughout: what one part has taken, no other part tries again.
_GAP: Final = re.compile(
    rf"[ )\]\"']*+(?:\(?(?P<after>{_AXIS_WORD})\.?[ ]?\)?)?[ )\]\"']*+"
    rf"(?P<sep>[,;/|&]|-(?=\s)|\n)?\s*+(?P<word>(?:{AND})(?=[\s(\d]))?"
    rf"[\s(\[\"']*+(?:(?P<before>{_AXIS_WORD})[\s:=]*+)?[\s(\[\"'|~≈]*+"
)
_RANGE_GAP: Final = re.compile(rf"[\s)\]]*+(?:{RANGE_JOINT})[\s(\[]*+")
_AND_GAP: Final = re.compile(rf"[\s)\]]*+(?:{AND}|to|a|à|bis)[\s(\[]*+")
_LIST_GAP: Final = re.compile(r"[)\]]?[ ]*+[,;][ ]*+")
_PROSE_GAP: Final = re.compile(r"[^\n\d;:]{0,60}")
_BETWEEN_BEFORE: Final = re.compile(rf"(?<![{LETTER}])(?:{BETWEEN})[\s(\[]*$")
_CUE: Final = re.compile(
    rf"(?<![{LETTER}])(?:coord|locat|position|gps|geo|lat|lon|point|guess|estimat|around|near"
    rf"|approx|place"
    r"|i(?:'d|'ll| would| will) say|go with|settle on|choose|pick\b|answer"
    r"|spot|situated|somewhere|koordinat|standort|ort|lieu|lugar|ubica|situ|punkt|luogo|plaats|место"
    r"|точк)|坐标|位置|座標|지점|위치|الموقع|स्थान"
)
_COUNTER_CUE: Final = re.compile(
    r"(?:\b(?:version|v|ver|rat(?:ing|ed)s?|scores?d?|prices?|pric(?:ed|ing)|costs?|routes?"
    r"|highways?|roads?|exits?"
    r"|figs?|figures?|tables?|chapters?|sections?|steps?|ratios?|pages?|confidences?"
    r"|probabilit(?:y|ies)|sizes?"
    r"|scales?|elevations?|altitudes?|azimuth|temperatures?|ind(?:ex|ices)|models?|python"
    r"|levels?|heights?"
    r"|widths?|lengths?|distances?|speeds?|weights?|populations?|odds|plates?"
    r"|logits?|iou|rooms?|house|apt|km|nr|no|weather|clicks?|pixel (?:coordinates|position)|phone|tel|fax|zip"
    r"|numbers?|years?|values?"
    r"|percentages?|magnitudes?|ph|times?|dates?|areas?|angles?|rotated|rotat(?:es?|ion)"
    r"|dimensions?|resolution"
    r"|aspect|focal|aperture|weighs?|measur\w{1,6}|pays?|paid|grades?|gpa|rgb|color|colour"
    r"|rank(?:s|ed)?|ip|rfc|iso|bbox|box(?:es)?|crop|roi|elev|alt|bus(?:es)?|trains?|trams?|lines?|mile(?:post)?s?"
    r"|rs|inr|usd|eur|gbp|jpy|cny|chf|aud|cad|brl|mxn|zar|kr|sek|nok|dkk|pln|zł|czk|huf|rub|try|tl|rm|php"
    r"|idr|thb|vnd|krw|ksh|kes|ngn|dollars?|euros?|pounds?|rupees?|pesos?|yen|yuan)"
    r"\b|[$€£¥₹₽₩₺฿₫₦])\.?[^\w\n]{0,3}(?:(?:is|are|was|were|of|about|around|between|from|the|by|at"
    r"|roughly|reads?)[^\w\n]{0,3}){0,2}$"
)
# "It looks like Paris: 48.85, 2.35"; one word alone in front of a colon may be any label.
_NAME_AND_COLON: Final = re.compile(r"\w,? [A-Z][^\W\d_]+: ?$")
_LAST_NAME: Final = re.compile(r"(?:^|[,(])[ ]?([^\W\d][^\n,:()\d-]{2,40})[ )]?[-,:]?$")
_SPACE: Final = re.compile(r"\s")
_LOOSE: Final = 360.0
"""Degrees; without hemisphere or label a greater number is no coordinate at all."""
_SEARCHED: Final = 150_000
"""Characters before the end that are searched: no token limit in use lets an answer be longer."""


def free_candidates(text: str, letter_o: str) -> list[Candidate]:
    """Every unlabelled pair of normalised `text`, in order; links only where there is nothing else."""
    if len(text) > _SEARCHED:
        space = _SPACE.search(text, len(text) - _SEARCHED)
        start = space.start() if space else len(text)
        text = " " * start + text[start:]
    text, links = take_links(text) if "://" in text else (text, [])
    text, found = take_notations(text)
    found += _pairs(text, letter_o)
    if not any(candidate.note is None for candidate in found):
        found += links
    return sorted(found, key=lambda candidate: candidate.start)


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


def _pair(text: str, first: Angle, second: Angle, letter_o: str) -> Candidate | None:
    """The candidate that two neighbouring angles make, None where they are only two numbers."""
    if second.start - first.end > 80:
        return None
    between = text[first.end : second.start]
    axes = {first.axis, second.axis}
    if axes == {"lat", "lon"} and _PROSE_GAP.fullmatch(between):
        if _both_clear(first, second) or _plainly_paired(text, first, second, between):
            return pair(first, second, letter_o)
        return None
    gap = _GAP.fullmatch(between.lower())
    if gap is None:
        return None
    labels = (_axis(gap["after"]), _axis(gap["before"]))
    if axes == {""}:
        wanted = any(labels) or _looks_like_coordinates(text, first, second, gap)
    else:
        wanted = first.axis != second.axis and _both_clear(first, second)
    return pair(first, second, letter_o, labels) if wanted else None


def _axis(word: str | None) -> str:
    if not word:
        return ""
    return "lat" if re.fullmatch(LATITUDE, word) else "lon"


def _both_clear(first: Angle, second: Angle) -> bool:
    return all(angle.marked or angle.decimals for angle in (first, second))


def _plainly_paired(text: str, first: Angle, second: Angle, between: str) -> bool:
    """Whether whole numbers with hemispheres are coordinates rather than roads or addresses."""
    if any(angle.magnitude > (90.0 if angle.axis == "lat" else 180.0) for angle in (first, second)):
        return False
    return between.strip() in {",", "/"} or _alone(text, first, second)


def _looks_like_coordinates(text: str, first: Angle, second: Angle, gap: re.Match[str]) -> bool:
    """Whether two plain numbers, or two with degree signs, are a pair of coordinates."""
    if max(first.magnitude, second.magnitude) > _LOOSE:
        return False
    alone = _alone(text, first, second)
    if not _fit_together(first, second, gap, alone):
        return False
    if alone:
        return True
    before = text[max(first.start - 60, 0) : first.start].lower().rsplit("\n", 1)[-1].rstrip()
    decimals = min(first.decimals, second.decimals)
    # Prices, times and bus lines have two decimals; nobody but a geographer writes three.
    short = decimals < (2 if first.marked and second.marked else 3)
    if gap["word"] is not None and decimals < 2:
        return False
    tiny = max(first.magnitude, second.magnitude) <= 1.0 and decimals < 4
    if tiny and _CUE.search(before) is None:
        return False  # a share, a score, a box; as a place it would be in the sea off Africa
    if (short or gap["word"] is not None) and not _expected(text, first, second, before):
        return False
    return _COUNTER_CUE.search(before) is None


def _expected(text: str, first: Angle, second: Angle, before: str) -> bool:
    """Whether a place name with brackets or a colon, or the words before it say that a pair is a place."""
    after = text[second.end : second.end + 2].lstrip()
    if before[-1:] in {"(", "["} and after[:1] in {")", "]"}:
        return True
    if before.endswith(" at") and not second.marked:
        return True
    if before.endswith(":") and _NAME_AND_COLON.search(text, max(first.start - 40, 0), first.start):
        return True
    name = _LAST_NAME.search(before)
    return _CUE.search(before) is not None or (name is not None and is_country(name[1]))


def _fit_together(first: Angle, second: Angle, gap: re.Match[str], alone: bool) -> bool:
    """Whether separator and spelling go together: no thousands, no lone spaces between short numbers."""
    separator = gap["sep"]
    if separator == "-" or first.comma != second.comma:
        return False
    if first.marked and second.marked:
        return separator != "\n"
    if not first.decimals or not second.decimals:
        return (
            alone
            and separator in {",", ";", "/"}
            and _not_one_number(text_gap=gap[0], second=second)
        )
    if first.comma and first.decimals == second.decimals == 3 and separator == ",":
        return False
    if separator is None and gap["word"] is None:
        return alone or min(first.decimals, second.decimals) >= 3
    return separator != "\n" or alone


def _not_one_number(*, text_gap: str, second: Angle) -> bool:
    """Whether a comma parts two numbers: `48, 2` and `48,-2` are two, `48,2` may be one."""
    return text_gap != "," or second.negative


def _alone(text: str, first: Angle, second: Angle) -> bool:
    """Whether nothing but punctuation stands beside the pair on its line or lines."""
    before = text[max(first.start - 12, 0) : first.start].rsplit("\n", 1)[-1]
    after = text[second.end : second.end + 12].split("\n", 1)[0]
    if first.start > 12 and len(before) == 12:
        return False
    return not before.strip(" -*#>•([{\"'`=~≈<") and not after.strip(" .)]}\"'`;,>")


def _in_range_or_list(text: str, angles: list[Angle], index: int) -> bool:
    """Whether the pair belongs to a range of pairs, a box, or a list of more numbers."""
    before = angles[index - 1] if index else None
    after = angles[index + 2] if index + 2 < len(angles) else None
    first, second = angles[index], angles[index + 1]
    return (after is not None and _goes_on(text, first, second, after)) or (
        before is not None and _went_before(text, before, first)
    )


def _goes_on(text: str, first: Angle, second: Angle, after: Angle) -> bool:
    gap = text[second.end : min(after.start, second.end + 40)].lower()
    if _RANGE_GAP.fullmatch(gap):
        return True
    if _LIST_GAP.fullmatch(gap) and after.decimals and not second.axis and not after.axis:
        return True
    opening = text[max(first.start - 16, 0) : first.start].lower()
    return _AND_GAP.fullmatch(gap) is not None and _BETWEEN_BEFORE.search(opening) is not None


def _went_before(text: str, before: Angle, first: Angle) -> bool:
    if first.start - before.end > 40:
        return False
    gap = text[before.end : first.start].lower()
    if _RANGE_GAP.fullmatch(gap) or (_AND_GAP.fullmatch(gap) and before.axis in {"", first.axis}):
        return True
    return not first.axis and before.decimals > 0 and _LIST_GAP.fullmatch(gap) is not None
