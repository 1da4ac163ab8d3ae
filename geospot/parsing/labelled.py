"""Coordinates behind labels: the five lines, keys of broken JSON, YAML, prose, pairs with one label."""

import re
from dataclasses import replace
from typing import Final, NamedTuple

from geospot.parsing.angle import AXIS_OF, Angle
from geospot.parsing.candidate import Candidate, HemisphereError, pair
from geospot.parsing.values import Value, filler_pattern, is_range_word, value_at
from geospot.parsing.vocabulary import (
    FILLER_WORDS,
    HEMISPHERES,
    HEMISPHERES_BEFORE,
    LATITUDE,
    LETTER,
    LONGITUDE,
    PAIR,
    REVERSED_PAIR,
    SIGN_WORDS,
    hemisphere_code,
)

_PREFIX = r"(?:(?:gps|est(?:imated)?|pred(?:icted)?|guess(?:ed)?|decimal|final|approx|cent(?:er|re))[_ -]?)?"
_SUFFIX = r"(?:[ _]?(?:deg(?:rees)?|dd|decimal|wgs84|value|est)(?![a-z]))?"


def _labels(kinds: dict[str, str]) -> re.Pattern[str]:
    groups = "|".join(f"(?P<{kind}>{words})" for kind, words in kinds.items())
    return re.compile(rf"(?<![{LETTER}0-9_])(?:{_PREFIX})(?:{groups}){_SUFFIX}(?![{LETTER}0-9_])")


def _ascii(words: str) -> str:
    return "|".join(word for word in words.split("|") if word.isascii())


_PAIR_ASCII = (
    r"lat[ _]?l(?:on|ng)g?|co-?ord(?:inate)?s?|gps|geo-?location|locations?|position|answer|guess"
    r"|estimate|prediction|koordinaten|coordenadas|coordinata|standort|respuesta|resposta|risposta"
    r"|antwort|antwoord|cevap|konum|koordinatlari?"
)
_KINDS: Final = {"reversed": REVERSED_PAIR, "pair": PAIR, "lat": LATITUDE, "lon": LONGITUDE}
_ANY_LABEL: Final = _labels(_KINDS)
# English answers are nearly all there are: a shorter list of words takes half the time.
_ASCII_LABEL: Final = _labels(
    {
        "reversed": REVERSED_PAIR,
        "pair": _PAIR_ASCII,
        "lat": _ascii(LATITUDE),
        "lon": _ascii(LONGITUDE),
    }
)

_COLON: Final = re.compile(
    r"[\s\"')\]]*+(?P<unit>\((?:[^()\d\n]{0,60}|wgs ?-?84|epsg:? ?4326)\))?[\s\"']*+[:=]\s*+"
)
_FILLER: Final = re.compile(rf"\.?{filler_pattern(FILLER_WORDS)}{{0,24}}+")
_UNIT: Final = re.compile(
    r"\((?:in )?(?:decimal )?(?:degrees? |° ?)?(n|s|e|w|north|south|east|west)(?:ern)?(?: hemisphere)?\)"
)
# Directions about a label: before it, between it and its number, a small letter behind the number.
_DIRECTION: Final = "|".join(HEMISPHERES.values())
_BEFORE_LABEL: Final = re.compile(
    rf"(?<![{LETTER}0-9_])(?P<word>{_DIRECTION}|[nsew]|{SIGN_WORDS})\.?[ -]$"
)
_PARENTHESIS: Final = re.compile(r"\([^()]*\)")
_BETWEEN_DIRECTION: Final = re.compile(
    rf"(?<![{LETTER}])(?:{HEMISPHERES_BEFORE}|[nsw])(?![{LETTER}])"
)
_PHRASE_START: Final = re.compile(
    r"(?:^|[\n,;:.(|/&*\"'-]|\b(?:at|a|the|and|of|in|is|about|approx\w*|around|und|et|y|e|zu))\s*$"
)
_DIRECTION_END: Final = re.compile(
    rf"(?<![{LETTER}])(?:{HEMISPHERES_BEFORE}|[nsw])(?![{LETTER}])(?: hemisphere)?\W*\Z"
)
_SMALL_LETTER: Final = re.compile(rf"(?:[ ]{{1,2}}|,[ ]?)\(?(?P<letter>[nsew])\b(?![{LETTER}'])")
_SPACED_OUT: Final = re.compile(r"[ ]\d[ ]?(?:[.,\d]|$)")
_LINE_START: Final = re.compile(r"(?:^|\n)[^\w\n]*(?:\d{1,2}[.)] ?)?[^\w\n]*$")
_BETWEEN_LABELS: Final = re.compile(
    r"[\s\"')\].]*(?:[,/|;&+\s-]|and|und|et|y|e|i|и|ve|和|と)[\s\"'(\[]*"
)
_BETWEEN_VALUES: Final = re.compile(
    r"[\s)\]\"']*+(?:[,;/|&]|and\b|und\b|et\b|y\b|e\b|en\b|и\b|ve\b|by\b|和|と|-(?= ))?[\s(\[\"']*+"
)
_COMMA_DIGIT: Final = re.compile(r",\d")
_OF_THE_PICTURE: Final = re.compile(r"(?:pixel|screen|normali[sz]ed|relative|cursor|mouse)[ _-]$")
_POINT: Final = re.compile(r"[\"']type[\"']\s*:\s*[\"']point")
_MORE: Final = re.compile(r"[\s)\]]*[,;]\s*[(\[]?-?\d{1,3}\.\d")


