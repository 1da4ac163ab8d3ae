"""Coordinates and place names in a JSON object, whatever its keys are called and however nested."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from geospot.parsing.angle import AXIS_OF
from geospot.parsing.candidate import Candidate, Places, pair
from geospot.parsing.jsonish import Node, Scalar
from geospot.parsing.jsonranks import folded_key, standings
from geospot.parsing.labelled import pair_in
from geospot.parsing.normalise import plain
from geospot.parsing.placenames import place_value
from geospot.parsing.values import Value, is_unknown, value_at
from geospot.parsing.vocabulary import (
    CITY,
    COUNTRY,
    LATITUDE,
    LONGITUDE,
    REGION,
    SIGN_WORDS,
    hemisphere_code,
)

_PREFIX = (
    r"(?:(?:gps|est(?:imated)?|pred(?:icted)?|guess(?:ed)?|decimal|final|approx|cent(?:er|re)|answer)"
    r"[_ -]?)?"
)
_SUFFIX = r"(?:[_ -]?(?:deg(?:rees)?|dd|decimal|wgs84|value|est))?"
_LATITUDE: Final = re.compile(rf"{_PREFIX}(?:{LATITUDE}){_SUFFIX}")
_LONGITUDE: Final = re.compile(rf"{_PREFIX}(?:{LONGITUDE}){_SUFFIX}")
# Minutes, seconds or a hemisphere in a key of its own.
_PART: Final = re.compile(
    r"(?:gps_?)?(?P<axis>lat|lon|lng|long)(?:itude)?_?(?:dir(?:ection)?|ref(?:erence)?|hemisphere|(?P<sign>sign)"
    r"|(?P<angle>d(?:eg(?:rees?)?)?|m(?:in(?:utes?)?)?|s(?:ec(?:onds?)?)?))"
    r"|(?:hemispheres?|direction)(?:_(?P<which>lat|lon|lng|long)(?:itude)?)?"
)
_ABOUT_HEMISPHERES: Final = ("lat", "lon", "lng", "ns", "ew", "n_s", "e_w", "hemi")
_PARTS: Final = {"d": "degrees", "m": "minutes", "s": "seconds"}
_PART_NAMES: Final = {
    "deg": "degrees",
    "d": "degrees",
    "degree": "degrees",
    "min": "minutes",
    "m": "minutes",
    "minute": "minutes",
    "sec": "seconds",
    "s": "seconds",
    "second": "seconds",
    "direction": "hemisphere",
    "dir": "hemisphere",
    "ref": "hemisphere",
}
_PAIR: Final = re.compile(
    r"(?:gps[_ -]?|geo[_ -]?)?(?:coordinates?|coords?|lat[_ -]?l(?:on|ng)g?|gps|location|position|point"
    r"|answer|guess|prediction|final_?answer|response|result|koordinaten|coordonnées|coordenadas)"
)
_REVERSED: Final = re.compile(r"(?:lon|lng|long)[_ -]?lat")
_PLACES: Final = {
    "city": re.compile(rf"(?:{CITY})(?:[_ ]?name)?"),
    "region": re.compile(rf"(?:{REGION})(?:[_ ]?name)?"),
    "country": re.compile(rf"(?:{COUNTRY})(?:[_ ]?name)?"),
}
_ERROR_KEYS: Final = frozenset({"error", "errors", "detail", "traceback", "exception"})


def json_candidate(
    root: Node, position: int, end: int, letter_o: str, truncated: bool
) -> Candidate | None:
    """The best coordinates in the object by `standings`, with their places.

    A candidate with a note where there are keys for coordinates but none in them; None where there
    are no such keys. `truncated` discards a number that the end of the text may have cut.
    """
    found = [
        (candidate.note is not None, standing, candidate, node)
        for standing, node in standings(root)
        if (candidate := _in_object(node, letter_o, truncated)) is not None
    ]
    if not found:
        return None
    _, standing, best, node = min(found, key=lambda entry: entry[:2])
    places = _places_of(root, node, standing.depth)
    return replace(best, start=position, end=end, closed=True, places=places)


def json_places(root: Node) -> Places:
    """City, region and country as written, from the shallowest keys that name them."""
    return _places_in(node for _, node in _objects(root))


def _places_in(nodes: Iterable[Node]) -> Places:
    places: Places = {}
    for node in nodes:
        for key, value in node.items:
            folded = folded_key(key)
            for kind, wanted in _PLACES.items():
                if kind not in places and isinstance(value, Scalar) and wanted.fullmatch(folded):
                    places[kind] = place_value(value.text)
    return places


def _places_of(root: Node, node: Node, depth: int) -> Places:
    """The places beside the coordinates and above them; where there are none, those anywhere."""
    places = _places_in([node])
    for kind, name in _places_in(above for level, above in _objects(root) if level < depth).items():
        places.setdefault(kind, name)
    return places or json_places(root)


def is_error(root: Node) -> bool:
    """Whether the object is a server's error: it says `error` and has no coordinates of its own."""
    keys = {folded_key(key): value for key, value in root.items}
    if any(_LATITUDE.fullmatch(key) for key in keys):
        return False
    if any(_is_filled(keys[key]) for key in keys.keys() & _ERROR_KEYS):
        return True
    kind = keys.get("object") or keys.get("type")
    if isinstance(kind, Scalar) and kind.text.lower() == "error":
        return True
    return "message" in keys and not {"code", "status", "statuscode", "status_code"}.isdisjoint(
        keys
    )


