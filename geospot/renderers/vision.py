"""How many tokens a photo takes: the arithmetic of the Qwen-VL image processors.

An image is scaled to whole patches, `merge_size` × `merge_size` of which become one token, and its
area is kept between two bounds. Definition: the "smart resize" of the Qwen2-VL report and code.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from geospot.errors import ImageError, RenderError

MAX_ASPECT_RATIO: Final = 200
"""Qwen's image processors refuse an image whose longer side is more than this many shorter ones."""


@dataclass(frozen=True, slots=True)
class VisionGrid:
    """Patches and bounds of a model's image processor.

    `patch_size` is a patch's side in pixels; `merge_size` × `merge_size` patches make one token.
    `min_pixels` and `max_pixels` bound the area after scaling.
    """

    patch_size: int
    merge_size: int
    min_pixels: int
    max_pixels: int

    def expected_tokens(self, width: int, height: int) -> int:
        """Tokens that an image of this many pixels takes in a prompt.

        Raises:
            ImageError: more than 200 times as long as wide, which these models refuse.
        """
        return self.get_number_of_image_patches(height, width) // self.merge_size**2

    def get_number_of_image_patches(
        self, height: int, width: int, images_kwargs: dict[str, Any] | None = None
    ) -> int:
        """Patches before merging, under the name that transformers' image processors give it.

        So a grid can stand in for an image processor where one of tinker-cookbook's renderers asks.
        """
        del images_kwargs
        self.check_shape(width, height)
        rows, columns = self._scaled(height, width)
        return (rows // self.patch_size) * (columns // self.patch_size)

    def check_shape(self, width: int, height: int) -> None:
        """Refuses what these models refuse, by the size in pixels that a photo was given in.

        Raises:
            ImageError: no pixels, or more than 200 times as long as wide.
        """
        if min(height, width) < 1:
            raise ImageError(f"The image has no pixels ({width} × {height}).")
        if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
            raise ImageError(
                f"The image is {width} × {height} pixels: a side more than {MAX_ASPECT_RATIO} times "
                "the other is refused by these models.",
                "Crop it.",
            )

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels after scaling, both whole multiples of a token's side."""
        side = self.patch_size * self.merge_size
        rounded = round(height / side) * side, round(width / side) * side
        area = rounded[0] * rounded[1]
        if area > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            return (
                max(side, math.floor(height / shrink / side) * side),
                max(side, math.floor(width / shrink / side) * side),
            )
        if area < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            return (
                math.ceil(height * grow / side) * side,
                math.ceil(width * grow / side) * side,
            )
        return rounded


QWEN2_5_GRID: Final = VisionGrid(14, 2, min_pixels=56 * 56, max_pixels=3584 * 3584)
"""As released with Qwen2-VL and Qwen2.5-VL."""

QWEN3_GRID: Final = VisionGrid(16, 2, min_pixels=256 * 256, max_pixels=4096 * 4096)
"""As released with Qwen3-VL, Qwen3.5, Qwen3.6 and Qwen3.8."""


TINY_GRID: Final = VisionGrid(16, 2, min_pixels=64 * 64, max_pixels=96 * 96)
"""Of geospot/tiny-vlm: at most nine tokens."""


def grid_of(image_processor: Any) -> VisionGrid:
    """The grid of an image processor from transformers; a grid is returned as it is.

    Raises:
        RenderError: an object that has no patches, merging or bounds.
    """
    if isinstance(image_processor, VisionGrid):
        return image_processor
    try:
        return _grid(image_processor.patch_size, image_processor.merge_size, image_processor.size)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RenderError(
            f"{type(image_processor).__name__} is no image processor of the Qwen-VL kind ({error}).",
            "Give the model's own image processor, a VisionGrid, or None for the family's.",
        ) from error


def grid_in(directory: Path) -> VisionGrid | None:
    """The grid that a model directory's `preprocessor_config.json` describes, None without one.

    Raises:
        RenderError: there is one, and it describes an image processor of another kind.
    """
    file = directory / "preprocessor_config.json"
    if not file.is_file():
        return None
    try:
        config: Any = json.loads(file.read_text(encoding="utf-8"))
        # Older files keep the bounds at the top.
        bounds: Any = config.get("size") or {
            "shortest_edge": config["min_pixels"],
            "longest_edge": config["max_pixels"],
        }
        return _grid(config["patch_size"], config["merge_size"], bounds)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RenderError(
            f"{file} describes no image processor of the Qwen-VL kind ({type(error).__name__}: {error}).",
            "Name one of tinker-cookbook's renderers, and pass the model's image processor.",
        ) from error


def _grid(patch_size: Any, merge_size: Any, bounds: Any) -> VisionGrid:
    return VisionGrid(
        patch_size=int(patch_size),
        merge_size=int(merge_size),
        min_pixels=int(bounds["shortest_edge"]),
        max_pixels=int(bounds["longest_edge"]),
    )
