"""Coordinates and place names in a JSON object, whatever its keys are called and however nested."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from geospot.parsing.candidate import Candidate, Places, pair
from geospot.parsing.jsonish import Node, Scalar
from geospot.parsing.labelled import pair_in
from geospot.parsing.normalise import plain
from geospot.parsing.placenames import place_value
from geospot.parsing.values import Value, value_at
from geospot.parsing.vocabulary import CITY, COUNTRY, LATITUDE, LONGITUDE, REGION, hemisphere_code

_PREFIX = (
    r"(?:(?:gps|est(?:imated)?|pred(?:icted)?|guess(?:ed)?|decimal|final|approx|cent(?:er|re)|answer)"
    r"[_ -]?)?"
)
_SUFFIX = r"(?:[_ -]?(?:deg(?:rees)?|dd|decimal|wgs84|value|est))?"
_LATITUDE: Final = re.compile(rf"{_PREFIX}(?:{LATITUDE}){_SUFFIX}")
_LONGITUDE: Final = re.compile(rf"{_PREFIX}(?:{LONGITUDE}){_SUFFIX}")
_REFERENCE: Final = re.compile(
    r"(?:gps_?)?(?P<axis>lat|lon|lng|long)(?:itude)?_?(?:dir(?:ection)?|ref(?:erence)?|hemisphere)"
)
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
    """The shallowest coordinates in the object, the last of equally deep ones, with its places.

    A candidate with a note where there are keys for coordinates but none in them; None where there
    are no such keys. `truncated` discards a number that the end of the text may have cut.
    """
    best: Candidate | None = None
    best_depth, best_node = -1, root
    for depth, node in _objects(root):
        found = _in_object(node, letter_o, truncated)
        if found is None:
            continue
        better = best is None or (best.note is not None and found.note is None)
        same = depth == best_depth and (
            found.note is None or (best is not None and best.note is not None)
        )
        if better or same:
            best, best_depth, best_node = found, depth, node
    if best is None:
        return None
    return replace(
        best, start=position, end=end, closed=True, places=_places_of(root, best_node, best_depth)
    )


def json_places(root: Node) -> Places:
    """City, region and country as written, from the shallowest keys that name them."""
    return _places_in(node for _, node in _objects(root))


def _places_in(nodes: Iterable[Node]) -> Places:
    places: Places = {}
    for node in nodes:
        for key, value in node.items:
            folded = _folded(key)
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
    keys = {_folded(key): value for key, value in root.items}
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


def _folded(key: str) -> str:
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key[:80].strip())
    return split.lower()


def _in_object(node: Node, letter_o: str, truncated: bool) -> Candidate | None:
    values: dict[str, Value] = {}
    units: dict[str, str] = {}
    paired: Candidate | None = None
    is_point = any(
        _folded(key) == "type" and isinstance(value, Scalar) and value.text.lower() == "point"
        for key, value in node.items
    )
    for key, value in node.items:
        folded = _folded(key)
        reference = _REFERENCE.fullmatch(folded)
        if reference and isinstance(value, Scalar):
            units["lat" if reference["axis"] == "lat" else "lon"] = hemisphere_code(value.text)
        elif _LATITUDE.fullmatch(folded):
            values["lat"] = _value(value, truncated)
        elif _LONGITUDE.fullmatch(folded):
            values["lon"] = _value(value, truncated)
        elif _REVERSED.fullmatch(folded) or (is_point and folded == "coordinates"):
            paired = _pair_of(value, letter_o, ("lon", "lat"), truncated) or paired
        elif _PAIR.fullmatch(folded):
            paired = _pair_of(value, letter_o, ("", ""), truncated) or paired
    if not values:
        return paired
    if len(values) < 2:
        return paired or Candidate(0, 0, note="incomplete")
    return _both(values["lat"], values["lon"], units, letter_o)


def _both(latitude: Value, longitude: Value, units: dict[str, str], letter_o: str) -> Candidate:
    if latitude.angle is None or longitude.angle is None:
        notes = {latitude.note, longitude.note}
        note = next(
            (n for n in ("length", "range", "placeholder", "template") if n in notes), "malformed"
        )
        return Candidate(0, 0, note=note)
    return pair(
        latitude.angle,
        longitude.angle,
        letter_o,
        ("lat", "lon"),
        (units.get("lat", ""), units.get("lon", "")),
    )


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
    parts = {_folded(key): value.text for key, value in node.items if isinstance(value, Scalar)}
    for key in ("value", "decimal", "decimal_degrees", "dd"):
        if key in parts:
            return _value(Scalar(parts[key], True, False), truncated)
    if "degrees" not in parts:
        return Value(
            0, note="range" if parts.keys() & {"min", "max", "from", "to"} else "malformed"
        )
    hemisphere = parts.get("direction") or parts.get("hemisphere") or parts.get("ref") or ""
    written = f"{parts['degrees']}°"
    if "minutes" in parts:
        written += f"{parts['minutes']}'" + (f'{parts["seconds"]}"' if "seconds" in parts else "")
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
