"""Run directories written by the real writers, for whoever looks at runs from outside."""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.recipes import TINY_SCRATCH, Kind, with_recipe
from geospot.durable import replace_json
from geospot.runs.directory import RunDirectory
from geospot.runs.heartbeat import Beat
from geospot.runs.processes import this_host
from tests.support.run_child import checkpoint


def full_config(kind: Kind, log_path: Path, **said: Any) -> dict[str, Any]:
    """What config.json records of a run on the world with these settings."""
    model = RLConfig if kind == "rl" else SFTConfig
    usual: dict[str, Any] = {"service": "local", "hf_repo": "world", "log_path": log_path}
    config = model(**(usual | said))
    settings = with_recipe(config, kind, TINY_SCRATCH).model_dump(mode="json")
    known = {"model_name": TINY_SCRATCH, "renderer_name": "qwen3_vl_instruct"}
    return settings | known | {"prompt_text": "Where was this photo taken?"}


def write_run(
    folder: Path, kind: Kind = "rl", *, steps: int = 3, total: int = 10, **said: Any
) -> RunDirectory:
    """A run that has done some steps and is going on; whoever wants it over closes it."""
    run = RunDirectory.open(
        folder, full_config(kind, folder, **said), kind=kind, if_exists="raise", ask=None
    )
    run.start(0, total)
    for step in range(steps):
        run.metrics(step, row_of(kind, step))
    run.beat("sampling", steps)
    run.add_checkpoint(checkpoint(steps))
    return run


def row_of(kind: Kind, step: int) -> dict[str, Any]:
    """The figures of a step: the reward rises by a tenth, the NLL falls by one."""
    score = (
        {"env/all/reward/total": 0.1 * (step + 1), "geo/median_km": 900.0 - step}
        if kind == "rl"
        else {"train_mean_nll": 9.0 - step}
    )
    return score | {"tokens/prefill": 100 * (step + 1), "tokens/train": step + 1, "time/total": 2.0}


def foreign_run(folder: Path, *, steps: int = 3, final: bool = False) -> Path:
    """A run as tinker-cookbook leaves it: no heartbeat, no kind, blanks in its JSON."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model": {"model_name": "Qwen/Qwen3-VL"}}))
    rows = [
        {"step": step, "env/all/reward/total": 0.5, "progress/done_frac": (step + 1) / 10}
        for step in range(steps)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    last = {"name": "final" if final else "000002", "batch": 10 if final else 2, "final": final}
    saved = last | {"state_path": "tinker://x:train:0/weights/a", "sampler_path": None}
    (folder / "checkpoints.jsonl").write_text(json.dumps(saved) + "\n")
    return folder


def write_beat(folder: Path, **changed: Any) -> Beat:
    """A heartbeat of a run that is running in this process, or as it is changed."""
    now = time.time()
    beat = Beat("running", "", os.getpid(), this_host(), 3, 9, "sampling", now - 60, now)
    beat = replace(beat, **changed)
    replace_json(folder / "heartbeat.json", asdict(beat))
    return beat