def string_lines(root: Node) -> str:
    """`key: value` lines of every string in the object, for the readers of labels and prose."""
    lines = [
        f"{key}: {value.text}" if key else value.text
        for _, node in _nodes(root)
        for key, value in node.items
        if isinstance(value, Scalar) and (key or value.quoted)
    ]
    return "\n".join(lines)


def _is_filled(value: Node | Scalar) -> bool:
    if isinstance(value, Node):
        return bool(value.items)
    return value.text.lower() not in {"", "null", "none", "false"}


def _nodes(root: Node) -> Iterator[tuple[int, Node]]:
    """Objects and arrays, shallowest first, in the order of the text within a depth."""
    level = [root]
    depth = 0
    while level:
        for node in level:
            yield depth, node
        level = [child for node in level for _, child in node.items if isinstance(child, Node)]
        depth += 1


def _objects(root: Node) -> Iterator[tuple[int, Node]]:
    return ((depth, node) for depth, node in _nodes(root) if node.is_object)


def _in_object(node: Node, letter_o: str, truncated: bool) -> Candidate | None:
    values: dict[str, Value] = {}
    said: dict[str, dict[str, Scalar]] = {"lat": {}, "lon": {}}
    paired: Candidate | None = None
    is_point = any(
        folded_key(key) == "type" and isinstance(value, Scalar) and value.text.lower() == "point"
        for key, value in node.items
    )
    for key, value in node.items:
        folded = folded_key(key)
        part = _PART.fullmatch(folded)
        if part and isinstance(value, Scalar):
            _take_part(part, value, said)
        elif isinstance(value, Scalar) and value.text.strip() in {"N", "S", "E", "W"}:
            about = folded.startswith(_ABOUT_HEMISPHERES)
            axis = AXIS_OF[value.text.strip()]
            said[axis]["hemisphere" if about else "direction"] = value
        elif _LATITUDE.fullmatch(folded):
            values["lat"] = _value(value, truncated)
        elif _LONGITUDE.fullmatch(folded):
            values["lon"] = _value(value, truncated)
        elif _REVERSED.fullmatch(folded) or (is_point and folded == "coordinates"):
            paired = _pair_of(value, letter_o, ("lon", "lat"), truncated) or paired
        elif _PAIR.fullmatch(folded):
            paired = _pair_of(value, letter_o, ("", ""), truncated) or paired
    for axis, parts in said.items():
        if axis in values or "degrees" in parts:
            values[axis] = _with_parts(values.get(axis), parts, axis, truncated)
    if not values:
        return paired
    if len(values) < 2:
        return paired or Candidate(0, 0, note="incomplete")
    return _both(values["lat"], values["lon"], letter_o)


def _take_part(part: re.Match[str], value: Scalar, said: dict[str, dict[str, Scalar]]) -> None:
    """Files what keys like `latitude_minutes`, `lon_ref` and `hemisphere` say."""
    which = part["axis"] or part["which"]
    name = _PARTS[part["angle"][0]] if part["angle"] else "hemisphere"
    if part["sign"] and plain(value.text).strip() == "-":
        value = value._replace(text="minus")
    if part[0] == "direction":
        name = "direction"
    for axis in ("lat", "lon") if not which else ("lat" if which == "lat" else "lon",):
        said[axis][name] = value


