"""What was read from a model's answer."""

from dataclasses import dataclass

from geospot.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class GeoAnswer:
    """The outcome, and with `ok` the coordinates in degrees (WGS84).

    Place names are as written in the answer, None where it names none. `note` says why an answer
    is no answer: `empty`, `length` (cut off by the token limit), `think` (an unclosed think block),
    `null_island`, `range`, `placeholder`, `transport_text`, `contradiction`, `ambiguous`, `malformed`,
    `incomplete`, `no_coordinates` (docs/parsing.md tells each).
    """

    outcome: Outcome
    latitude: float | None = None
    longitude: float | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None
    note: str | None = None
