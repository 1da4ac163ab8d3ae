"""Records and result directories made by hand, through the real writer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geospot.evaluation.records import SampleRecord
from geospot.evaluation.results import ResultDirectory
from geospot.evaluation.summary import summarise
from geospot.geo import geoscore, haversine_km
from geospot.outcomes import Outcome


def answered(
    sample_id: str,
    truth: tuple[float, float],
    predicted: tuple[float, float],
    **more: Any,
) -> SampleRecord:
    """A record of an answer with coordinates; truth and prediction in degrees."""
    distance_km = haversine_km(*predicted, *truth)
    return SampleRecord(
        id=sample_id,
        outcome=Outcome.OK,
        true_latitude=truth[0],
        true_longitude=truth[1],
        latitude=predicted[0],
        longitude=predicted[1],
        distance_km=distance_km,
        geoscore=geoscore(distance_km),
        **more,
    )


def failed(
    sample_id: str, truth: tuple[float, float], outcome: Outcome = Outcome.REFUSAL, **more: Any
) -> SampleRecord:
    """A record without coordinates."""
    return SampleRecord(
        id=sample_id, outcome=outcome, true_latitude=truth[0], true_longitude=truth[1], **more
    )


def write_result(
    path: Path,
    records: Sequence[SampleRecord],
    *,
    n: int | None = None,
    model: str = "some-vlm",
    dataset: str = "osv5m",
    fingerprint: str = "f" * 64,
    truth_sha: str | None = None,
    prompt_sha: str = "p" * 64,
    base_url: str | None = None,
    config: dict[str, Any] | None = None,
    samples: int = 1,
    canary: dict[str, Any] | None = None,
    self_selected: bool = False,
) -> Path:
    """A result directory as `geospot eval` leaves it."""
    n = len({record.id for record in records}) if n is None else n
    canary = {"asked": True, "passed": True} if canary is None else canary
    manifest = {
        "format": 1,
        "created": "2026-11-22T12:00:00+00:00",
        "geospot_version": "0.1.0",
        "backend": {"name": "openai", "model": model, "base_url": base_url},
        "dataset": {
            "name": dataset,
            "split": "test",
            "n": n,
            "fingerprint": fingerprint,
            "self_selected": self_selected,
            **({} if truth_sha is None else {"truth_sha": truth_sha}),
        },
        "prompt": {"name": "five-lines", "sha": prompt_sha},
        "config": {"samples": samples} | (config or {}),
        "canary": canary,
    }
    directory = ResultDirectory.open(path, manifest, resume=True)
    for record in records:
        directory.append(record)
    directory.write_summary(
        summarise(
            directory.records(),
            n=n,
            fingerprint=fingerprint,
            samples=samples,
            canary=canary,
            resamples=50,
        )
    )
    directory.close()
    return path
