"""Small copies of the photos, for whoever watches the run: at most 256 pixels, newest kept.

File names are hashes of the photos' ids, so that an id can't lead out of the folder. The copies carry no
metadata.
"""

import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geospot.durable import replace_bytes, unwritable
from geospot.errors import ImageError

if TYPE_CHECKING:
    from geospot.images import PreparedImage

THUMBNAILS: Final = "thumbnails"
MAX_SIDE: Final = 256
_SUFFIXES: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


class ThumbnailStore:
    """Thumbnails of a run within a budget; any thread may add.

    Adding one that is there makes it the newest. The oldest leave when the budget is exceeded.
    """

    def __init__(self, folder: Path, budget_mb: float) -> None:
        self._folder = folder / THUMBNAILS
        self._budget = int(budget_mb * 1_000_000)
        self._lock = threading.Lock()
        self._sizes = _oldest_first(self._folder)
        self._total = sum(self._sizes.values())

    def add(self, sample_id: str, data: bytes) -> bool:
        """Keeps a small copy of the photo; False where there is no room or it is no image.

        Raises:
            WriteError: the disk is full.
        """
        if not self._budget or self._refresh(sample_id):
            return bool(self._budget)
        try:
            image = _small(data)
        except ImageError:
            return False
        if len(image.data) > self._budget:
            return False
        name = thumbnail_name(sample_id) + _SUFFIXES[image.mime]
        with self._lock:
            self._make_room(len(image.data))
            try:
                self._folder.mkdir(exist_ok=True)
            except OSError as error:
                raise unwritable(self._folder, error) from error
            replace_bytes(self._folder / name, image.data, sync=False)
            self._total += len(image.data) - self._sizes.pop(name, 0)
            self._sizes[name] = len(image.data)
        return True

    def _refresh(self, sample_id: str) -> bool:
        """Makes the photo's copy the newest, if there is one."""
        base = thumbnail_name(sample_id)
        with self._lock:
            name = next((base + s for s in _SUFFIXES.values() if base + s in self._sizes), None)
            if name is None:
                return False
            try:
                os.utime(self._folder / name)
            except FileNotFoundError:  # somebody tidied up
                self._total -= self._sizes.pop(name)
                return False
            except OSError as error:
                raise unwritable(self._folder / name, error) from error
            self._sizes[name] = self._sizes.pop(name)
        return True

    def _make_room(self, size: int) -> None:
        while self._sizes and self._total + size > self._budget:
            name = next(iter(self._sizes))
            (self._folder / name).unlink(missing_ok=True)
            self._total -= self._sizes.pop(name)


def _small(data: bytes) -> "PreparedImage":
    """The photo at most so large; a JPEG is shrunk while it is decoded, which takes a third of the time."""
    from geospot.images import open_image, prepare_decoded, prepare_image

    with open_image(data) as image:
        times = max(image.size) / MAX_SIDE
        if times > 1:
            width, height = (max(int(side / times), 1) for side in image.size)
            image.draft(None, (width, height))
            return prepare_decoded(image, MAX_SIDE)
    return prepare_image(data)


def thumbnail_name(sample_id: str) -> str:
    """File name of a photo's thumbnail, without suffix: the start of the id's SHA-256."""
    return hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def find_thumbnail(folder: Path, sample_id: str) -> Path | None:
    """The thumbnail of a photo in a run directory, None where it has none (any more)."""
    base = folder / THUMBNAILS / thumbnail_name(sample_id)
    paths = (base.with_suffix(suffix) for suffix in _SUFFIXES.values())
    return next((path for path in paths if path.is_file()), None)


def _oldest_first(folder: Path) -> dict[str, int]:
    """Size in bytes of each thumbnail that is there; what a kill left unfinished is removed."""
    if not folder.is_dir():
        return {}
    try:
        for torn in folder.glob(".*.tmp"):
            torn.unlink(missing_ok=True)
        found = [
            (status.st_mtime_ns, path.name, status.st_size)
            for path in folder.iterdir()
            if path.suffix in _SUFFIXES.values()
            for status in [path.stat()]
        ]
    except OSError as error:
        raise unwritable(folder, error) from error
    return {name: size for _, name, size in sorted(found)}
