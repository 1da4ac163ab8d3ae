"""What a run carries from step to step outlives a kill: hard photos shown again, a tau that follows it."""

import signal
import time
from pathlib import Path
from statistics import median

import pytest

from geospot.config.learning import RLConfig
from geospot.learning.order import SampleOrder
from geospot.rl.replay import REST_STEPS, HardReplay
from geospot.runs.tail import StepTail
from tests.support.approx import approx
from tests.support.evaluating import begin_geospot, geospot
from tests.support.learning import engine_url

STEPS = 18
SAVED = 10
SETTINGS = (
    "model_name=geospot/tiny-vlm",
    "hf_repo=world",
    "max_samples=100",
    f"max_steps={STEPS}",
    "batch_size=2",
    "group_size=2",
    "replay_hard=0.5",
    "tau_schedule=adaptive",
    "tau_start=9000",
    "eval_every=0",
    "save_every=2",
    "keep_checkpoints=20",
    "rollouts_every=1000",
    "behavior_if_log_dir_exists=resume",
)


@pytest.mark.timeout(900)
def test_a_killed_run_goes_on_with_the_same_photos_and_the_same_tau(tmp_path: Path) -> None:
    run = tmp_path / "run"
    saved = run / "checkpoints.jsonl"
    with engine_url(tmp_path / "state") as url:
        command = ["rl", *SETTINGS, f"service={url}", f"log_path={run}"]
        first = begin_geospot(*command)
        while first.poll() is None and not (saved.is_file() and f"{SAVED:06}" in saved.read_text()):
            time.sleep(0.02)
        first.kill()
        assert first.wait() == -signal.SIGKILL, first.communicate()
        resumed = geospot(*command)
    assert resumed.returncode == 0, resumed.stderr

    shown, metrics = StepTail(run / "photos.jsonl"), StepTail(run / "metrics.jsonl")
    shown.look()
    metrics.look()
    _check_photos(shown, metrics)
    _check_tau(metrics)


def _check_photos(shown: StepTail, metrics: StepTail) -> None:
    assert list(shown.rows) == list(range(STEPS))
    config = RLConfig(batch_size=2, replay_hard=0.5)
    expected = HardReplay(config, SampleOrder(100, 0), 100)
    again: list[bool] = []
    for step, row in shown.rows.items():
        fresh, replayed = expected.photos(step)
        again.append(bool(replayed))
        photos = row["photos"]
        assert [one["number"] for one in photos] == [*fresh, *replayed]
        assert [one["replayed"] for one in photos] == [False] + [True] * len(replayed)
        assert metrics.rows[step]["replay/share"] == approx(len(replayed) / len(photos))
        expected.recall(step, photos)
    rest = 3 + REST_STEPS  # a step is prepared three steps ahead
    assert (again[rest], again[STEPS - 2]) == (False, True)


def _check_tau(metrics: StepTail) -> None:
    medians = dict(zip(*metrics.series("geo/median_km"), strict=True))
    taus = dict(zip(*metrics.series("reward/tau_km"), strict=True))
    assert sorted(taus) == list(range(STEPS))
    for step, tau in taus.items():
        known = [medians[before] for before in range(max(step - 10, 0), step - 2)]  # the newest 8
        assert tau == approx(min(max(median(known), 25.0), 9000.0) if known else 9000.0)
    assert len(set(taus.values())) > 3
