"""Small copies of photos for a report, from the data set where it is at hand, without their metadata."""

import base64
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from geospot.data.columns import parse_overrides
from geospot.data.dataset import GeoDataset
from geospot.data.download import URL_MARK
from geospot.data.open import is_here, open_dataset
from geospot.data.progress import Progress
from geospot.errors import GeospotError, TooManyFilesError
from geospot.evaluation.standing import section
from geospot.images import prepare_image
from geospot_leaderboard.collect import Result

MAX_SIDE: Final = 200
"""Pixels; about 10 kB a photo."""
MOST_FILES: Final = 300_000
"""How many files are looked through because a result says so; OSV-5M's test split has 210,122."""
_BUDGET: Final = 6_000_000
_UNASKED: Final = "and --fetch-photos wasn't given."
_ELSEWHERE: Final = f"aren't on this machine, {_UNASKED}"


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
        fetch: whether photos that aren't on this machine may be asked for, and be looked for among any
            number of files. The result says where they are, and a stranger may have written it.
    """
    wanted = set(ids)
    described, config = section(one.manifest, "dataset"), section(one.manifest, "config")
    spec, said = described.get("spec"), config.get("columns")
    columns = cast(list[object], said) if isinstance(said, list) else []
    if not isinstance(spec, str) or not spec:
        return Photos(reason="The result doesn't say where its photos are.")
    if not fetch and not is_here(spec, MOST_FILES):
        return Photos(reason=f"Without photos: they {_ELSEWHERE}")
    try:
        dataset = open_dataset(
            spec,
            str(described.get("split") or "test"),
            columns=parse_overrides(map(str, columns)),
            progress=progress,
            most_files=None if fetch else MOST_FILES,
        )
    except TooManyFilesError:
        many = f"more than {MOST_FILES:,} files would have to be looked through for them"
        return Photos(reason=f"Without photos: {many}, {_UNASKED}")
    except GeospotError as error:
        return Photos(reason=f"Without photos: {error.message}")
    with contextlib.closing(dataset):
        return _copies(dataset, wanted, progress, fetch=fetch)


def _copies(dataset: GeoDataset, wanted: set[str], progress: Progress, *, fetch: bool) -> Photos:
    found: dict[str, str] = {}
    missing, elsewhere, size = 0, 0, 0
    try:
        samples = [sample for sample in dataset.table if sample.id in wanted]
    except GeospotError as error:
        return Photos(reason=f"Without photos: {error.message}")
    for done, sample in enumerate(samples):
        progress("Reading photos", done, len(samples))
        if not fetch and URL_MARK in sample.image:
            elsewhere += 1
            continue
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
    reasons = [f"{missing} photos can't be read here."] if missing else []
    if elsewhere:
        reasons.append(f"{elsewhere} photos {_ELSEWHERE}")
    return Photos(found, " ".join(reasons))
