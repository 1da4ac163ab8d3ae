"""A photo: pixels where the terminal shows them, else half cells of two colours, shades where it has none.

The file is one of the run's thumbnails, but anybody may have put it there: it is read and decoded in a
thread, what is absurdly large isn't decoded at all, and what is no image says so.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from geospot.errors import ImageError
from geospot.images import PILLOW_ERRORS
from geospot.textsafe import printable
from geospot.tui.canvas import Canvas
from geospot.tui.inks import Inks

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp

MOST_BYTES: Final = 8_000_000
MOST_PIXELS: Final = 4_000_000
"""Thumbnails have 256 pixels a side; a file with more than this is none, and isn't decoded."""

_SIDE: Final = 512
_KEPT: Final = 32
_SHADES: Final = np.array(list(" ·:░▒▓█"), dtype="<U1")
_CELL_RATIO: Final = 2
"""Height of a cell by its width: two square pixels stand in one."""

Pixels = NDArray[np.uint8]
"""Height × width × 3, red, green and blue."""


def read_photo(path: Path) -> Pixels:
    """The picture in a file, at most 512 pixels a side. Blocks.

    Raises:
        ImageError: it is gone, no JPEG, PNG or WebP, broken, or absurdly large.
    """
    from PIL import Image

    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ImageError(f"The file has {size:,} bytes, too many for a thumbnail.")
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ImageError(f"It has {width:,} × {height:,} pixels, too many for a thumbnail.")
            image.draft("RGB", (_SIDE, _SIDE))
            picture = image.convert("RGB")
        picture.thumbnail((_SIDE, _SIDE))
        return np.asarray(picture, np.uint8)
    except FileNotFoundError:
        raise ImageError("The thumbnail is gone; only the newest are kept.") from None
    except Image.DecompressionBombError:
        raise ImageError("It has far too many pixels for a thumbnail.") from None
    except PILLOW_ERRORS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError("The thumbnail is broken: it can't be decoded.") from error


def fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture as large as fits into `width` × `height` pixels, with its own proportions."""
    from PIL import Image

    own_height, own_width = pixels.shape[:2]
    factor = min(width / own_width, height / own_height)
    size = (max(round(own_width * factor), 1), max(round(own_height * factor), 1))
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    return np.asarray(resized, np.uint8)


def draw_photo(pixels: Pixels, width: int, height: int, inks: Inks) -> Canvas:
    """The picture in the middle of `width` × `height` cells."""
    canvas = Canvas(width, height)
    if width < 1 or height < 1:
        return canvas
    picture = fitted(pixels, width, height * _CELL_RATIO)
    if picture.shape[0] % _CELL_RATIO:
        picture = np.concatenate([picture, picture[-1:]])
    upper, lower = picture[0::2].astype(np.int64), picture[1::2].astype(np.int64)
    rows, columns = upper.shape[:2]
    left, top = (width - columns) // 2, (height - rows) // 2
    if inks.has_colour:
        half = np.full((rows, columns), "▀", dtype="<U1")
        canvas.cells(left, top, _packed(lower), half, _packed(upper))
    else:
        none = np.full((rows, columns), -1, np.int64)
        canvas.cells(left, top, none, _shades((upper + lower) / 2, dark=inks.dark))
    return canvas


def _packed(picture: "NDArray[np.int64]") -> "NDArray[np.int64]":
    return picture[..., 0] << 16 | picture[..., 1] << 8 | picture[..., 2]


def _shades(picture: "NDArray[np.float64]", *, dark: bool) -> "NDArray[Any]":
    """Characters by brightness, stretched over what the picture has; bright is dense on a dark ground."""
    light = picture @ np.array([0.299, 0.587, 0.114])
    low, high = np.percentile(light, [2, 98])
    share = np.clip((light - low) / max(high - low, 1), 0, 1)
    share = share if dark else 1 - share
    return _SHADES[np.rint(share * (len(_SHADES) - 1)).astype(np.int64)]


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Which file it was, to notice another under the same name."""

    path: Path
    changed_ns: int
    size: int


