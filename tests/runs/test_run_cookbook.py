"""tinker-cookbook's own readers open our runs, and ours open its."""

from pathlib import Path
from typing import Any

import pytest

from geospot.runs.checkpoints import read_checkpoints
from geospot.runs.directory import RunDirectory
from geospot.runs.rollouts import RolloutRecord
from geospot.runs.summaries import read_summaries
from geospot.runs.tail import StepTail
from tests.support.approx import approx
from tests.support.rollouts import HOSTILE_TEXT, rollout, step_rollouts
from tests.support.run_child import checkpoint

storage: Any = pytest.importorskip("tinker_cookbook.stores.storage")
stores: Any = pytest.importorskip("tinker_cookbook.stores.training_store")
registry: Any = pytest.importorskip("tinker_cookbook.stores.registry")
checkpoint_utils: Any = pytest.importorskip("tinker_cookbook.checkpoint_utils")
rollout_logging: Any = pytest.importorskip("tinker_cookbook.rl.rollout_logging")


def our_run(path: Path, records: list[RolloutRecord]) -> Any:
    """A run of two steps as the cookbook's store."""
    run = RunDirectory.open(
        path, {"loss_fn": "ppo", "num_epochs": 1}, kind="rl", if_exists="raise", ask=None
    )
    run.start(0, 2)
    for step in range(2):
        run.rollouts(step, [r for r in records if r.step == step])
        run.metrics(step, {"env/all/reward/total": 0.5, "nan": float("nan")})
    run.add_checkpoint(checkpoint(1))
    run.add_checkpoint(checkpoint(2, "final"))
    run.close("finished")
    return stores.TrainingRunStore(storage.LocalStorage(path))


def test_its_store_reads_our_run(tmp_path: Path) -> None:
    store = our_run(tmp_path, step_rollouts(0) + step_rollouts(1))
    assert store.read_config()["loss_fn"] == "ppo"
    assert [row["env/all/reward/total"] for row in store.read_metrics()] == [0.5, 0.5]
    assert [info.iteration for info in store.list_iterations()] == [0, 1]
    assert all(info.has_train_rollouts for info in store.list_iterations())
    rows = store.read_rollouts(1)
    assert [(row["group_idx"], row["traj_idx"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    one = store.read_single_rollout(1, 1, 1)
    assert one["total_reward"] == 0.25
    assert one["steps"][0]["logs"]["text"] == HOSTILE_TEXT
    assert (one["steps"][0]["ob_len"], one["steps"][0]["ac_len"]) == (77, 3)


def test_its_summaries_have_exactly_these_keys(tmp_path: Path) -> None:
    rows = our_run(tmp_path, step_rollouts(0)).read_rollouts(0)
    theirs = rollout_logging.serialize_rollout_summaries(
        split="train",
        iteration=0,
        trajectory_groups_P=[_their_group()],
        taglist_P=[[]],
        sampling_client_steps_P=[0],
    )
    assert list(rows[0]) == list(theirs[0])
    assert list(rows[0]["steps"][0]) == list(theirs[0]["steps"][0])
    assert rows[0]["schema_version"] == theirs[0]["schema_version"]


def test_turns_of_a_rollout_are_steps_of_one_trajectory(tmp_path: Path) -> None:
    records = [rollout(0, 0, 0, turn=turn, reward=0.1 * (turn + 1)) for turn in (2, 0, 1)]
    (row,) = our_run(tmp_path, records).read_rollouts(0)
    assert [step["step_idx"] for step in row["steps"]] == [0, 1, 2]
    assert [step["episode_done"] for step in row["steps"]] == [False, False, True]
    assert row["total_reward"] == approx(0.6)


def test_its_checkpoint_reader_takes_the_final_one(tmp_path: Path) -> None:
    our_run(tmp_path, [])
    last = checkpoint_utils.get_last_checkpoint(str(tmp_path))
    assert (last.name, last.batch, last.final) == ("final", 2, True)
    assert last.state_path == "tinker://run/weights/final"


def test_its_registry_finds_our_run(tmp_path: Path) -> None:
    our_run(tmp_path / "mine", step_rollouts(0))
    (info,) = registry.RunRegistry([storage.LocalStorage(tmp_path)]).get_runs()
    assert (info.run_id, info.training_type, info.iteration_count) == ("mine", "rl", 2)


def test_we_read_what_it_wrote(tmp_path: Path) -> None:
    store = stores.TrainingRunStore(storage.LocalStorage(tmp_path))
    store.write_metrics({"optim/lr": 0.1}, step=0)
    store.write_metrics({"time/total": 2.0}, step=0)
    store.write_metrics({"tokens": 5.0})
    store.write_checkpoint({"name": "000001", "batch": 1, "epoch": 3, "state_path": "tinker://w"})
    store.write_rollouts(0, [{"group_idx": 0, "traj_idx": 0, "total_reward": 1.0}])
    tail = StepTail(tmp_path / "metrics.jsonl")
    tail.look()
    assert tail.rows == {0: {"step": 0, "optim/lr": 0.1, "time/total": 2.0}}
    assert tail.loose == {"tokens": 5.0}
    (row,) = read_checkpoints(tmp_path)
    assert (row.batch, row.extra) == (1, {"epoch": 3})
    assert read_summaries(tmp_path, 0)[0]["total_reward"] == 1.0
    assert read_summaries(tmp_path, 7) == []


def test_going_back_is_what_its_store_does(tmp_path: Path) -> None:
    """Its truncate_metrics and our start leave the same rows and the same file beside them."""
    for name in ("ours", "its"):
        store = stores.TrainingRunStore(storage.LocalStorage(tmp_path / name))
        store.write_config({"kind": "rl"})
        for step in (0, 1, 2, 3):
            store.write_metrics({"a": step}, step=step)
            store.write_metrics({"loose": step})
    stores.TrainingRunStore(storage.LocalStorage(tmp_path / "its")).truncate_metrics(2)
    run = RunDirectory.open(tmp_path / "ours", {}, kind="rl", if_exists="resume", ask=None)
    run.start(2, 4)
    run.close("stopped")
    for file in ("metrics.jsonl", "metrics.jsonl.pre_resume_000002"):
        assert (tmp_path / "ours" / file).read_bytes() == (tmp_path / "its" / file).read_bytes()


def _their_group() -> Any:
    import tinker
    from tinker_cookbook.completers import TokensWithLogprobs
    from tinker_cookbook.rl import types

    theirs: Any = types
    prompt = tinker.ModelInput.from_ints([1, 2])
    turn = theirs.Transition(
        ob=prompt,
        ac=TokensWithLogprobs(tokens=[3], maybe_logprobs=[-1.0]),
        reward=1.0,
        episode_done=True,
    )
    return theirs.TrajectoryGroup([theirs.Trajectory([turn], prompt)], [0.0], [{}])
