"""One line of `samples.jsonl`: everything needed to score the answer again, offline."""

from dataclasses import asdict, dataclass, field
from typing import Any

from geospot.geo import HALF_CIRCUMFERENCE_KM
from geospot.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """What became of one question.

    `distance_km` is the half circumference and `geoscore` 0 unless the outcome is `ok`. `place` is
    what the answer says (city, region, country as written), `labels` what the data set says
    (`geospot.data.sample.LABELS`), so that a directory can be rescored without its data set.
    """

    id: str
    outcome: Outcome
    true_latitude: float
    true_longitude: float
    draw: int = 0
    text: str = ""
    latitude: float | None = None
    longitude: float | None = None
    distance_km: float = HALF_CIRCUMFERENCE_KM
    geoscore: float = 0.0
    place: dict[str, str] = field(default_factory=dict[str, str])
    labels: dict[str, str] = field(default_factory=dict[str, str])
    usage: dict[str, int] = field(default_factory=dict[str, int])
    latency_s: float = 0.0
    attempts: int = 1
    error: str | None = None
    note: str | None = None
    """Why an answer is no answer, such as `length` or `null_island`."""
    truncated: bool = False
    refused: bool = False
    """Refused through the protocol (content filter), not in the text."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary in field order."""
        return asdict(self) | {"outcome": str(self.outcome)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "SampleRecord":
        """Inverse of `to_json`; unknown keys of a later version are ignored."""
        known: dict[str, Any] = {key: row[key] for key in cls.__slots__ if key in row}
        known["outcome"] = Outcome(row["outcome"])
        return cls(**known)
