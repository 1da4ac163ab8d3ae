"""A photo takes as many tokens as transformers' own image processors make of it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from geospot.errors import ImageError, RenderError
from geospot.renderers.vision import (
    QWEN2_5_GRID,
    QWEN3_GRID,
    TINY_GRID,
    VisionGrid,
    grid_in,
    grid_of,
)

GRIDS = {"qwen2.5": QWEN2_5_GRID, "qwen3": QWEN3_GRID, "tiny": TINY_GRID}
EXTREMES = (
    *((1, 1), (1, 2), (1, 200), (200, 1), (27, 29), (28, 28), (32, 5600), (5600, 28), (16, 16)),
    *((15, 17), (48, 48), (80, 80), (112, 112), (13999, 70), (70, 14000), (10_000, 12_000)),
    *((4096, 4096), (4095, 4097), (4112, 4112), (3584, 3584), (3583, 3598), (255, 257), (96, 97)),
)


def _processor(grid: VisionGrid) -> Any:
    return Qwen2VLImageProcessorPil(
        patch_size=grid.patch_size,
        merge_size=grid.merge_size,
        size={"shortest_edge": grid.min_pixels, "longest_edge": grid.max_pixels},
    )


def _sizes(seed: str) -> list[tuple[int, int]]:
    """200 sizes: the extremes, and shapes of every area and aspect ratio that is allowed."""
    rng = random.Random(seed)
    sizes = list(EXTREMES)
    while len(sizes) < 200:
        side = round(10 ** rng.uniform(0, 4.2))
        other = round(side * 10 ** rng.uniform(-2.3, 2.3))
        if other and max(side, other) <= 200 * min(side, other) and max(side, other) < 30_000:
            sizes.append((side, other))
    return sizes


@pytest.mark.parametrize("name", GRIDS)
def test_200_sizes_count_as_transformers_counts_them(name: str) -> None:
    grid, processor = GRIDS[name], _processor(GRIDS[name])
    for width, height in _sizes(name):
        patches = processor.get_number_of_image_patches(height, width, {})
        assert grid.expected_tokens(width, height) == patches // grid.merge_size**2, (width, height)


@pytest.mark.parametrize("name", GRIDS)
def test_images_are_cut_into_that_many_patches(name: str) -> None:
    grid, processor = GRIDS[name], _processor(GRIDS[name])
    small = [size for size in _sizes(f"real {name}") if size[0] * size[1] < 40_000][:25]
    for width, height in small:
        image = Image.new("RGB", (width, height))
        rows, columns = processor(image, return_tensors="np")["image_grid_thw"][0][1:]
        assert grid.expected_tokens(width, height) == rows * columns // 4, (width, height)


@pytest.mark.parametrize("size", [(201, 1), (1, 201), (20_001, 100), (2, 401)])
def test_an_aspect_ratio_that_the_models_refuse_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="aspect ratio"):
        _processor(QWEN3_GRID).get_number_of_image_patches(size[1], size[0], {})
    with pytest.raises(ImageError, match=f"{size[0]} × {size[1]}.*200 times"):
        QWEN3_GRID.expected_tokens(*size)


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_read_from_a_processor_and_from_its_file(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    processor = _processor(grid)
    processor.save_pretrained(tmp_path)
    assert grid_of(processor) == grid
    assert grid_in(tmp_path) == grid


def test_an_older_file_keeps_its_bounds_at_the_top(tmp_path: Path) -> None:
    file = tmp_path / "preprocessor_config.json"
    assert grid_in(tmp_path) is None
    file.write_text(
        json.dumps({"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 12845056})
    )
    assert grid_in(tmp_path) == QWEN2_5_GRID


def test_a_processor_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="no image processor of the Qwen-VL kind"):
        grid_of(object())
    (tmp_path / "preprocessor_config.json").write_text('{"crop_size": 224, "size": 224}')
    with pytest.raises(
        RenderError, match=r"preprocessor_config\.json describes no image processor"
    ):
        grid_in(tmp_path)
