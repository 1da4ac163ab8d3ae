"""Any data set on the Hugging Face hub that has images and coordinates."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from geospot.data.columns import refuse_overrides
from geospot.data.commits import at_commit, home_of
from geospot.data.dataset import GeoDataset
from geospot.data.progress import Progress, silent
from geospot.data.remote import HubRepo, RemoteEntry
from geospot.textsafe import printable


def open_hub(
    repo_id: str,
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    revision: str | None = None,
    cache_dir: Path,
    progress: Progress = silent,
) -> GeoDataset:
    """Opens a split of a data set on the hub.

    Zips in OSV-5M's layout and tables that name their images are read in any order, image by image.
    Tars (WebDataset) and every format that `datasets` can stream are read from their beginning: the
    first valid samples are taken and kept in the cache, so that they are fetched once.

    Args:
        repo_id: `owner/name`.
        columns: field → column, where it can't be told by name.
        revision: commit, tag or branch; the main branch if None.

    Raises:
        DataError: there is no such data set, split or column, or no access to it.
        SourceUnavailableError: the hub doesn't answer and the cache hasn't what is needed.
    """
    home = home_of(cache_dir, repo_id)
    repo = at_commit(repo_id, revision, home, lambda commit: _listing(home, commit, split).exists())
    entries = _entries(repo, split, _listing(home, repo.commit, split))
    paths = {entry.path for entry in entries}
    if f"{split}.csv" in paths and any(
        path.startswith(f"images/{split}/") and path.endswith(".zip") for path in paths
    ):
        from geospot.data.hubosv5m import open_at_commit

        refuse_overrides(columns, f"{printable(repo_id)}, which is in OSV-5M's layout,")
        return open_at_commit(repo, split, home, progress)
    if tars := _tars_of(entries, split):
        from geospot.data.hubtars import HubTars

        return HubTars(repo, split, tars, home, columns, progress)
    from geospot.data.hubtable import HubTable, table_of

    if named := table_of(entries, split):
        return HubTable(repo, split, named, home, columns, progress)
    from geospot.data.hubrows import open_rows
    from geospot.data.hubstream import HubStream, stream_folder

    folder = stream_folder(home, repo.commit, split, columns)
    return HubStream(repo, split, folder, lambda: open_rows(repo, split), columns, progress)


def _listing(home: Path, commit: str, split: str) -> Path:
    return home / f"{commit}-files" / f"{split.replace('/', '--')}.json"


def _entries(repo: HubRepo, split: str, listing: Path) -> list[RemoteEntry]:
    """The files where data may be, remembered: they tell what kind of data set it is.

    A few folders only; an imagefolder's listing alone may take a hundred requests.
    """
    from geospot.data.prepared import write_text

    if listing.exists():
        return [RemoteEntry(**item) for item in json.loads(listing.read_text(encoding="utf-8"))]
    folders = ["", "data", split, f"data/{split}", f"images/{split}"]
    entries = [entry for folder in dict.fromkeys(folders) for entry in repo.entries(folder)]
    write_text(listing, json.dumps([asdict(entry) for entry in entries]))
    return entries


def _tars_of(entries: Iterable[RemoteEntry], split: str) -> list[RemoteEntry]:
    """The tars of a split: with its name as a folder or at the front; all where none has a split."""
    tars = [entry for entry in entries if entry.path.endswith(".tar")]
    own = [entry for entry in tars if _names_split(entry.path, re.escape(split))]
    if own or any(_names_split(e.path, "train|test|val|valid|validation|dev") for e in tars):
        return own
    return tars


def _names_split(path: str, words: str) -> bool:
    return re.search(rf"(^|[/._-])({words})([/._-]|\d|$)", path.removesuffix(".tar")) is not None
