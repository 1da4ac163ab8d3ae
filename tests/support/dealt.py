"""How an endpoint answers, and what has to become of the question: every behaviour with its outcome."""

from dataclasses import dataclass
from typing import Any, Final

from geospot.outcomes import Outcome
from tests.support.vlm_server import Behaviour

_FILTERED: Final[dict[str, Any]] = {
    "error": {"code": "content_filter", "message": "The prompt was filtered"}
}
_ROUTER_ERROR: Final[dict[str, Any]] = {
    "error": {"code": 502, "message": "Provider returned error at 48.85, 2.29"}
}

DEALT: Final[list[tuple[Behaviour, Outcome]]] = [
    (Behaviour(), Outcome.OK),
    (Behaviour(text='{"latitude": "48.8584", "longitude": 2.2945,}'), Outcome.OK),
    (Behaviour(text="I’m sorry, but I can’t help with identifying locations."), Outcome.REFUSAL),
    (Behaviour(text="", refusal="I can't help with that."), Outcome.REFUSAL),
    (Behaviour(text="", finish_reason="content_filter"), Outcome.REFUSAL),
    (Behaviour(kind="status", status=400, body=_FILTERED), Outcome.REFUSAL),
    (Behaviour(text="It is a street with trees."), Outcome.UNPARSED),
    (Behaviour(text=""), Outcome.UNPARSED),
    (Behaviour(text="City: Berlin\nLatitude: 52.", finish_reason="length"), Outcome.UNPARSED),
    (Behaviour(text="Latitude: 0.0\nLongitude: 0.0"), Outcome.UNPARSED),
    (Behaviour(text="City: Berlin\nCountry: Germany"), Outcome.PLACE_ONLY),
    (Behaviour(text="Latitude: 152.52\nLongitude: 13.4"), Outcome.OUT_OF_RANGE),
    (Behaviour(kind="status", status=413), Outcome.IMAGE_ERROR),
    (Behaviour(kind="status", status=400), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="status", status=500), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="reset"), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="half_json"), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="html"), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="no_choices"), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="stall"), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="raw", body=_ROUTER_ERROR), Outcome.TRANSPORT_ERROR),
    (Behaviour(kind="raw", body=[]), Outcome.TRANSPORT_ERROR),
]

PASSING: Final = {
    "429 in seconds": Behaviour(kind="status", status=429, headers=(("retry-after", "0.02"),)),
    "429 plain": Behaviour(kind="status", status=429),
    "500": Behaviour(kind="status", status=500),
    "502": Behaviour(kind="status", status=502),
    "503": Behaviour(kind="status", status=503),
    "529": Behaviour(kind="status", status=529),
    "reset in mid-body": Behaviour(kind="reset"),
    "half a JSON": Behaviour(kind="half_json"),
    "wrong content type": Behaviour(kind="html"),
    "empty choices": Behaviour(kind="no_choices"),
    "stall": Behaviour(kind="stall"),
}
"""Faults after which the next answer is a good one."""


@dataclass(frozen=True, slots=True)
class Hand:
    """What is dealt to a photo: how it is answered each time, or at first, and its outcome."""

    name: str
    behaviour: Behaviour
    outcome: Outcome
    passes: bool = False

    def behaviour_at(self, attempt: int) -> Behaviour:
        """How it is answered, after so many earlier questions."""
        return Behaviour() if self.passes and attempt else self.behaviour


def _named(behaviour: Behaviour, outcome: Outcome) -> str:
    how = f"{behaviour.kind} {behaviour.status}" if behaviour.kind == "status" else behaviour.kind
    return f"{how} {behaviour.text[:24]!r}, {outcome}"


HANDS: Final = (
    *(Hand(_named(behaviour, outcome), behaviour, outcome) for behaviour, outcome in DEALT),
    *(Hand(f"{name}, then ok", how, Outcome.OK, passes=True) for name, how in PASSING.items()),
)
