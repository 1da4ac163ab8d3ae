"""How an endpoint answers, and what has to become of the question: every behaviour with its outcome."""

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
