"""Whole RL runs on the embedded engine: what they leave, how they go on, how they end."""

import json
import random
import shutil
import signal
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from geospot.runs.checkpoints import read_checkpoints
from geospot.runs.histograms import HISTOGRAMS
from geospot.runs.rollouts import RolloutReader
from tests.support.approx import approx
from tests.support.evaluating import begin_geospot
from tests.support.learning import engine_url, rows_of
from tests.support.warm import Started

pytestmark = pytest.mark.timeout(900)  # a run takes seconds, or two minutes in a crowd

STEPS = 6
_SETTINGS = (
    "model_name=geospot/tiny-vlm",
    "hf_repo=world",
    "coord_tau=2000",
    f"max_samples={3 * STEPS}",
    "batch_size=3",
    "group_size=4",
    "save_every=2",
    "eval_every=4",
    "eval_limit=6",
    "learning_rate=1e-3",
    "behavior_if_log_dir_exists=resume",
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of an engine for all of them."""
    with engine_url(tmp_path_factory.mktemp("state")) as address:
        yield address


def _start(url: str, run: Path, *settings: str) -> Started:
    """`geospot rl` in a process of its own."""
    return begin_geospot("rl", f"service={url}", f"log_path={run}", *_SETTINGS, *settings)


def _finish(process: Started) -> tuple[int, str]:
    out, err = process.communicate(timeout=300)
    return process.wait(), out + err


@pytest.fixture(scope="module")
def whole(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    code, said = _finish(_start(url, run))
    assert code == 0, said
    return run


def test_a_run_leaves_everything_that_a_reader_looks_for(whole: Path) -> None:
    rows = rows_of(whole)
    assert sorted(rows) == list(range(STEPS + 1))  # the last holds the evaluation after the end
    assert all("env/all/reward/total" in rows[step] for step in range(STEPS))
    assert [step for step in rows if "eval/geoscore" in rows[step]] == [0, 4, STEPS]
    names = [row.name for row in read_checkpoints(whole)]
    assert names[-1] == "final" or "final" in names
    assert len((whole / HISTOGRAMS).read_text().splitlines()) == STEPS + 1
    reader = RolloutReader(whole)
    reader.look()
    assert reader.steps == list(range(STEPS))
    record = reader.read(2)[5]
    assert (record.group, record.index) == (1, 1)
    assert len(record.tokens) == len(record.logprobs) == len(record.pieces) > 0
    assert "".join(record.pieces).startswith(record.text)
    assert record.terms.keys() == {"coord"}
    assert list((whole / "thumbnails").iterdir())
    assert json.loads((whole / "heartbeat.json").read_text())["state"] == "finished"
    assert json.loads((whole / "config.json").read_text())["model_name"] == "geospot/tiny-vlm"


def test_the_rewards_on_record_are_those_of_the_rollouts(whole: Path) -> None:
    reader = RolloutReader(whole)
    reader.look()
    for step, row in rows_of(whole).items():
        if step == STEPS:
            continue
        rewards = [max(record.reward, 0.0) for record in reader.read(step)]
        assert row["env/all/reward/total"] == approx(sum(rewards) / len(rewards))
        groups = {record.group for record in reader.read(step)}
        for group in groups:
            advantages = [record.advantage for record in reader.read(step) if record.group == group]
            known = [one for one in advantages if one is not None]
            assert sum(known) == approx(0.0, abs=1e-5)


def test_a_killed_run_goes_on_as_if_nothing_had_been(whole: Path, url: str, tmp_path: Path) -> None:
    run, chance = tmp_path / "run", random.Random(4)
    for _ in range(5):
        if sum(_killed(url, run, step, chance.uniform(0.0, 0.3)) for step in (2, 4)):
            break
        shutil.rmtree(run)  # it was done before this process had its turn
    code, said = _finish(_start(url, run))
    assert code == 0, said
    assert "from step" in said
    expected, found = rows_of(whole), rows_of(run)
    assert sorted(found) == sorted(expected)
    for step, row in expected.items():
        assert found[step].keys() == row.keys()
        for key, value in row.items():
            assert found[step][key] == approx(value, rel=1e-4, abs=1e-6), (step, key)
    reader, other = RolloutReader(whole), RolloutReader(run)
    reader.look()
    other.look()
    assert reader.steps == other.steps
    for step in reader.steps:
        assert [r.text for r in reader.read(step)] == [r.text for r in other.read(step)]


def _killed(url: str, run: Path, step: int, later_s: float) -> bool:
    """Goes on with a run and kills it some time after a step; whether it was killed."""
    process = _start(url, run)
    while process.poll() is None and not _is_done(run, step):
        time.sleep(0.02)
    time.sleep(later_s)
    process.kill()
    return process.wait() == -signal.SIGKILL


def _is_done(run: Path, step: int) -> bool:
    """Whether the step is on record."""
    return (run / "metrics.jsonl").is_file() and step in rows_of(run)


def test_a_run_that_is_asked_to_stop_saves_and_goes_on(
    whole: Path, url: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = _start(url, run, "save_every=100")
    while not _is_done(run, 0) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code, said = _finish(process)
    assert code == 128 + signal.SIGTERM, said
    beat = json.loads((run / "heartbeat.json").read_text())
    assert beat["state"] == "stopped"
    (saved,) = [row for row in read_checkpoints(run) if row.state_path]
    assert saved.batch is not None
    assert 0 < saved.batch < STEPS
    assert beat["step"] == saved.batch
    code, said = _finish(_start(url, run, "save_every=100"))
    assert code == 0, said
    rewards = [rows_of(run)[step]["env/all/reward/total"] for step in range(STEPS)]
    expected = [rows_of(whole)[step]["env/all/reward/total"] for step in range(STEPS)]
    assert rewards == approx(expected, abs=1e-6)