class _Hit(NamedTuple):
    axis: str
    start: int
    value: Value
    strong: bool
    unit: str


def labelled_candidates(text: str, folded: str, letter_o: str) -> list[Candidate]:
    """Every labelled pair of normalised `text`, in order; `folded` is the text in lower case."""
    labels = list((_ASCII_LABEL if folded.isascii() else _ANY_LABEL).finditer(folded))
    found: list[Candidate] = []
    hits: list[_Hit] = []
    index = 0
    while index < len(labels):
        label = labels[index]
        kind = label.lastgroup or ""
        following = labels[index + 1] if index + 1 < len(labels) else None
        if kind in {"lat", "lon"}:
            if following is not None and _is_header(folded, label, following):
                both = _pair_after(
                    text, folded, following.end(), letter_o, (kind, following.lastgroup or "")
                )
                if both:
                    found.append(both)
                    index += 2
                    continue
            hit = _hit(text, folded, label, kind)
            if hit:
                hits.append(hit)
        elif _OF_THE_PICTURE.search(folded, max(label.start() - 12, 0), label.start()) is None:
            axes = ("lon", "lat") if kind == "reversed" else ("", "")
            if kind == "pair" and _is_geojson(folded, label):
                axes = ("lon", "lat")
            both = _pair_after(text, folded, label.end(), letter_o, axes)
            if both:
                found.append(both)
        index += 1
    found += _paired(hits, letter_o)
    return sorted(found, key=lambda candidate: candidate.start)


def _is_header(folded: str, label: re.Match[str], following: re.Match[str]) -> bool:
    """Whether two labels stand together before their two values, as in `lat, lon: 1.5, 2.5`."""
    if following.lastgroup not in {"lat", "lon"} or following.lastgroup == label.lastgroup:
        return False
    gap = folded[label.end() : min(following.start(), label.end() + 20)]
    return following.start() - label.end() < 20 and _BETWEEN_LABELS.fullmatch(gap) is not None


def _is_geojson(folded: str, label: re.Match[str]) -> bool:
    """Whether the key `coordinates` belongs to a GeoJSON point, whose longitude comes first."""
    before = folded[max(label.start() - 100, 0) : label.start()]
    after = folded[label.end() : label.end() + 160]
    return label[0] == "coordinates" and bool(_POINT.search(before) or _POINT.search(after))


