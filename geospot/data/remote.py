"""Files of a data set on the Hugging Face hub, read in pieces through the hub's own client.

`huggingface_hub` brings the session, the token, the endpoint (`HF_ENDPOINT`) and the offline switch;
this module adds what it doesn't have: ranges read by several threads over kept connections, and
downloads that go on where a killed process stopped (its own go to a file of a new name each time).
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from huggingface_hub import (
    HfApi,
    get_hf_file_metadata,  # pyright: ignore[reportUnknownVariableType]
    hf_hub_url,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import HfFileMetadata
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    build_hf_headers,  # pyright: ignore[reportUnknownVariableType]
    get_session,
    hf_raise_for_status,
)

from geospot.data.progress import Progress
from geospot.errors import DataError, ImageError, SourceUnavailableError
from geospot.retry_after import retry_after_s
from geospot.textsafe import printable

TRANSPORT_ERROR: Final[type[Exception]] = HfHubHTTPError.__bases__[0]
"""The root of the client's connection faults; huggingface_hub 1 stood on httpx, 2 stands on httpx2."""

ATTEMPTS: Final = 6
"""Tries without a byte of progress before a source counts as unavailable."""
LONGEST_WAIT_S: Final = 60.0
"""A server that asks for more patience than this is unavailable for now."""
_TIMEOUT_S: Final = 30.0
_PROGRESS_BYTES: Final = 4 << 20
_SMALL_BYTES: Final = 4 << 20
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_EXPIRED: Final = frozenset({400, 401, 403, 404, 410})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """A file of a repository. `sha256` is known for large files only."""

    path: str
    size: int
    sha256: str | None


