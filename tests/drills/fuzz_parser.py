"""What must hold of every answer that the parser gives, whatever it is given.

`check` takes any bytes: the first says whether the answer was cut off, the rest is its text. So a fuzzer's
input is a file that can be kept and tried again.
"""

import math
import time
from typing import Final

from geospot.outcomes import Outcome
from geospot.parsing import GeoAnswer, parse_geo_response

NOTES: Final = {
    *("empty", "length", "think", "null_island", "range", "placeholder", "transport_text"),
    *("contradiction", "ambiguous", "malformed", "incomplete", "no_coordinates"),
}
"""What docs/parsing.md has."""
OUTCOMES: Final = {
    *(Outcome.OK, Outcome.UNPARSED, Outcome.OUT_OF_RANGE, Outcome.PLACE_ONLY, Outcome.REFUSAL),
}
"""The others are not the text's to say."""
LONGEST_S: Final = 1.0
"""Processor time of an input of a few kilobytes; one takes a quarter of a millisecond."""
_LONGEST_NAME: Final = 100


def check(data: bytes) -> None:
    """Reads an answer, and reads it again as one that was cut off, or that wasn't.

    Raises:
        AssertionError: something doesn't hold.
    """
    truncated = bool(data[:1] and data[0] & 1)
    text = data[1:].decode("utf-8", "surrogateescape")
    started_s = time.thread_time()
    answer = parse_geo_response(text, truncated=truncated)
    took_s = time.thread_time() - started_s
    assert took_s < LONGEST_S, f"{len(text)} characters took {took_s:.2f} s"
    _is_sound(answer, text, truncated=truncated)
    if data[:1] and data[0] & 6 == 0:  # one in four: it costs as much again
        assert parse_geo_response(text, truncated=truncated) == answer, "it isn't the same twice"


def _is_sound(answer: GeoAnswer, text: str, *, truncated: bool) -> None:
    assert answer.outcome in OUTCOMES, answer
    assert answer.note is None or answer.note in NOTES, answer
    if answer.outcome is Outcome.OK:
        assert answer.note is None, answer
        assert answer.latitude is not None, answer
        assert answer.longitude is not None, answer
        at = (answer.latitude, answer.longitude)
        assert all(math.isfinite(degrees) for degrees in at), answer
        assert abs(at[0]) <= 90, answer
        assert abs(at[1]) <= 180, answer
        assert at != (0.0, 0.0), answer
        assert all(math.copysign(1, degrees) > 0 for degrees in at if degrees == 0), answer
        assert any(char.isdigit() for char in text), answer
    else:
        assert answer.latitude is None, answer
        assert answer.longitude is None, answer
    if answer.outcome is Outcome.UNPARSED:
        assert answer.note is not None, answer
        assert truncated or answer.note != "length", answer
    for name in (answer.city, answer.region, answer.country):
        assert name is None or (0 < len(name) <= _LONGEST_NAME and name == name.strip()), answer
        assert name is None or not any(char in name for char in "\n\r\x00\u200b\u202e"), answer
