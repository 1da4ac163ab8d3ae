"""A training run without training: writes everything a step leaves, as fast as it can, until killed.

`python -m tests.support.run_child FOLDER STEPS` resumes what is there.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from geospot.runs.checkpoints import RunCheckpoint
from geospot.runs.directory import RunDirectory
from tests.support.rollouts import step_rollouts

CONFIG = {"model_name": "m", "loss_fn": "ppo", "thumbnails_mb": 0.01, "seed": 3}
SAVE_EVERY = 5


def main(folder: Path, total: int) -> None:
    """Runs from the last checkpoint to step `total`."""
    run = RunDirectory.open(folder, CONFIG, kind="rl", if_exists="resume", ask=None)
    done = (run.resume_from.batch or 0) if run.resume_from else 0
    run.start(done, total)
    for step in range(done, total):
        run.beat("training", step)
        records = step_rollouts(step, groups=4, size=8)
        run.rollouts(step, records)
        run.histogram(
            step,
            np.array([record.reward for record in records]),
            np.array([record.distance_km for record in records]),
            {"frac_mixed": 1.0},
        )
        run.thumbnail(f"photo-{step}", photo(step))
        run.metrics(step, {"value": step * 2})
        run.metrics(step, {"later": step * 3})
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == total:
            run.add_checkpoint(checkpoint(step + 1, "final" if step + 1 == total else None))
            run.forget_checkpoints(run.checkpoints_to_prune(2))
    run.close("finished")


def checkpoint(batch: int, name: str | None = None) -> RunCheckpoint:
    """A checkpoint of both kinds after `batch` steps."""
    name = name or f"{batch:06d}"
    paths = (f"tinker://run/weights/{name}", f"tinker://run/sampler_weights/{name}")
    return RunCheckpoint(name, batch, *paths)


def photo(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A noisy JPEG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