class Photo(Container):
    """Shows a file's picture, or why there is none."""

    DEFAULT_CSS = """
    Photo { height: auto; width: 1fr; align: center middle; }
    Photo > #photo-reason { width: 1fr; height: auto; color: $text-muted; text-style: italic; }
    Photo > _Cells { width: 1fr; height: 1fr; display: none; }
    Photo > .photo-pixels { width: auto; height: 1fr; display: none; }
    Photo.-picture > #photo-reason { display: none; }
    Photo.-picture > _Cells { display: block; }
    Photo.-picture.-pixels > _Cells { display: none; }
    Photo.-picture.-pixels > .photo-pixels { display: block; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.reason = ""
        """Why there is no picture; empty where there is one."""
        self._most_rows = 12
        self._shape = (0, 0)
        self._wanted: Path | None = None
        self._known: OrderedDict[_Stamp, Pixels] = OrderedDict()
        self._pixels: Any = None

    def compose(self) -> ComposeResult:
        """The picture in one of two ways, and the reason."""
        yield Static("", id="photo-reason", markup=False)
        yield _Cells()
        if (widget := cast("GeospotApp", self.app).pixel_widget) is not None:
            self._pixels = widget(classes="photo-pixels")
            self.add_class("-pixels")
            yield self._pixels

    def limit(self, rows: int) -> None:
        """How high a picture may be; a wide one is less high."""
        self._most_rows = rows
        self._fit()

    def on_resize(self) -> None:
        """The height follows the width."""
        self._fit()

    def _fit(self) -> None:
        height, width = self._shape
        if width and self.has_class("-picture"):
            rows = round(self.size.width * height / width / _CELL_RATIO)
            self.styles.height = min(max(rows, 3), self._most_rows)

    def say(self, reason: str) -> None:
        """Shows a sentence instead of a picture."""
        self._wanted = None
        self._say(reason)

    def show(self, path: Path) -> None:
        """Shows the file's picture as soon as it is decoded; the one before stays until then."""
        if path != self._wanted:
            self._wanted = path
            self.run_worker(partial(self._load, path), group="photo", exclusive=True)

    async def _load(self, path: Path) -> None:
        reader = cast("GeospotApp", self.app).reader
        try:
            picture = await reader.do(self._read, path)
        except ImageError as error:
            self._say_of(path, str(error))
            return
        if path == self._wanted:
            self.reason = ""
            self.set_class(True, "-picture")
            self._put(picture)

    def _say_of(self, path: Path, reason: str) -> None:
        if path == self._wanted:
            self._wanted = None  # asked for again, it is looked at again
            self._say(reason)

    def _say(self, reason: str) -> None:
        if reason == self.reason and not self.has_class("-picture"):
            return
        self.reason = reason
        self.set_class(False, "-picture")
        self.styles.height = "auto"
        self.query_one("#photo-reason", Static).update(Text(printable(reason)))

    def _read(self, path: Path) -> Pixels:
        """Reads in a thread; the pictures of the last files are kept."""
        try:
            status = path.stat()
        except OSError:
            raise ImageError("The thumbnail is gone; only the newest are kept.") from None
        stamp = _Stamp(path, status.st_mtime_ns, status.st_size)
        picture = self._known.get(stamp)
        if picture is None:
            picture = self._known[stamp] = read_photo(path)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return picture

    def _put(self, picture: Pixels) -> None:
        self._shape = (picture.shape[0], picture.shape[1])
        self._fit()
        if self._pixels is not None:
            from PIL import Image

            self._pixels.image = Image.fromarray(picture)
        self.query_one(_Cells).show(picture)


class _Cells(Widget):
    """The picture in half cells."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: Pixels | None = None
        self._drawn: tuple[object, list[Strip]] | None = None

    def show(self, picture: Pixels) -> None:
        """Shows a picture."""
        self._picture, self._drawn = picture, None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of it; the whole is drawn once for a size and a theme."""
        if self._picture is None:
            return Strip.blank(self.size.width, self.rich_style)
        inks = cast("GeospotApp", self.app).inks
        key = (self.size, inks.dark, inks.has_colour)
        if self._drawn is None or self._drawn[0] != key:
            canvas = draw_photo(self._picture, self.size.width, self.size.height, inks)
            self._drawn = (key, canvas.strips(self.rich_style))
        strips = self._drawn[1]
        return strips[y] if y < len(strips) else Strip.blank(self.size.width, self.rich_style)
