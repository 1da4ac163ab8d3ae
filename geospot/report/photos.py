"""Small copies of photos for a report, from the data set where it is at hand, without their metadata."""

import base64
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from geospot.data.columns import parse_overrides
from geospot.data.dataset import GeoDataset
from geospot.data.open import open_dataset
from geospot.data.progress import Progress
from geospot.errors import GeospotError
from geospot.images import prepare_image
from geospot_leaderboard.collect import Result

MAX_SIDE: Final = 200
"""Pixels; about 10 kB a photo."""
_BUDGET: Final = 6_000_000


@dataclass
class Photos:
    """The photos of one result by id, as `data:` addresses, and why there are none."""

    by_id: Mapping[str, str] = field(default_factory=dict[str, str])
    reason: str = ""


def read_photos(
    one: Result, ids: Iterable[str], progress: Progress, *, fetch: bool = False
) -> Photos:
    """Small copies of these photos; what can't be had is left out and said, and is no error.

    Args:
        fetch: whether photos that aren't on this machine may be asked for. The result says where they are,
            and a stranger may have written it.
    """
    wanted = set(ids)
    described: Mapping[str, Any] = one.manifest.get("dataset") or {}
    config: Mapping[str, Any] = one.manifest.get("config") or {}
    spec = described.get("spec")
    if not isinstance(spec, str) or not spec:
        return Photos(reason="The result doesn't say where its photos are.")
    if not fetch and not _is_here(spec):
        return Photos(
            reason="Without photos: they aren't on this machine, and --fetch-photos wasn't given."
        )
    try:
        dataset = open_dataset(
            spec,
            str(described.get("split") or "test"),
            columns=parse_overrides(config.get("columns") or []),
            progress=progress,
        )
    except GeospotError as error:
        return Photos(reason=f"Without photos: {error.message}")
    with contextlib.closing(dataset):
        return _copies(dataset, wanted, progress)


def _is_here(spec: str) -> bool:
    """Whether it is drawn on this machine, or a folder of it; a table may name addresses elsewhere."""
    return spec == "world" or spec.startswith("world:") or Path(spec).expanduser().is_dir()


def _copies(dataset: GeoDataset, wanted: set[str], progress: Progress) -> Photos:
    found: dict[str, str] = {}
    missing, size = 0, 0
    try:
        samples = [sample for sample in dataset.table if sample.id in wanted]
    except GeospotError as error:
        return Photos(reason=f"Without photos: {error.message}")
    for done, sample in enumerate(samples):
        progress("Reading photos", done, len(samples))
        try:
            image = prepare_image(dataset.read_image(sample), MAX_SIDE)
        except GeospotError:
            missing += 1
            continue
        size += len(image.data)
        if size > _BUDGET:
            missing += len(samples) - done
            break
        encoded = base64.b64encode(image.data).decode("ascii")
        found[sample.id] = f"data:{image.mime};base64,{encoded}"
    missing += len(wanted) - len(samples)
    return Photos(found, f"{missing} photos can't be read here." if missing else "")
