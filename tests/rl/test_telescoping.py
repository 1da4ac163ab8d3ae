"""Three turns: each earns what it gains, and together they earn what the final answer is worth."""

import asyncio
import math
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.data import GeoSample, open_dataset
from geospot.learning.photos import question, read_photo
from geospot.renderers import Renderer
from geospot.rl.geo_env import Task, photo_bytes
from geospot.rl.geo_reward import GeoReward
from geospot.rl.telescoping import DECIDE, LOOK_AGAIN, TelescopingGeoEnv, stage_rewards
from geospot.rl.types import StepResult
from geospot.runs.rollouts import RolloutReader, RolloutRecord
from tests.support.approx import approx
from tests.support.evaluating import geospot
from tests.support.geo_rollouts import located
from tests.support.learning import engine_url
from tests.support.tiny_chat import TINY_PROMPT, spoken, tiny_renderer, tiny_tokenizer

REWARD = GeoReward((20.0,), {"coord": 3.0, "country": 1.0}, 0.1)
DEGREE_KM = math.pi * 6371.0 / 180.0
NOTHING = "I can't say."

renderer = pytest.fixture(scope="module")(tiny_renderer)


def a_task(renderer: Renderer) -> Task:
    world = open_dataset("world:size=1", "train")
    asked = question(TINY_PROMPT, read_photo(world, world.table[0], None))
    sample = GeoSample("spot", 10.0, 20.0, "spot", country="TD")
    return Task(sample, renderer, REWARD, asked, renderer.build_generation_prompt(asked))


@pytest.fixture(scope="module")
def task(renderer: Renderer) -> Task:
    return a_task(renderer)


def play(task: Task, *texts: str, coarse_tau_km: float = 2000.0) -> list[StepResult]:
    async def turns() -> list[StepResult]:
        env = TelescopingGeoEnv(task, coarse_tau_km)
        return [await env.step(spoken(text)) for text in texts]

    return asyncio.run(turns())


def at(degrees_off: float, country: str = "") -> str:
    place = f"Country: {country}\n" if country else ""
    return place + located(10.0 + degrees_off, 20.0)


def rewards(results: list[StepResult]) -> list[float]:
    return [result.reward for result in results]


def test_each_turn_earns_what_it_gains(task: Task) -> None:
    results = play(task, at(10.0), at(1.0, "Chad"), at(0.1, "Chad"))

    first = 0.75 * math.exp(-10 * DEGREE_KM / 2000)
    second = 0.75 * math.exp(-DEGREE_KM / 200) + 0.25
    final = 0.75 * math.exp(-0.1 * DEGREE_KM / 20) + 0.25
    assert rewards(results) == approx([first, second - first, final - second])
    assert [result.episode_done for result in results] == [False, False, True]
    assert [result.logs["tau_km"][0] for result in results] == approx([2000.0, 200.0, 20.0])
    assert results[2].metrics["turn_3/geoscore"] == results[2].metrics["geoscore"]
    assert results[1].metrics["distance_km"] == approx(DEGREE_KM)


ANSWER = st.one_of(st.floats(-60, 60).map(at), st.just(NOTHING))


@settings(deadline=None, max_examples=40)
@given(first=ANSWER, second=ANSWER, final=ANSWER, coarse=st.floats(1, 5000))
def test_the_sum_is_the_final_score_less_what_failures_before_it_cost(
    task: Task, first: str, second: str, final: str, coarse: float
) -> None:
    results = play(task, first, second, final, coarse_tau_km=coarse)
    worth = sum(rewards(play(task, at(0), at(0), final)))
    early_failures = [first, second].count(NOTHING)
    assert sum(rewards(results)) == approx(worth - 0.1 * early_failures, abs=1e-9)


def test_an_early_turn_that_says_nothing_pays_at_once(task: Task) -> None:
    final = at(0.1, "Chad")
    said_something = rewards(play(task, at(10.0), at(1.0), final))
    said_nothing = rewards(play(task, NOTHING, at(1.0), final))
    lost_it = rewards(play(task, at(10.0), NOTHING, final))

    assert said_nothing[0] == -0.1
    assert sum(said_nothing) == approx(sum(said_something) - 0.1)
    assert lost_it[1] == approx(-0.1 - said_something[0])
    assert sum(lost_it) == approx(sum(said_something) - 0.1)


def test_a_final_answer_that_is_none_is_a_failure_as_ever(task: Task) -> None:
    results = play(task, at(0.1), at(0.1), NOTHING)
    assert sum(rewards(results)) == approx(-0.1)
    assert results[2].logs["outcome"] != "ok"
    assert sum(rewards(play(task, at(0.1), at(0.1), at(170.0)))) > -0.1


def test_the_next_question_holds_the_photo_and_all_that_was_said(task: Task) -> None:
    first, second = at(10.0), at(1.0)
    results = play(task, first, second, at(0.0))

    prompts = [result.next_observation for result in results]
    assert prompts[2] is None
    said: list[str] = []
    for prompt in prompts[:2]:
        assert prompt is not None
        assert photo_bytes(prompt) == photo_bytes(task.observation)
        chunks = [chunk for chunk in prompt.chunks if chunk.type == "encoded_text"]
        said.append("".join(tiny_tokenizer().decode(list(chunk.tokens)) for chunk in chunks))
    assert said[0].count("assistant\n") == 2
    assert all(words in said[0] for words in (TINY_PROMPT.text, first, LOOK_AGAIN))
    assert second not in said[0]
    assert all(words in said[1] for words in (first, LOOK_AGAIN, second, DECIDE))
    assert results[0].next_stop == task.renderer.get_stop_sequences()


def test_tau_falls_over_the_turns_and_never_below_the_final_one() -> None:
    stages = stage_rewards(GeoReward((20.0, 5000.0)), 2000.0)
    assert [stage.tau_km for stage in stages] == [
        (2000.0, 5000.0),
        (approx(200.0), approx(5000.0)),
        (20.0, 5000.0),
    ]


def test_a_run_plays_three_turns_on_the_embedded_engine(tmp_path: Path) -> None:
    said = [
        *("model_name=geospot/tiny-vlm", "hf_repo=world", "max_samples=2"),
        *("env=telescoping", "coord_tau=2000", "batch_size=2", "group_size=3", "eval_every=0"),
    ]
    with engine_url(tmp_path / "state") as url:
        done = geospot("rl", f"service={url}", f"log_path={tmp_path / 'run'}", *said)
    assert done.returncode == 0, done.stderr

    reader = RolloutReader(tmp_path / "run")
    reader.look()
    turns: dict[tuple[int, int], list[RolloutRecord]] = defaultdict(list)
    for record in reader.read(0):
        turns[record.group, record.index].append(record)
    assert len(turns) == 6
    for records in turns.values():
        assert [record.turn for record in records] == [0, 1, 2]
        assert records[0].prompt_tokens < records[1].prompt_tokens < records[2].prompt_tokens
        failures = [record.outcome != "ok" for record in records]
        worth = -0.1 if failures[2] else math.exp(-records[2].distance_km / 2000)
        total = sum(record.reward for record in records)
        assert total == approx(worth - 0.1 * sum(failures[:2]), abs=1e-6)
