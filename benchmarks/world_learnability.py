"""Can the procedural world be learned, and only learned? `python -m benchmarks.world_learnability`.

Two models that need numpy alone, on pictures shrunk to 16 × 16: the nearest training picture, and a
ridge regression on random features that predicts a point of the sphere. Beside them the best single
guess. A world that were a lookup would give `test` away and `test-places` not at all; one that were
noise would give nothing.
"""

import time
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from geospot.data.world import open_world
from geospot.geo import geoscore, haversine_km

Array = npt.NDArray[np.float64]

_BLOCK: Final = 6  # 96 pixels to 16
_FEATURES: Final = 1500
_RIDGE: Final = 30.0


@dataclass(frozen=True)
class Photos:
    """N pictures as rows of numbers, and where they were taken (degrees)."""

    pixels_N_F: Array
    latitude_N: Array
    longitude_N: Array


def photos(split: str, size: int) -> Photos:
    """Paints and shrinks a split."""
    world = open_world(split, size=size)
    rows: list[Array] = []
    for sample in world.table:
        picture = np.asarray(Image.open(BytesIO(world.read_image(sample))), dtype=np.float64)
        side = picture.shape[0] // _BLOCK
        rows.append(
            picture.reshape(side, _BLOCK, side, _BLOCK, 3).mean(axis=(1, 3)).ravel() / 255.0
        )
    return Photos(np.array(rows), world.table.latitude_N, world.table.longitude_N)


def nearest_photo_km(train: Photos, test: Photos) -> Array:
    """Error (km) of saying the place of the training picture that looks most alike."""
    a, b = _standardised(train, train), _standardised(train, test)
    distance_T_N = (a**2).sum(axis=1)[None, :] - 2.0 * b @ a.T
    nearest_T = distance_T_N.argmin(axis=1)
    return haversine_km(
        train.latitude_N[nearest_T], train.longitude_N[nearest_T], test.latitude_N, test.longitude_N
    )


def ridge_km(train: Photos, test: Photos) -> Array:
    """Error (km) of a ridge regression on random cosines of the pixels."""
    a, b = _standardised(train, train), _standardised(train, test)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(a.shape[1], _FEATURES)) / np.sqrt(a.shape[1])
    phase = rng.uniform(0.0, 2.0 * np.pi, _FEATURES)
    known = np.hstack([np.cos(a @ weights + phase), a, np.ones((len(a), 1))])
    asked = np.hstack([np.cos(b @ weights + phase), b, np.ones((len(b), 1))])
    phi, lam = np.radians(train.latitude_N), np.radians(train.longitude_N)
    points = np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    normal = known.T @ known + _RIDGE * np.eye(known.shape[1])
    said = asked @ np.linalg.solve(normal, known.T @ points)
    latitude_T = np.degrees(np.arctan2(said[:, 2], np.hypot(said[:, 0], said[:, 1])))
    longitude_T = np.degrees(np.arctan2(said[:, 1], said[:, 0]))
    return haversine_km(latitude_T, longitude_T, test.latitude_N, test.longitude_N)


def best_constant_km(train: Photos, test: Photos) -> Array:
    """Error (km) of the one point, on a 10° grid, with the least median error in training."""
    grid = [(float(a), float(b)) for a in range(-60, 81, 10) for b in range(-180, 180, 10)]
    medians = [
        float(np.median(haversine_km(*point, train.latitude_N, train.longitude_N)))
        for point in grid
    ]
    best = grid[int(np.argmin(medians))]
    return haversine_km(*best, test.latitude_N, test.longitude_N)


def _standardised(train: Photos, other: Photos) -> Array:
    mean, spread = train.pixels_N_F.mean(axis=0), train.pixels_N_F.std(axis=0) + 0.05
    return (other.pixels_N_F - mean) / spread


def main() -> None:
    """Prints the table that docs/world.md shows."""
    start = time.perf_counter()
    rows = len(open_world("train", size=100_000).table)
    print(f"table of {rows:,} rows: {time.perf_counter() - start:.2f} s, first use included")
    start = time.process_time()  # the machine may be busy with other things
    train = photos("train", 8000)
    each_us = (time.process_time() - start) / 8000 * 1e6
    print(f"an image painted, encoded and decoded: {each_us:.0f} µs of one core")
    splits = {split: photos(split, 1000) for split in ("test", "test-places")}
    print("| model | training images | split | median km | GeoScore |")
    print("|---|---|---|---|---|")
    for name, model in (
        ("best single guess", best_constant_km),
        ("ridge on random features", ridge_km),
        ("nearest picture", nearest_photo_km),
    ):
        for size in (8000,) if name == "best single guess" else (2000, 8000):
            part = Photos(
                train.pixels_N_F[:size], train.latitude_N[:size], train.longitude_N[:size]
            )
            for split, test in splits.items():
                error_km = model(part, test)
                score = geoscore(error_km).mean()
                print(f"| {name} | {size} | {split} | {np.median(error_km):.0f} | {score:.0f} |")


if __name__ == "__main__":
    main()