def _with_parts(value: Value | None, parts: dict[str, Scalar], axis: str, truncated: bool) -> Value:
    """The value of one axis with the minutes, seconds and the hemisphere that other keys give."""
    if truncated and any(scalar.open for scalar in parts.values()):
        return Value(0, note="length")
    if value is None:
        value = _sexagesimal({name: scalar.text for name, scalar in parts.items()}, truncated)
    elif "minutes" in parts and value.angle is not None and not value.angle.decimals:
        return Value(0, note="ambiguous")
    signed = value.angle is not None and (value.angle.negative or value.angle.hemisphere)
    if (
        "direction" in parts
        and not signed
        and _hemisphere(parts["direction"].text, axis) in {"S", "W"}
    ):
        return Value(0, note="ambiguous")  # of the place, or where the camera looks
    written = parts["hemisphere"].text if "hemisphere" in parts else ""
    if value.angle is None or is_unknown(written):
        return value
    code = _hemisphere(written, axis)
    if code is None:
        return value if value.angle.negative else Value(0, note="ambiguous")
    if not code or value.angle.hemisphere == code:
        return value
    if value.angle.hemisphere:
        return Value(0, note="contradiction")
    return Value(0, replace(value.angle, hemisphere=code))


def _hemisphere(written: str, axis: str) -> str | None:
    """The code for this axis in `S`, `southern`, `SE`, `minus`; empty if it tells of the other axis only.

    None where it can't be told.
    """
    text = plain(written).strip().lower()
    if text == "+" or re.fullmatch(f"{SIGN_WORDS}|positive?|plus", text):
        negative = text != "+" and not text.startswith("p")
        return {"lat": "NS", "lon": "EW"}[axis][negative]
    codes: set[str] = {hemisphere_code(text)}
    for word in re.findall(r"[^\W\d_]+", text):
        both = re.fullmatch(r"[ns][ew]", word) is not None
        codes |= set(word.upper()) if both else {hemisphere_code(word)}
    codes.discard("")
    here = codes & set({"lat": "NS", "lon": "EWO"}[axis])
    if not codes or len(here) > 1:
        return None
    return here.pop() if here else ""


def _both(latitude: Value, longitude: Value, letter_o: str) -> Candidate:
    if latitude.angle is None or longitude.angle is None:
        notes = {latitude.note, longitude.note}
        order = ("length", "range", "placeholder", "template", "contradiction", "ambiguous")
        return Candidate(0, 0, note=next((note for note in order if note in notes), "malformed"))
    return pair(latitude.angle, longitude.angle, letter_o, ("lat", "lon"))


def _value(value: Node | Scalar, truncated: bool) -> Value:
    if isinstance(value, Node):
        return _nested_value(value, truncated)
    if value.open and truncated:
        return Value(0, note="length")
    text = plain(value.text).strip()
    found = value_at(text, text.lower(), 0)
    if found is None or not text:
        return Value(0, note="placeholder" if not text else "malformed")
    if found.angle and text[found.end :].strip(" .)]\"'"):
        return Value(0, note="malformed")
    return found


def _nested_value(node: Node, truncated: bool) -> Value:
    """`{"value": 48.85}` or `{"degrees": 48, "minutes": 51, "seconds": 24, "direction": "N"}`."""
    if not node.is_object:
        return Value(0, note="range" if len(node.items) == 2 else "malformed")
    parts = {folded_key(key): value.text for key, value in node.items if isinstance(value, Scalar)}
    for key in ("value", "decimal", "decimal_degrees", "dd"):
        if key in parts:
            return _value(Scalar(parts[key], True, False), truncated)
    named = {_PART_NAMES.get(key, key): text for key, text in parts.items()}
    if "degrees" in named:
        return _sexagesimal(named, truncated)
    return Value(0, note="range" if parts.keys() & {"min", "max", "from", "to"} else "malformed")


def _sexagesimal(parts: dict[str, str], truncated: bool) -> Value:
    """Degrees, minutes and seconds from keys of their own, with the hemisphere among them."""
    written = f"{parts['degrees'].strip(' °')}°"
    for name, mark in (("minutes", "'"), ("seconds", '"')):
        if name in parts and not is_unknown(parts[name]):
            written += parts[name].strip(" '\"") + mark
    hemisphere = parts.get("hemisphere", "")
    hemisphere = "" if is_unknown(hemisphere) else hemisphere_code(hemisphere) or hemisphere
    return _value(Scalar(f"{written} {hemisphere}".strip(), True, False), truncated)


def _pair_of(
    value: Node | Scalar, letter_o: str, axes: tuple[str, str], truncated: bool
) -> Candidate | None:
    if isinstance(value, Scalar):
        return pair_in(plain(value.text), letter_o, axes)
    if value.is_object:
        return None
    numbers = [_value(item, truncated) for _, item in value.items if isinstance(item, Scalar)]
    if len(numbers) not in {2, 3} or len(numbers) != len(value.items):
        return Candidate(0, 0, note="range") if len(value.items) > 3 else None
    first, second = numbers[0], numbers[1]
    if first.angle is None or second.angle is None:
        return Candidate(0, 0, note=first.note or second.note or "malformed")
    return pair(first.angle, second.angle, letter_o, axes)
