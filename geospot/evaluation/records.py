"""One line of `samples.jsonl`: everything needed to score the answer again, offline."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

from geospot.geo import HALF_CIRCUMFERENCE_KM
from geospot.outcomes import Outcome

LIMIT: Final = 1 << 40
"""Every figure and count of a record is below: larger ones can't be, and would break what adds them up."""


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


def is_record(row: Mapping[str, Any]) -> bool:
    """Whether `from_json` makes a record of a row in which every figure can be reckoned with."""
    get = row.get
    figures = [get(name, default) for name, default in _FIGURES]
    figures += [value for name in ("latitude", "longitude") if (value := get(name)) is not None]
    counts = [get("draw", 0), get("attempts", 1), *_values(get("usage", _NOTHING))]
    texts = [get("id"), get("outcome"), get("text", "")]
    texts += _values(get("place", _NOTHING)) + _values(get("labels", _NOTHING))
    texts += [value for name in ("error", "note") if (value := get(name)) is not None]
    try:
        return (
            _NUMBER.issuperset(map(type, figures))
            and sum(map(abs, figures)) < LIMIT  # not where one is NaN
            and _WHOLE.issuperset(map(type, counts))
            and 0 <= min(counts) <= max(counts) < LIMIT
            and _TEXT.issuperset(map(type, texts))
            and texts[1] in _OUTCOMES
            and type(get("truncated", False)) is type(get("refused", False)) is bool
        )
    except OverflowError:  # an integer of hundreds of digits
        return False


_FIGURES: Final = (
    *(("true_latitude", None), ("true_longitude", None)),
    *(("distance_km", 0), ("geoscore", 0), ("latency_s", 0)),
)
"""Degrees, kilometres, scores, seconds; what has None in the place of a default has to be there."""
_NUMBER: Final = frozenset([int, float])
_WHOLE: Final = frozenset([int])
_TEXT: Final = frozenset([str])
_OUTCOMES: Final = frozenset(map(str, Outcome))
_NOTHING: Final[dict[str, Any]] = {}


def _values(mapping: Any) -> list[Any]:
    """The values of a mapping; of anything else one that fits nowhere."""
    return list(cast(dict[str, Any], mapping).values()) if type(mapping) is dict else [None]