def _pair_after(
    text: str, folded: str, position: int, letter_o: str, axes: tuple[str, str]
) -> Candidate | None:
    start = _value_start(folded, position)
    first = value_at(text, folded, start)
    if first is None or first.note == "placeholder":
        return None
    if first.angle is None:
        return Candidate(start, first.end, note=first.note, closed=True)
    if first.angle.comma and first.angle.decimals < 3 and not first.angle.marked:
        return None  # "48,2" may be one number or two
    joint = _BETWEEN_VALUES.match(folded, first.end)
    if joint is None or joint.end() == first.end:
        return None
    second = value_at(text, folded, joint.end())
    if second is None or second.note in {"placeholder", "template"}:
        return None
    if second.angle is None:
        return Candidate(start, second.end, note=second.note, closed=True)
    more = _MORE.match(folded, second.end)
    if more and _MORE.match(folded, _number_end(text, more.end() - 3)):
        return Candidate(start, more.end(), note="range", closed=True)  # a box of four numbers
    return pair(first.angle, second.angle, letter_o, axes)


def _number_end(text: str, position: int) -> int:
    while position < len(text) and (text[position].isdigit() or text[position] in ".-"):
        position += 1
    return position


def _value_start(folded: str, position: int) -> int:
    colon = _COLON.match(folded, position)
    if colon and folded[colon.end() : colon.end() + 1] in "+-0123456789.<":
        return colon.end()
    return _filler_end(folded, position)


def _filler_end(folded: str, position: int) -> int:
    """Where the words behind a label end; a direction just before the number belongs to the number."""
    filler = _FILLER.match(folded, position)
    if filler is None:
        return position
    direction = _DIRECTION_END.search(folded, max(position, filler.end() - 24), filler.end())
    return direction.start() if direction else filler.end()


def _hit(text: str, folded: str, label: re.Match[str], axis: str) -> _Hit | None:
    """What the label stands for, or None where it is only mentioned."""
    position = label.end()
    colon = _COLON.match(folded, position)
    unit = unit_hemisphere(colon["unit"]) if colon and colon["unit"] else ""
    if is_range_word(folded, position):
        return _Hit(axis, label.start(), Value(position, note="range"), True, "")
    value, filler_end = None, position
    if colon:
        filler_end = colon.end()
        value = value_at(text, folded, filler_end)
        if value is None and folded[filler_end : filler_end + 1] in {'"', "'", "“"}:
            value = value_at(text, folded, filler_end + 1)
    if value is None:
        filler_end = _filler_end(folded, position)
        value = value_at(text, folded, filler_end)
    if value is None and (filler := _FILLER.match(folded, position)):
        filler_end = filler.end()
        value = value_at(text, folded, filler_end)
    if (
        value is None
        and folded[position : position + 1] == ","
        and _starts_line(folded, label.start())
    ):
        value = value_at(text, folded, position + 1)  # a CSV file of keys and values
        filler_end = position + 1
    if (
        value is not None
        and value.angle is not None
        and not (value.angle.decimals or value.angle.marked or value.angle.hemisphere)
        and _SPACED_OUT.match(folded, value.end)
    ):
        value = Value(value.end, note="malformed")
    if value is None or filler_end == position or _COMMA_DIGIT.match(folded, value.end):
        return None  # nothing, or a number that a comma may continue
    between = folded[position:filler_end]
    if "\n" in between and not _starts_line(folded, label.start()):
        return None
    strong = colon is not None or "|" in between or ">" in between or "\n" in between
    if not strong and value.note in {"placeholder", "template"}:
        return None  # "latitude unknown" in passing
    value = _with_letter(folded, axis, value)
    value = _with_direction_between(between, axis, value)
    value = _with_direction_before(folded, label.start(), axis, value)
    return _Hit(axis, label.start(), value, strong, unit)


def _with_letter(folded: str, axis: str, value: Value) -> Value:
    """`value` with a small letter behind it, as in `lat: 33.9 s`."""
    angle = value.angle
    if angle is None:
        return value
    letter = _SMALL_LETTER.match(folded, value.end)
    if letter and not angle.hemisphere and AXIS_OF[letter["letter"].upper()] == axis:
        hemisphere = letter["letter"].upper()
        return Value(letter.end(), replace(angle, hemisphere=hemisphere))
    return value


