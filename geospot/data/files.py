"""Reading a photo whose path comes from data: never outside the folder that the data set is."""

from pathlib import Path

from geospot.data.dataset import GeoDataset
from geospot.data.sample import GeoSample, SampleTable
from geospot.errors import ImageError, refuse_if_exhausted
from geospot.images import MAX_BYTES
from geospot.textsafe import printable


def read_below(root: Path, relative: str) -> bytes:
    """The bytes of the file `relative` to `root`, after symbolic links are followed inside it.

    Raises:
        ImageError: absolute, outside of `root`, not there, no plain file, unreadable or too large.
    """
    path = resolve_below(root, relative)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ImageError(
                f"{_shown(relative)} has {size:,} bytes, more than {MAX_BYTES:,} for an image."
            )
        return path.read_bytes()
    except OSError as error:
        refuse_if_exhausted(error)
        raise ImageError(f"{_shown(relative)} can't be read: {error.strerror}.") from error


def resolve_below(root: Path, relative: str) -> Path:
    """The file that `relative` names below `root`. Raises ImageError as `read_below` does."""
    path = Path(relative.replace("\\", "/"))
    if path.is_absolute() or "\0" in relative:
        raise ImageError(f"{_shown(relative)} is refused: paths are relative to the data set.")
    root = root.resolve()
    try:
        resolved = (root / path).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: symbolic links in a circle
        if not isinstance(error, FileNotFoundError):
            raise ImageError(f"{_shown(relative)} can't be opened: {error}.") from error
        resolved = (root / path).resolve()
        if resolved.is_relative_to(root):
            raise ImageError(f"There is no file {_shown(relative)}.") from error
    if not resolved.is_relative_to(root):
        raise ImageError(f"{_shown(relative)} is refused: it leaves the data set's folder.")
    if not resolved.is_file():
        raise ImageError(f"{_shown(relative)} is no file.")
    return resolved


class FilesDataset(GeoDataset):
    """Samples whose images are files below one folder; handles are paths relative to it."""

    def __init__(self, name: str, split: str, root: Path, table: SampleTable) -> None:
        self.name = name
        self.split = split
        self.root = root
        self._table = table

    @property
    def table(self) -> SampleTable:
        return self._table

    def read_image(self, sample: GeoSample) -> bytes:
        return read_below(self.root, sample.image)


def _shown(relative: str) -> str:
    return printable(relative, limit=200)
