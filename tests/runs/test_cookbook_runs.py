"""Runs of tinker-cookbook as they are watched: recorded ones, made by its own programs, and hostile ones."""

import json
import math
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geospot.outcomes import Outcome
from geospot.runs.cookbook import edges_for
from geospot.runs.cookbook_records import records
from geospot.runs.histograms import REWARD_EDGES
from geospot.runs.summaries import summaries_path, write_summaries
from geospot.runs.watch import RunState, RunWatch
from tests.support.approx import approx
from tests.support.rollouts import step_rollouts

RECORDED: Final = Path(__file__).parents[1] / "recordings" / "cookbook"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the recorded run of its rl/train.py."""
    return Path(shutil.copytree(RECORDED / "rl", tmp_path / "rl"))


def all_of(watch: RunWatch, limit: int = 1 << 20) -> RunState:
    for _ in range(1000):
        state = watch.look(limit)
        if not state.is_behind:
            return state
    raise AssertionError("It never got to the end.")


def figures(state: RunState, key: str) -> list[float]:
    return state.columns.series(key)[1].tolist()


def rewards(run: Path, step: int) -> list[float]:
    lines = summaries_path(run, step).read_text().splitlines()
    return [json.loads(line)["total_reward"] for line in lines]


def summary(group: int, index: int, reward: float, **more: Any) -> dict[str, Any]:
    """A row as it writes it."""
    turn: dict[str, Any] = {
        "step_idx": 0,
        "ob_len": 9,
        "ac_len": 3,
        "reward": reward,
        "metrics": {},
        "logs": {},
    }
    row: dict[str, Any] = {
        "group_idx": group,
        "traj_idx": index,
        "total_reward": reward,
        "final_reward": 0.0,
    }
    return row | {"trajectory_metrics": {}, "tags": [], "steps": [turn | more]}


def write(run: Path, step: int, *rows: Any) -> None:
    path = summaries_path(run, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    temporary.replace(path)


def test_what_its_rl_program_wrote(run: Path) -> None:
    watch = RunWatch(run)
    state = watch.look()
    assert (state.kind, state.done, state.total, state.is_behind) == ("rl", 3, 3, False)
    assert [saved.name for saved in state.checkpoints] == ["000002", "final"]
    assert state.config["lora_rank"] == 16
    assert list(state.rollout_steps) == [0, 1, 2]
    assert [watch.rollouts.count(step) for step in range(3)] == [16, 16, 16]
    # Histograms agree with the figures that it computed itself.
    assert state.reward.mean_S.tolist() == approx(figures(state, "env/all/reward/total"))
    assert state.distance_km.mean_S.tolist() == approx(figures(state, "env/all/distance_km"))
    assert state.reward.counts_S_B.sum(axis=1).tolist() == [16, 16, 16]
    for name, share_S in state.groups.items():
        assert share_S.tolist() == approx(figures(state, f"env/all/by_group/{name}"))


def test_what_its_supervised_program_wrote() -> None:
    state = RunWatch(RECORDED / "sft").look()
    assert (state.kind, state.done, state.total) == ("sft", 6, 6)
    step_K, nll_K = state.columns.series("train_mean_nll")
    assert step_K.tolist() == list(range(6))
    assert nll_K[-1] < nll_K[0]
    assert (list(state.rollout_steps), len(state.reward)) == ([], 0)


def test_a_run_under_way_knows_its_total(run: Path) -> None:
    (run / "checkpoints.jsonl").unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:2]))
    state = RunWatch(run).look()
    assert (state.done, state.total) == (2, 3)


def test_its_rollouts_as_records(run: Path) -> None:
    watch = RunWatch(run)
    watch.look()
    found = watch.rollouts.read(1)
    assert [(one.group, one.index) for one in found] == [(g, i) for g in range(4) for i in range(4)]
    assert [one.reward for one in found] == approx(rewards(run, 1))
    assert [one.text for one in found if one.text]
    assert all(one.prompt_tokens > 20 and one.sampler_step == 1 for one in found)
    for group in range(4):  # as its compute_advantages
        own = [one for one in found if one.group == group]
        mean = sum(one.reward for one in own) / 4
        assert [one.advantage for one in own] == approx([one.reward - mean for one in own])
    near = [one for one in found if not math.isnan(one.distance_km)]
    assert {one.outcome for one in near} == {Outcome.OK}
    assert {one.outcome for one in found if one not in near} == {Outcome.UNPARSED}
    assert all(math.isnan(one.true_latitude) and one.latitude is None for one in found)
    assert watch.rollouts.read(7) == []


def test_our_own_summaries_come_back_as_they_were(tmp_path: Path) -> None:
    """A run of ours without its own rollout files, as another machine may have copied it."""
    written = step_rollouts(2)
    write_summaries(tmp_path, 2, written)
    watch = RunWatch(tmp_path)
    assert list(watch.look().rollout_steps) == [2]
    for one, before in zip(watch.rollouts.read(2), written, strict=True):
        for name in ("step", "group", "index", "sample_id", "outcome", "distance_km", "advantage"):
            assert getattr(one, name) == getattr(before, name)
        assert (one.latitude, one.true_longitude) == (before.latitude, before.true_longitude)
        assert one.reward == approx(before.reward)


def test_iterations_are_read_newest_first_a_few_at_a_look(tmp_path: Path) -> None:
    for step in range(200):
        write(tmp_path, step, *(summary(0, index, index / 3) for index in range(4)))
    watch = RunWatch(tmp_path)
    first = watch.look(2000)
    assert first.is_behind
    assert first.rollout_steps[-1] == 199
    assert 1 <= len(first.rollout_steps) < 20
    state = all_of(watch, 2000)
    for _ in range(20):
        state = watch.look(2000)
    assert list(state.rollout_steps) == list(range(200))
    assert state.reward.steps_S.tolist() == list(range(200))
    assert state.reward.counts_S_B.sum(axis=1).tolist() == [4] * 200
    assert first.reward.steps_S[-1] == 199


def test_a_summary_is_read_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        opened.append(path.parent.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    watch = RunWatch(run)
    for _ in range(5):
        watch.look()
    assert sorted(name for name in opened if name.startswith("iteration")) == [
        f"iteration_{step:06d}" for step in range(3)
    ]


def test_iterations_that_come_and_whose_summaries_come_later(run: Path) -> None:
    watch = RunWatch(run)
    before = watch.look()
    (run / "iteration_000003").mkdir()
    assert watch.look().rollout_steps == [0, 1, 2]
    write(run, 3, summary(0, 0, 0.5), summary(0, 1, 0.75))
    after = watch.look()
    assert after.rollout_steps == [0, 1, 2, 3]
    assert after.reward.mean_S[-1] == approx(0.625)
    assert after.revision > before.revision
    assert len(before.reward) == 3


def test_a_step_that_is_done_again_is_read_again(run: Path) -> None:
    watch = RunWatch(run)
    watch.look()
    write(run, 2, summary(0, 0, 1.0))
    assert watch.rollouts.count(2) == 16
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "env/all/reward/total": 1.0}\n')
    state = watch.look()
    assert watch.rollouts.count(2) == 1
    assert state.reward.mean_S.tolist()[2:] == [1.0]
    assert state.reward.steps_S.tolist() == [0, 1, 2]


def test_iterations_without_summaries_are_passed_over(tmp_path: Path) -> None:
    """Export switched off, or only evaluated: what isn't there isn't asked for again and again."""
    for step in range(300):
        (tmp_path / f"iteration_{step:06d}").mkdir()
    write(tmp_path, 0, summary(0, 0, 0.5))
    (tmp_path / "iteration_x").mkdir()
    (tmp_path / "iteration_000001.pre_resume_000001").mkdir()
    watch = RunWatch(tmp_path)
    state = all_of(watch)
    assert (list(state.rollout_steps), state.is_behind) == ([0], False)


def test_a_file_in_place_of_an_iteration_or_gone_meanwhile(run: Path) -> None:
    (run / "iteration_000003").write_text("")
    shutil.rmtree(run / "iteration_000001")
    watch = RunWatch(run)
    assert list(watch.look().rollout_steps) == [0, 2]
    shutil.rmtree(run / "iteration_000002")
    assert watch.rollouts.read(2) == []
    assert watch.look().trouble == ""


def test_torn_summaries(run: Path) -> None:
    path = summaries_path(run, 1)
    content = path.read_bytes()
    for cut in range(0, len(content), 101):
        path.write_bytes(content[:cut])
        watch = RunWatch(run)
        state = watch.look()
        assert watch.rollouts.count(1) == content[:cut].count(b"\n")
        assert len(watch.rollouts.read(1)) == content[:cut].count(b"\n")
        assert len(state.reward) == 3


def test_turns_of_a_trajectory_are_records(tmp_path: Path) -> None:
    row = summary(0, 0, 0.75)
    (turn,) = row["steps"]
    row["steps"] = [turn | {"reward": 0.25}, turn | {"step_idx": 1, "reward": 0.125}]
    row["final_reward"] = 0.375
    write(tmp_path, 0, row)
    first, last = records(0, [row])
    assert [(one.turn, one.reward) for one in (first, last)] == [(0, 0.25), (1, 0.5)]


def test_whatever_an_environment_logs_is_shown(tmp_path: Path) -> None:
    (one,) = records(0, [summary(3, 0, 0.5, logs={"guess": "Paris", "n": 3})])
    assert (one.text, one.sample_id, one.outcome) == ("guess: Paris\nn: 3", "group 3", Outcome.OK)
    (one,) = records(0, [summary(0, 0, 0.5, logs={"response": "Rome", "n": 3})])
    assert one.text == "Rome"


@pytest.mark.parametrize(
    ("values", "within"),
    [([-1.0, 1.0], (-1.0, 1.0)), ([0.0, 10.0], (0.0, 10.0)), ([-3.0], (-3.0, -2.975))],
)
def test_bins_for_other_rewards(values: list[float], within: tuple[float, float]) -> None:
    edges = edges_for(np.array(values))
    assert (edges[0], edges[-1]) == approx(within)
    assert len(edges) <= 42


@pytest.mark.parametrize("values", [[0.0, 1.0], [0.5], [-1e300, 1e300], [1e15, 1e15 + 1]])
def test_our_bins_for_the_rest(values: list[float]) -> None:
    assert edges_for(np.array(values)) == REWARD_EDGES


def test_rewards_beyond_one_get_bins_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, 0, *(summary(0, index, 2.0 * index - 4) for index in range(5)))
    state = RunWatch(tmp_path).look()
    assert (state.reward.edges[0], state.reward.edges[-1]) == (-4.0, 4.0)
    assert state.reward.counts_S_B[0, [0, -1]].tolist() == [0, 0]
    assert state.reward.counts_S_B.sum() == 5


def test_a_reward_beyond_all_measure_is_none(tmp_path: Path) -> None:
    write(tmp_path, 0, summary(0, 0, -1e308), summary(0, 1, 0.5))
    watch = RunWatch(tmp_path)
    assert watch.look().reward.counts_S_B.sum() == 1
    assert [math.isnan(one.reward) for one in watch.rollouts.read(0)] == [True, False]


NUMBERS: Final = st.sampled_from([0.5, 3, math.inf, -math.inf, math.nan, -1e308, 10**400])
JUNK: Final = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
TURN: Final = st.fixed_dictionaries(
    {},
    optional={
        "step_idx": JUNK,
        "ob_len": JUNK,
        "reward": NUMBERS | JUNK,
        "metrics": JUNK | st.fixed_dictionaries({"distance_km": JUNK, "a": JUNK}),
        "logs": JUNK
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("text", "outcome", "latitude", "longitude", "note"), JUNK)
        ),
    },
)
ROW: Final = st.fixed_dictionaries(
    {},
    optional={
        "group_idx": JUNK,
        "traj_idx": JUNK,
        "total_reward": NUMBERS | JUNK,
        "final_reward": NUMBERS | JUNK,
        "tags": JUNK,
        "trajectory_metrics": JUNK,
        "sampling_client_step": JUNK,
        "steps": JUNK | st.lists(TURN | TURN | JUNK, max_size=2),
    },
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, max_size=4))
def test_whatever_summaries_say_nothing_breaks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    run = tmp_path_factory.mktemp("run")
    write(run, 0, *rows)
    watch = RunWatch(run)
    state = watch.look()
    assert (watch.rollouts.count(0), state.trouble) == (len(rows), "")
    for one in watch.rollouts.read(0):
        json.dumps(one.to_json())
        assert isinstance(one.text, str)
        assert one.advantage is None or math.isfinite(one.advantage)
        assert not math.isinf(one.reward)


def test_a_summary_that_can_t_be_read_keeps_none_of_the_others_away(run: Path) -> None:
    summaries_path(run, 1).unlink()
    summaries_path(run, 1).mkdir()
    watch = RunWatch(run)
    assert (list(watch.look().rollout_steps), watch.look().trouble) == ([0, 2], "")
    assert watch.look().reward.steps_S.tolist() == [0, 2]
