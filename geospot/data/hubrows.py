"""The one place where `datasets` is called: rows of a hub data set as plain dictionaries.

Images are left as they were stored (`Image(decode=False)`), so that their original bytes survive.
"""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from geospot.data.columns import flatten
from geospot.data.remote import TRANSPORT_ERROR, HubRepo
from geospot.errors import DataError, SourceUnavailableError
from geospot.textsafe import printable

_ONE_AT_A_TIME: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class HubRows:
    """A split that can be walked, from its beginning or from a remembered position."""

    columns: list[str]
    """Names of the columns; what is nested under `json` as `json.latitude`."""
    _stream: Any
    _classes: Mapping[str, Mapping[int, str]]
    """Names of the columns that hold numbers of classes."""
    _repo: HubRepo

    def walk(self, state: Mapping[str, Any] | None) -> Generator[dict[str, object]]:
        """The rows in stream order, after the position `state` if there is one."""
        if state is not None:
            self._stream.load_state_dict(dict(state))
        rows = iter(self._stream)
        try:
            for row in rows:
                for column, names in self._classes.items():
                    row[column] = names.get(row[column])  # -1 says that there is no label
                yield flatten(row)
        except (OSError, TRANSPORT_ERROR) as error:
            raise _unavailable(self._repo, error) from error
        except (ValueError, RuntimeError) as error:  # rows that are none, in the middle of a file
            raise DataError(
                f"A file of {printable(self._repo.repo_id)} can't be read to its end.", _said(error)
            ) from error
        finally:
            rows.close()

    def state(self) -> dict[str, Any]:
        """The position after the row that was walked to last."""
        return self._stream.state_dict()


def open_rows(repo: HubRepo, split: str) -> HubRows:
    """Opens a split of the repository for streaming; fetches what tells splits and columns.

    Raises:
        DataError: no such split, several configurations, or a format that `datasets` can't read.
        SourceUnavailableError: the hub doesn't answer.
    """
    datasets: Any = import_module("datasets")  # half of it has no types
    datasets.logging.set_verbosity_error()
    with _without_torch(datasets.config):
        return _open(datasets, repo, split)


@contextmanager
def _without_torch(config: Any) -> Generator[None]:
    """`datasets` is told that there is no torch, which it would import: 1 s and 200 MB.

    It keeps the number of an epoch in a tensor, for workers of torch that nobody starts here.
    """
    with _ONE_AT_A_TIME:  # the setting is the whole process's
        before = config.TORCH_AVAILABLE
        config.TORCH_AVAILABLE = False
        try:
            yield
        finally:
            config.TORCH_AVAILABLE = before


def _open(datasets: Any, repo: HubRepo, split: str) -> HubRows:
    name = printable(repo.repo_id)
    try:
        splits = datasets.load_dataset(repo.repo_id, revision=repo.commit, streaming=True)
    except (OSError, TRANSPORT_ERROR) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(
                f"{name} holds no data that `datasets` can read.", _said(error)
            ) from error
        raise _unavailable(repo, error) from error
    except (ValueError, RuntimeError) as error:  # also a loading script, or several configurations
        raise DataError(f"`datasets` can't open {name}.", _said(error)) from error
    if split not in splits:
        raise DataError(
            f"{name} has no split {printable(split, limit=80)!r}.",
            f"Its splits are: {', '.join(map(printable, splits)) or 'none'}.",
        )
    stream: Any = splits[split]
    if stream.features is None:  # a format whose columns only its rows tell
        stream = stream._resolve_features()
    classes: dict[str, dict[int, str]] = {}
    for column, feature in dict(stream.features).items():
        if isinstance(feature, datasets.Image):
            stream = stream.cast_column(column, datasets.Image(decode=False))
        elif isinstance(feature, datasets.ClassLabel):
            names: list[str] = feature.names
            classes[column] = dict(enumerate(names))
    columns = flatten(dict(stream.features))
    return HubRows(list(columns), stream, classes, repo)


def _unavailable(repo: HubRepo, error: Exception) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"The hub broke off while {printable(repo.repo_id)} was read ({type(error).__name__}).",
        "Run the same command again: it resumes with what was fetched.",
    )


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"It says: {printable(lines[0], limit=300)}" if lines else ""
