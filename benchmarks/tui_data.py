"""Runs as large as the terminal app has to hold, written in seconds.

Rows are those of real runs in shape and size. What the app must not read to show its first frame isn't
made at full length: rollouts of all steps but the last ones are a hole in the file.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from geospot.durable import json_line
from geospot.outcomes import Outcome
from geospot.runs.histograms import HistogramWriter
from geospot.runs.rollouts import INDEX, ROLLOUTS, RolloutRecord
from geospot.runs.summaries import summaries_path, write_summaries

STEPS: Final = 5000
ROLLOUTS_A_STEP: Final = 512
GROUP: Final = 8
_WRITTEN: Final = 20
"""Steps whose rollouts are really there, the last ones."""

_TEXT: Final = (
    "City: Quang\nRegion: Guangdong\nCountry: China\nLatitude: 20.4208\nLongitude: 111.4770"
)


def reward_of(row: int) -> float:
    """Tells the row it is in, for some thousand rows: 0.1000, 0.1001, …"""
    return 0.1 + row % 9000 / 10_000


def metrics_row(step: int) -> dict[str, Any]:
    """Twelve figures beside the step."""
    share = step / 1_000_000
    return {
        "step": step,
        "env/all/reward/total": round(reward_of(step), 4),
        "geo/geoscore/mean": round(2000 + 500 * share + step * 37 % 101, 3),
        "geo/distance_km/median": round(900 - 300 * share + step * 53 % 97, 3),
        "geo/format_rate": 0.96875,
        "optim/lr": 1e-5,
        "optim/entropy": round(1.2 - share, 6),
        "optim/kl_sample_train_v1": 0.000312,
        "env/all/by_group/frac_mixed": 0.84375,
        "tokens/sample": 40_960 * (step + 1),
        "tokens/prefill": 22_528 * (step + 1),
        "time/total": 11.25,
        "time/sampling": 7.5,
    }


def metrics_lines(rows: range) -> Iterator[bytes]:
    """Lines of metrics.jsonl."""
    return (json_line(metrics_row(step)) for step in rows)


def write_long_run(folder: Path, rows: int) -> None:
    """A run of a single figure row a step, and nothing else."""
    _begin(folder, "sft", rows, rows)
    with (folder / "metrics.jsonl").open("wb") as file:
        file.writelines(metrics_lines(range(rows)))


def write_equal_runs(folder: Path, count: int, rows: int) -> None:
    """Long runs whose figures are one file under several names."""
    write_long_run(folder / "run-0", rows)
    for number in range(1, count):
        run = folder / f"run-{number}"
        _begin(run, "sft", rows, rows)
        os.link(folder / "run-0" / "metrics.jsonl", run / "metrics.jsonl")


def write_wide_run(folder: Path, steps: int, rollouts: int) -> None:
    """A run of GRPO with histograms and rollouts of every step."""
    _begin(folder, "rl", steps, steps)
    rng = np.random.default_rng(0)
    with (folder / "metrics.jsonl").open("wb") as file:
        file.writelines(metrics_lines(range(steps)))
    histograms = HistogramWriter(folder)
    histograms.rewind(0)
    for step in range(steps):
        reward_N = rng.beta(2 + 4 * step / steps, 3, rollouts)
        histograms.write(step, reward_N, 3000 * (1 - reward_N), {"frac_mixed": 0.8})
    histograms.file.close()
    blocks = [_block(step, rollouts) for step in (0, *range(steps - _WRITTEN, steps))]
    size = len(blocks[0])
    with (folder / ROLLOUTS).open("wb") as file, (folder / INDEX).open("wb") as index:
        file.write(blocks[0])
        file.seek(size * (steps - _WRITTEN))
        offset = file.tell()
        for step in range(steps):
            at = step - (steps - _WRITTEN)
            length = size if at < 0 else len(blocks[1 + at])
            start = step * size if at < 0 else offset
            index.write(
                json_line({"step": step, "offset": start, "length": length, "count": rollouts})
            )
            if at >= 0:
                file.write(blocks[1 + at])
                offset += length


def write_foreign_run(folder: Path, steps: int, rollouts: int) -> None:
    """A run of tinker-cookbook; summaries of all steps are one file under many names."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_name": "some/model", "loss_fn": "ppo"}))
    with (folder / "metrics.jsonl").open("wb") as file:
        file.writelines(metrics_lines(range(steps)))
    write_summaries(folder, 0, _records(0, rollouts))
    for step in range(1, steps):
        path = summaries_path(folder, step)
        path.parent.mkdir()
        os.link(summaries_path(folder, 0), path)


def write_many_runs(folder: Path, count: int) -> None:
    """As many small runs, the last one started last."""
    lines = list(metrics_lines(range(30)))
    for number in range(count):
        run = folder / f"run-{number:04d}"
        _begin(run, "rl" if number % 2 else "sft", 30, 30)
        (run / "metrics.jsonl").write_bytes(b"".join(lines))
        os.utime(run / "config.json", (1_700_000_000 + number, 1_700_000_000 + number))


def _begin(folder: Path, kind: str, step: int, total: int) -> None:
    folder.mkdir(parents=True)
    config = {"kind": kind, "model_name": "geospot/tiny-vlm", "log_path": str(folder)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "logs.log").write_text("2026-11-30 01:00:00Z INFO begun\n" * 50)
    beat: dict[str, Any] = {"state": "finished", "reason": "", "pid": 0, "host": platform.node()}
    beat |= {"step": step, "total": total, "phase": "", "started": time.time() - 3600}
    (folder / "heartbeat.json").write_text(json.dumps(beat | {"time": time.time()}))


def _block(step: int, rollouts: int) -> bytes:
    return b"".join(json_line(record.to_json()) for record in _records(step, rollouts))


def _records(step: int, rollouts: int) -> list[RolloutRecord]:
    rng = np.random.default_rng(step)
    tokens, logprobs = list(range(100, 140)), [-0.25] * 40
    return [
        RolloutRecord(
            step=step,
            group=number // GROUP,
            index=number % GROUP,
            sample_id=f"photo-{number // GROUP}",
            true_latitude=20.0,
            true_longitude=110.0,
            outcome=Outcome.OK,
            reward=float(rng.random()),
            distance_km=float(rng.exponential(800)),
            text=_TEXT,
            latitude=float(rng.uniform(-60, 70)),
            longitude=float(rng.uniform(-180, 180)),
            tokens=tokens,
            logprobs=logprobs,
            advantage=0.1,
            prompt_tokens=44,
            sampler_step=step,
        )
        for number in range(rollouts)
    ]