class HubRepo:
    """One data set repository at one commit; what it is asked for is retried and explained."""

    def __init__(self, repo_id: str, commit: str) -> None:
        self.repo_id = repo_id
        self.commit = commit
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
        self._api = HfApi(endpoint=self.endpoint)

    @classmethod
    def resolve(cls, repo_id: str, revision: str | None = None) -> "HubRepo":
        """The repository at the commit that `revision` stands for now; the main branch if None.

        Raises:
            DataError: there is no such repository or revision, or no access to it.
            SourceUnavailableError: the hub doesn't answer, or offline mode is on.
        """
        repo = cls(repo_id, revision or "main")
        info = repo.ask(
            lambda: repo._api.dataset_info(repo_id, revision=revision, timeout=_TIMEOUT_S)
        )
        if info.sha is None:
            raise SourceUnavailableError(f"The hub names no commit of {printable(repo_id)}.")
        repo.commit = info.sha
        return repo

    def entries(self, folder: str = "") -> list[RemoteEntry]:
        """The files in one folder, by path; empty where there is no such folder."""

        def listing() -> list[RemoteEntry]:
            found = self._api.list_repo_tree(
                self.repo_id, folder or None, revision=self.commit, repo_type="dataset"
            )
            return [
                RemoteEntry(item.path, item.size, item.lfs.sha256 if item.lfs else None)
                for item in found
                if isinstance(item, RepoFile)
            ]

        try:
            return sorted(self.ask(listing), key=lambda entry: entry.path)
        except _NoSuchEntryError:
            return []

    def open(self, entry: RemoteEntry) -> "HubFile":
        """The file, to read from; nothing is fetched yet."""
        return HubFile(self, entry)

    def fetch(self, path: str, most: int) -> bytes:
        """One whole file, which may be as long as `most` bytes.

        Raises:
            ImageError: there is no such file, or it is longer.
            SourceUnavailableError: the hub doesn't answer.
        """
        url = hf_hub_url(
            self.repo_id, path, repo_type="dataset", revision=self.commit, endpoint=self.endpoint
        )
        try:
            found = self.ask(lambda: self.metadata(url))
        except _NoSuchEntryError as error:
            raise ImageError(f"{self.repo_id} has no file {printable(path, limit=200)}.") from error
        if found.size is None or found.size > most:
            raise ImageError(f"{printable(path, limit=200)} is longer than {most:,} bytes.")
        file = HubFile(self, RemoteEntry(path, found.size, None), location=found.location)
        return file.read_range(0, found.size)

    def metadata(self, url: str) -> HfFileMetadata:
        """What the hub tells about the file at `url`: size, and where its bytes are."""
        return get_hf_file_metadata(url, headers=build_hf_headers(), endpoint=self.endpoint)

    def ask(self, request: Callable[[], T]) -> T:
        """What `request` to the hub returns, with passing faults retried and others explained."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request()
            except HfHubHTTPError as error:
                status = error.response.status_code
                if status not in _PASSING or attempt == ATTEMPTS:
                    raise self.explained(error) from error
                wait(attempt, retry_after_s(error.response.headers), self)
            except OfflineModeIsEnabled as error:
                raise self.explained(error) from error
            except HFValidationError as error:
                raise self.explained(error) from error
            except TRANSPORT_ERROR as error:
                if attempt >= 3:  # a host that can't be reached at all is told soon
                    raise self.explained(error) from error
                wait(attempt, None, self)
        raise AssertionError("the last attempt returns or raises")

    def explained(self, error: Exception) -> DataError:
        """The error as a sentence for the person who named this repository."""
        name = printable(self.repo_id, limit=120)
        log_in = "log in with `hf auth login` or set HF_TOKEN"
        if isinstance(error, GatedRepoError):
            return DataError(
                f"The data set {name} is gated: only accounts that accepted its terms are let in.",
                f"Accept them on the data set's page on the hub, then {log_in}.",
            )
        if isinstance(error, RevisionNotFoundError):
            return DataError(
                f"The data set {name} has no revision {printable(self.commit, limit=80)!r}.",
                "Name a branch, a tag or a full commit hash that its page on the hub lists.",
            )
        if isinstance(error, EntryNotFoundError):
            return _NoSuchEntryError(
                f"A file that was expected in the data set {name} isn't there."
            )
        if isinstance(error, HFValidationError):
            return DataError(f"{name!r} can't be the name of a data set on the hub.", "")
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
            return DataError(
                f"There is no data set {name} on the hub, or it is private and the token that was "
                "sent, if any, doesn't open it.",
                f"Check the spelling; for a private data set, {log_in}.",
            )
        if status == 403:
            return DataError(
                f"The hub refuses access to the data set {name} (HTTP 403).",
                f"Check that the account may read it, and {log_in}.",
            )
        if isinstance(error, OfflineModeIsEnabled):
            return SourceUnavailableError(
                f"The data set {name} is needed from the hub, but HF_HUB_OFFLINE is set.",
                "Unset it, or fetch the data ahead with `geospot data prepare` while online.",
            )
        what = f"answers HTTP {status}" if status else f"can't be reached ({type(error).__name__})"
        return SourceUnavailableError(
            f"The hub {what} for the data set {name}.",
            "Check the network and HF_ENDPOINT, and run the same command again: it resumes.",
        )


class HubFile:
    """One remote file, read by ranges. May be used from several threads at once.

    Args:
        location: where its bytes are, if the hub has just told.
    """

    def __init__(self, repo: HubRepo, entry: RemoteEntry, location: str | None = None) -> None:
        self._repo = repo
        self._entry = entry
        self._url = hf_hub_url(
            repo.repo_id,
            entry.path,
            repo_type="dataset",
            revision=repo.commit,
            endpoint=repo.endpoint,
        )
        self._location = location
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._entry.size

    @property
    def label(self) -> str:
        """Its path in the repository."""
        return self._entry.path

    def read_range(self, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`.

        Raises:
            SourceUnavailableError: the hub or its storage didn't answer, several times.
            DataError: the hub refuses.
        """
        return b"".join(self.stream(start, length))

    def stream(self, start: int, length: int) -> Iterator[bytes]:
        """The same bytes piece by piece; a connection that breaks is taken up where it broke."""
        position, end = start, start + length
        if end > self.size:
            raise DataError(f"{self.label} ends before byte {end}.", "The file isn't complete.")
        fruitless = 0
        while position < end:
            location = self._locate()
            try:
                for chunk in self._get(location, position, end):
                    position += len(chunk)
                    fruitless = 0
                    yield chunk
            except _PassingFaultError as fault:
                fruitless += 1
                if fruitless >= ATTEMPTS:
                    raise SourceUnavailableError(
                        f"{self.label} of {self._repo.repo_id} can't be fetched: {fault}.",
                        "Run the same command again later: it resumes.",
                    ) from fault
                if fault.expired:
                    self._forget(location)
                wait(fruitless, fault.retry_after_s, self._repo)

    def _locate(self) -> str:
        """Where the bytes are: the hub itself, or the signed address that it redirects to.

        Kept until it is refused, so that an image costs one request and not two.
        """
        with self._lock:
            if self._location is None:
                metadata = self._repo.ask(lambda: self._repo.metadata(self._url))
                if metadata.size not in (None, self.size):
                    raise DataError(f"{self.label} has another size than its repository lists.")
                self._location = metadata.location
            return self._location

    def _forget(self, location: str) -> None:
        with self._lock:
            if self._location == location:
                self._location = None

    def _get(self, location: str, start: int, end: int) -> Iterator[bytes]:
        at_hub = urlsplit(location)[:2] == urlsplit(self._url)[:2]
        headers = build_hf_headers() if at_hub else build_hf_headers(token=False)
        headers["Range"] = f"bytes={start}-{end - 1}"
        headers["Accept-Encoding"] = "identity"
        try:
            with get_session().stream(
                "GET", location, headers=headers, timeout=_TIMEOUT_S
            ) as response:
                status = response.status_code
                if status in _PASSING:
                    after_s = retry_after_s(response.headers)
                    raise _PassingFaultError(f"the server answers HTTP {status}", after_s)
                if status in _EXPIRED and not at_hub:
                    raise _PassingFaultError(
                        f"its storage answers HTTP {status}", 0.0, expired=True
                    )
                hf_raise_for_status(response)
                skip = self._skipped(status, response.headers.get("Content-Range"), start, end)
                missing = end - start
                for piece in response.iter_raw():  # as it comes: what came before a break counts
                    if not missing:
                        return  # more than was asked for; a connection read to its end is kept
                    wanted = piece[skip : skip + missing]
                    skip = max(skip - len(piece), 0)
                    missing -= len(wanted)
                    yield wanted
        except HfHubHTTPError as error:
            raise self._repo.explained(error) from error
        except OfflineModeIsEnabled as error:
            raise self._repo.explained(error) from error
        except TRANSPORT_ERROR as error:
            raise _PassingFaultError(f"the connection failed ({type(error).__name__})") from error

    def _skipped(self, status: int, served: str | None, start: int, end: int) -> int:
        """How many bytes of the answer come before those asked for; refuses other answers.

        A whole file is fine where it was asked for, or where it is small: not every server takes
        ranges of files that aren't in the storage.
        """
        if status == 206 and served == f"bytes {start}-{end - 1}/{self.size}":
            return 0
        if status == 200 and (end - start == self.size or self.size <= _SMALL_BYTES):
            return start
        raise DataError(
            f"The server of {self.label} doesn't answer range requests as it should (HTTP {status}).",
            "A proxy between here and the hub may be the cause.",
        )


