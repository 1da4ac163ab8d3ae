"""What both sides of `benchmarks.trl_peer` do: the photos, the settings and the reward."""

import csv
from pathlib import Path
from typing import Final

from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_MODEL
from geospot.data.world import open_world

PROMPT: Final = "tiny"
TAU_KM: Final = 2000.0
FORMAT_COEF: Final = 0.1
GROUP: Final = 8
MAX_TOKENS: Final = 64
LEARNING_RATE: Final = 1e-5
"""So low that answers stay as long as they are from the first step to the last."""


def write_photos(folder: Path, count: int) -> None:
    """`count` photos of the world as files, with a table of where they are."""
    photos = folder / "photos" / "train"
    photos.mkdir(parents=True)
    world = open_world("train", size=count)
    with (photos / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "latitude", "longitude", "city", "region", "country"])
        for number, sample in enumerate(world.table):
            name = f"{number:05d}.jpg"
            (photos / name).write_bytes(world.read_image(sample))
            place = (sample.city, sample.region, sample.country)
            table.writerow([name, sample.latitude, sample.longitude, *place])


def settings(folder: Path, steps: int, images: int) -> RLConfig:
    """Our run, with so many photos a step. TRL's settings are the same by other names."""
    return RLConfig(
        service="local",
        model_name=TINY_MODEL,
        lora_rank=0,
        prompt=PROMPT,
        hf_repo=str(folder / "photos"),
        log_path=folder / "run",
        coord_tau=[TAU_KM],
        format_coef=FORMAT_COEF,
        batch_size=images,
        group_size=GROUP,
        max_tokens=MAX_TOKENS,
        max_steps=steps,
        learning_rate=LEARNING_RATE,
        lr_schedule="constant",
        warmup_steps=0,
        eval_every=0,
        save_every=steps + 1,
    )
