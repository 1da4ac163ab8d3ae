"""Which commit of a hub repository is meant, also where the hub can't be asked just now."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from geospot.data.prepared import write_text
from geospot.data.remote import HubRepo
from geospot.errors import SourceUnavailableError

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def home_of(cache_dir: Path, repo_id: str) -> Path:
    """The folder of the cache for everything of one repository."""
    return cache_dir / "hub" / repo_id.replace("/", "--")


def at_commit(
    repo_id: str, revision: str | None, home: Path, usable: Callable[[str], bool]
) -> HubRepo:
    """The repository at the commit that `revision` stands for; the main branch if None.

    A full commit hash needs no question. Otherwise the hub is asked, and where it doesn't answer,
    the commit of last time does, if `usable` says that the cache holds what is needed of it.

    Raises:
        DataError: there is no such repository or revision, or no access to it.
        SourceUnavailableError: the hub doesn't answer, or offline mode is on, and the cache won't do.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return HubRepo(repo_id, revision)
    remembered = home / "refs" / f"{(revision or 'main').replace('/', '--')}.txt"
    try:
        repo = HubRepo.resolve(repo_id, revision)
    except SourceUnavailableError:
        commit = remembered.read_text(encoding="ascii") if remembered.exists() else ""
        if not commit or not usable(commit):
            raise
        return HubRepo(repo_id, commit)
    write_text(remembered, repo.commit)
    return repo