def download(file: HubFile, target: Path, progress: Progress) -> None:
    """Fetches `file` to `target`, going on from what an earlier, killed attempt left behind.

    Raises:
        SourceUnavailableError: the hub didn't answer; what came so far is kept.
    """
    part = target.with_name(target.name + ".part")
    with part.open("ab") as out:
        done = out.tell()
        if done > file.size:
            out.truncate(0)
            done = 0
        what = f"download {file.label}"
        progress(what, done, file.size)
        told = done
        for chunk in file.stream(done, file.size - done):
            out.write(chunk)
            done += len(chunk)
            if done - told >= _PROGRESS_BYTES:
                told = done
                progress(what, done, file.size)
        progress(what, done, file.size)
        out.flush()
        os.fsync(out.fileno())
    part.replace(target)


def wait(attempt: int, asked_s: float | None, repo: HubRepo) -> None:
    """Sleeps before the next try: as long as the server asks, else longer each time, with jitter.

    Raises:
        SourceUnavailableError: the server asks for more than `LONGEST_WAIT_S`.
    """
    if asked_s is not None and asked_s > LONGEST_WAIT_S:
        raise SourceUnavailableError(
            f"The hub asks to wait {asked_s:.0f} s before asking for {repo.repo_id} again.",
            "Run the same command again after that; a token raises the hub's limits.",
        )
    own_s = min(0.5 * 2 ** (attempt - 1), 8.0) * random.uniform(0.75, 1.25)
    time.sleep(own_s if asked_s is None else asked_s)


class _NoSuchEntryError(DataError):
    """The repository is there, the file or folder isn't."""


class _PassingFaultError(Exception):
    """A request that failed in a way that may not last."""

    def __init__(
        self, message: str, retry_after_s: float | None = None, *, expired: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.expired = expired