def _with_direction_between(between: str, axis: str, value: Value) -> Value:
    """`value` with a direction among the words before it, as in `latitude south is 33.9`."""
    angle = value.angle
    if angle is None or angle.hemisphere or not between.strip(" :="):
        return value
    words = _BETWEEN_DIRECTION.findall(_PARENTHESIS.sub("", between))
    codes = {hemisphere_code(word) for word in words} & (
        {"N", "S"} if axis == "lat" else {"E", "W"}
    )
    if not codes:
        return value
    if len(codes) > 1:
        return Value(value.end, note="ambiguous")
    return Value(value.end, replace(angle, hemisphere=codes.pop()))


def _with_direction_before(folded: str, start: int, axis: str, value: Value) -> Value:
    """`value` with a direction before its label, as in `southern latitude 33.9`."""
    angle = value.angle
    if angle is None:
        return value
    before = _BEFORE_LABEL.search(folded, max(start - 16, 0), start)
    if before is None:
        return value
    code = hemisphere_code(before["word"])
    if not code:  # a word for a sign
        return value if angle.negative or angle.hemisphere else Value(value.end, note="ambiguous")
    if AXIS_OF.get(code) != axis:
        return value
    if _PHRASE_START.search(folded, max(before.start() - 10, 0), before.start()) is None:
        # It may end a name: "Country: Korea South Latitude: 37.5".
        return Value(value.end, note="ambiguous") if not angle.hemisphere else value
    if angle.hemisphere and angle.hemisphere != code:
        return Value(value.end, note="contradiction")
    return Value(value.end, replace(angle, hemisphere=code))


def unit_hemisphere(parenthesis: str) -> str:
    """`S` for `(south)`, `(°S)` or `(southern hemisphere)` behind a label, in lower case; else empty."""
    match = _UNIT.fullmatch(parenthesis)
    return match[1][0].upper() if match else ""


def _starts_line(folded: str, position: int) -> bool:
    return _LINE_START.search(folded[max(position - 24, 0) : position]) is not None or position < 1


def _paired(hits: list[_Hit], letter_o: str) -> list[Candidate]:
    """Latitudes and longitudes put together: clearly labelled ones, else those in prose."""
    strong = [hit for hit in hits if hit.strong]
    return _neighbours(strong, letter_o) or _neighbours(hits, letter_o)


def _neighbours(hits: list[_Hit], letter_o: str) -> list[Candidate]:
    """Each pairs with the next of the other axis, unless that one is nearer to its own next."""
    found: list[Candidate] = []
    index = 0
    while index + 1 < len(hits):
        first, second = hits[index], hits[index + 1]
        third = hits[index + 2] if index + 2 < len(hits) else None
        if first.axis == second.axis or (
            third is not None
            and third.axis == first.axis
            and third.start - second.value.end < second.start - first.value.end
        ):
            index += 1
        else:
            found.append(_together(first, second, letter_o))
            index += 2
    return found


def _together(first: _Hit, second: _Hit, letter_o: str) -> Candidate:
    notes = {first.value.note, second.value.note}
    for note in ("template", "placeholder", "range", "malformed", "contradiction", "ambiguous"):
        if note in notes:
            return Candidate(first.start, second.value.end, note=note, closed=True)
    both = pair(
        _angle(first),
        _angle(second),
        letter_o,
        (first.axis, second.axis),
        (first.unit, second.unit),
    )
    return replace(both, start=first.start)


def _angle(hit: _Hit) -> Angle:
    if hit.value.angle is None:
        raise HemisphereError("a value without an angle has a note")
    return hit.value.angle


def pair_in(text: str, letter_o: str, axes: tuple[str, str]) -> Candidate | None:
    """The pair that `text`, the normalised value of some label, begins with."""
    return _pair_after(text, text.lower(), 0, letter_o, axes)
