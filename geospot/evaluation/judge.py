"""From a reply, or the lack of one, to the record of a sample: parsed, measured, with one outcome."""

from dataclasses import replace
from typing import Any

from geospot.data.sample import GeoSample
from geospot.evaluation.backend import Reply
from geospot.evaluation.records import SampleRecord
from geospot.geo import HALF_CIRCUMFERENCE_KM, geoscore, haversine_km, is_on_globe
from geospot.outcomes import Outcome
from geospot.parsing import GeoAnswer, parse_geo_response

# Outcomes that no parser decides: there is no answer to read.
_NOT_ANSWERED = frozenset([Outcome.IMAGE_ERROR, Outcome.TRANSPORT_ERROR, Outcome.MISSING])


def judge(
    sample: GeoSample, reply: Reply, *, draw: int = 0, latency_s: float = 0.0, attempts: int = 1
) -> SampleRecord:
    """The record of a reply."""
    unread = SampleRecord(
        id=sample.id,
        outcome=Outcome.UNPARSED,
        true_latitude=sample.latitude,
        true_longitude=sample.longitude,
        draw=draw,
        text=reply.text,
        labels=sample.labels(),
        usage={
            "input_tokens": reply.usage.input_tokens,
            "output_tokens": reply.usage.output_tokens,
        },
        latency_s=round(latency_s, 4),
        attempts=attempts,
        truncated=reply.truncated,
        refused=reply.refused,
    )
    return _scored(unread, _answer(reply))


def unanswered(
    sample: GeoSample,
    outcome: Outcome,
    error: str,
    *,
    draw: int = 0,
    latency_s: float = 0.0,
    attempts: int = 0,
) -> SampleRecord:
    """The record of a sample that got no reply, and why."""
    return SampleRecord(
        id=sample.id,
        outcome=outcome,
        true_latitude=sample.latitude,
        true_longitude=sample.longitude,
        draw=draw,
        labels=sample.labels(),
        latency_s=round(latency_s, 4),
        attempts=attempts,
        error=error,
    )


def reread(record: SampleRecord) -> SampleRecord:
    """The record as today's parser reads its stored text.

    An answer given in numbers, and a sample that was never answered, stay as they are.
    """
    if record.outcome in _NOT_ANSWERED or (not record.text and record.latitude is not None):
        return record
    reply = Reply(record.text, truncated=record.truncated, refused=record.refused)
    return _scored(record, _answer(reply))


def _answer(reply: Reply) -> GeoAnswer:
    if reply.refused:
        return GeoAnswer(Outcome.REFUSAL, note="content_filter")
    if reply.coordinates is None:
        return parse_geo_response(reply.text, truncated=reply.truncated)
    latitude, longitude = reply.coordinates
    if not is_on_globe(latitude, longitude):
        return GeoAnswer(Outcome.OUT_OF_RANGE)
    if latitude == 0.0 and longitude == 0.0:
        return GeoAnswer(Outcome.UNPARSED, note="null_island")
    return GeoAnswer(Outcome.OK, latitude, longitude)


def _scored(record: SampleRecord, answer: GeoAnswer) -> SampleRecord:
    found: dict[str, Any] = {
        "latitude": None,
        "longitude": None,
        "distance_km": HALF_CIRCUMFERENCE_KM,
        "geoscore": 0.0,
    }
    if answer.latitude is not None and answer.longitude is not None:
        distance_km = haversine_km(
            answer.latitude, answer.longitude, record.true_latitude, record.true_longitude
        )
        found = {
            "latitude": answer.latitude,
            "longitude": answer.longitude,
            "distance_km": distance_km,
            "geoscore": geoscore(distance_km),
        }
    named = {"city": answer.city, "region": answer.region, "country": answer.country}
    place = {level: name for level, name in named.items() if name}
    return replace(record, outcome=answer.outcome, note=answer.note, place=place, **found)
