"""OSV-5M on the hub: what is prepared of a commit, and its images by range request."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from geospot.data import prepared
from geospot.data.commits import at_commit, home_of
from geospot.data.osv5m import HUB_NAME, NAME, Osv5mDataset
from geospot.data.progress import Progress
from geospot.data.remote import HubFile, HubRepo, RemoteEntry, download
from geospot.data.sample import GeoSample
from geospot.data.zipindex import RangeReader
from geospot.errors import DataError
from geospot.textsafe import printable

_ZIPS: Final = "zips.json"


def open_osv5m(
    split: str, revision: str | None, cache_dir: Path, progress: Progress
) -> Osv5mDataset:
    """The split of OSV-5M's own repository."""
    home = home_of(cache_dir, HUB_NAME)
    repo = at_commit(HUB_NAME, revision, home, lambda commit: is_prepared(home, commit, split))
    return open_at_commit(repo, split, home, progress)


def is_prepared(home: Path, commit: str, split: str) -> bool:
    """Whether everything but the images is in the cache."""
    return (_folder(home, commit, split) / prepared.PREPARED).exists()


def open_at_commit(repo: HubRepo, split: str, home: Path, progress: Progress) -> Osv5mDataset:
    """The split of any repository in OSV-5M's layout, prepared now unless it was before."""
    folder = _folder(home, repo.commit, split)
    if not prepared.is_finished(folder):
        with prepared.locked(folder):
            _prepare(repo, split, folder, progress)
    entries = json.loads((folder / _ZIPS).read_text(encoding="utf-8"))
    zips = {Path(entry["path"]).name: repo.open(RemoteEntry(**entry)) for entry in entries}
    name = NAME if repo.repo_id == HUB_NAME else repo.repo_id
    return Osv5mDataset(name, split, folder / prepared.PREPARED, _HubImages(zips))


def _folder(home: Path, commit: str, split: str) -> Path:
    return home / f"{commit}-{prepared.FORMAT}" / split.replace("/", "--")


def _prepare(repo: HubRepo, split: str, folder: Path, progress: Progress) -> None:
    if (folder / prepared.PREPARED).exists():
        prepared.tidy(folder)  # another process did it, and may have been killed at its very end
        return
    root = {entry.path: entry for entry in repo.entries()}
    csv = root.get(f"{split}.csv")
    zips = [e for e in repo.entries(f"images/{split}") if e.path.endswith(".zip")]
    if csv is None or not zips:
        splits = [path.removesuffix(".csv") for path in root if path.endswith(".csv")]
        raise DataError(
            f"{repo.repo_id} has no split {printable(split)!r}.",
            f"Its splits are: {', '.join(splits) or 'none'}.",
        )
    local = folder / prepared.FETCHED
    if not local.exists() and not (folder / prepared.ROWS).exists():
        download(repo.open(csv), local, progress)
    readers: list[tuple[str, RangeReader]] = [(Path(e.path).name, repo.open(e)) for e in zips]
    prepared.write_text(folder / _ZIPS, json.dumps([asdict(entry) for entry in zips]))
    prepared.build(folder, local, readers, progress)


class _HubImages:
    """Zips on the hub. Images are fetched when asked for, each by one request."""

    def __init__(self, zips: dict[str, HubFile]) -> None:
        self._zips = zips

    def zip(self, name: str) -> RangeReader:
        return self._zips[name]

    def outside_zips(self, sample: GeoSample) -> bytes | None:
        return None

    def close(self) -> None:
        """The connections belong to the hub's client, which closes them itself."""
