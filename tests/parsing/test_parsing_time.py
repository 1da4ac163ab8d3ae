"""Hostile texts cost time in proportion to their length. Processor time, generous factors."""

import time

import pytest

from geospot.parsing import parse_geo_response

SHORT = 8_000
"""Characters: enough, with four times as many, for a time that can be told from a quadratic reader's."""
SHORTEST_S = 0.03
"""Of the longer text. A quadratic reader that stays below it takes half a minute for a megabyte."""
HOSTILE = {
    "digits": "1",
    "one, two": "1,",
    "one. two": "1.",
    "one two": "1 ",
    "pairs": "1.23, ",
    "lines of pairs": "48.8566, 2.3522\n",
    "dashes": "-",
    "em dashes": "—",
    "spaces": " ",
    "lines": "\n",
    "tabs": "\t",
    "degrees": "°",
    "degrees and digits": "1°",
    "minutes": "1°1'",
    "far degree signs": "48          °",
    "spaced numbers": "48.5                    ",
    "hemispheres": "N ",
    "hemisphere words": "north ",
    "braces": "{",
    "objects": '{"a":',
    "objects and arrays": '{"a":[{"b":[',
    "arrays": "[",
    "keys": '{"a"',
    "escapes": '{"a\\',
    "curly quotes": "{“",
    "whole objects": '{"latitude": 1.5, "longitude": 2.5}',
    "half objects": '{"latitude": 1.5, "longitude": 2.5 ',
    "quotes": '"',
    "think": "<think>",
    "end of think": "</think>",
    "tags": "<a ",
    "entities": "&#1",
    "labels": "Latitude:",
    "labels in turn": "latitude longitude ",
    "labels and values": "latitude: 1 longitude: 1 ",
    "pair labels": "coordinates ",
    "labelled lists": "coordinates: 1.5, 1.5, ",
    "signs in words": "minus ",
    "signs in brackets": "-(",
    "numbers and signs": "1 negative ",
    "tolerances": "1 ± ",
    "denials": "not ",
    "hemisphere phrases": "southern hemisphere ",
    "pairs and hemispheres": "48.8566, 2.3522 southern hemisphere ",
    "numbered guesses": "2. 48.8566, 2.3522\n",
    "alternatives": "Alternative:\nLatitude: 1.5\nLongitude: 2.5\n",
    "directions": "southern latitude ",
    "lists of objects": '{"latitude": 1.5, "longitude": 2.5}, ',
    "ranked objects": '{"rank": 1, "guess": {"alternative": ',
    "fillers": "latitude of the place is ",
    "parentheses": "latitude (",
    "cities": "City: ",
    "regions": "region,",
    "city bullets": "\n- city",
    "headers": "lat,lon\n",
    "tables": "lat,lon\n1.5,2.5\n",
    "table lines": "|a|lat|lon|\n",
    "ranges": "1 to ",
    "between": "between 1 and ",
    "combining marks": "\u0301\u0323",
    "jamo": "\u1100\u1161",
    "full width": "１",
    "invisible": "\u200b",
    "chinese": "北纬1度",
    "latex": "\\ang{1;2;",
    "dollars": "$1 ",
    "emphasis": "_",
    "links": "https://a?q=1.5,2.5 ",
    "geo uris": "geo:1,2 ",
    "refusals": "I cannot ",
    "dotted names": "a.",
    "tracebacks": "Traceback (most recent call last):\n",
}


def _text(name: str, length: int) -> str:
    piece = HOSTILE[name]
    return (piece * (length // len(piece) + 1))[:length]


def _seconds(text: str) -> float:
    """Of this thread alone: what other tests' servers and clients left running doesn't count."""
    started = time.thread_time()
    parse_geo_response(text)
    return time.thread_time() - started


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """A quadratic reader would take 16 times as long for four times the text, each time it is asked."""
    short, long = _text(name, SHORT), _text(name, 4 * SHORT)
    long_s = _seconds(long)
    assert long_s < 3
    if long_s > SHORTEST_S:
        short_s = min(_seconds(short) for _ in range(2))
        for _ in range(3):  # a neighbour on the same core makes any one time twice as long
            if long_s < 8 * short_s:
                break
            long_s = min(long_s, _seconds(long))
        assert long_s < 8 * short_s


def test_a_quarter_of_a_megabyte_takes_seconds() -> None:
    """Of what takes longest a character; more than is searched of an answer without labels."""
    assert _seconds(_text("headers", 250_000)) < 7.5
