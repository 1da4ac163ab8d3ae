"""The environment: photo to prompt, answer to reward, by the code that evaluates."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geospot.config.learning import RLConfig
from geospot.data import GeoDataset, GeoSample, SampleTable, open_dataset
from geospot.errors import GeospotError, ImageError, SourceUnavailableError
from geospot.evaluation.backend import Reply
from geospot.evaluation.judge import judge
from geospot.geo import HALF_CIRCUMFERENCE_KM, haversine_km
from geospot.images import prepare_image
from geospot.prompts import target_text
from geospot.renderers import Renderer
from geospot.rl.geo_dataset import GeoDatasetBuilder, GeoRLDataset
from geospot.rl.geo_env import GeoGroupBuilder, photo_bytes
from geospot.rl.geo_reward import GeoReward
from geospot.rl.rollouts import prepare_group
from geospot.rl.types import StepResult
from tests.support.approx import approx
from tests.support.photos import make_photo
from tests.support.tiny_chat import TINY_PROMPT, spoken, tiny_renderer, tiny_tokenizer

REWARD = GeoReward((1000.0,), {"coord": 3.0, "city": 1.0, "country": 1.0})


class OnePhoto(GeoDataset):
    """One photo, or what is raised instead of it; remembers who read it."""

    name, split = "one", "train"

    def __init__(self, photo: bytes | Exception) -> None:
        self.photo = photo
        self.readers: list[int] = []

    @property
    def table(self) -> SampleTable:
        return SampleTable.from_samples([SAMPLE])

    def read_image(self, sample: GeoSample) -> bytes:
        self.readers.append(threading.get_ident())
        if isinstance(self.photo, Exception):
            raise self.photo
        return self.photo


SAMPLE = GeoSample("p1", 45.76, 4.84, "p1.jpg", city="Lyon", country="FR")


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return tiny_renderer()


def builder(
    renderer: Renderer, photo: bytes | Exception | None = None, **more: Any
) -> GeoGroupBuilder:
    photo = photo or make_photo("p1", size=(96, 96))
    settings: dict[str, Any] = {"reward": REWARD, "group_size": 3, **more}
    return GeoGroupBuilder(OnePhoto(photo), SAMPLE, renderer, TINY_PROMPT, **settings)


def answer(renderer: Renderer, text: str, *, ended: bool = True, **more: Any) -> StepResult:
    async def play() -> StepResult:
        envs = await builder(renderer, **more).make_envs()
        return await envs[0].step(spoken(text, ended=ended))

    return asyncio.run(play())


def test_a_group_shares_one_prompt_with_its_photo(renderer: Renderer) -> None:
    photo = make_photo("p1", size=(96, 96), gps=(45.76, 4.84))

    async def observations() -> list[Any]:
        group = builder(renderer, photo)
        return [await env.initial_observation() for env in await group.make_envs()]

    seen = asyncio.run(observations())
    prompt, stop = seen[0]
    assert len(seen) == 3
    assert all(other is prompt for other, _ in seen)
    assert stop == renderer.get_stop_sequences()
    assert photo_bytes(prompt) == prepare_image(photo).data != photo
    text = tiny_tokenizer().decode(prompt.chunks[-1].tokens)
    assert TINY_PROMPT.text in text


def test_a_photo_is_shrunk_as_the_configuration_says(renderer: Renderer) -> None:
    async def sent(size: int | None) -> bytes | None:
        group = builder(renderer, make_photo("wide", size=(300, 150)), max_image_size=size)
        return photo_bytes((await (await group.make_envs())[0].initial_observation())[0])

    small, whole = asyncio.run(sent(60)), asyncio.run(sent(None))
    assert small is not None
    assert whole is not None
    shrunk = prepare_image(small)
    assert (shrunk.width, shrunk.height) == (60, 30)
    assert prepare_image(whole).width == 300


def test_a_photo_is_read_in_a_thread(renderer: Renderer) -> None:
    group = builder(renderer)
    asyncio.run(prepare_group(group))
    assert isinstance(group.dataset, OnePhoto)
    assert len(group.dataset.readers) == 1
    assert group.dataset.readers[0] != threading.get_ident()


@pytest.mark.parametrize(
    "trouble",
    [ImageError("gone"), SourceUnavailableError("asleep"), b"no image", b"\xff\xd8\xff\xe0"],
)
def test_trouble_with_a_photo_loses_its_group_only(
    renderer: Renderer, trouble: bytes | Exception
) -> None:
    group = builder(renderer, trouble)
    with pytest.raises(GeospotError):
        asyncio.run(group.make_envs())
    prepared = asyncio.run(prepare_group(group))
    assert prepared.error is not None
    assert prepared.error.startswith("p1: ")
    assert prepared.envs == []


class Asleep(OnePhoto):
    """A source that doesn't answer at first."""

    def read_image(self, sample: GeoSample) -> bytes:
        photo = super().read_image(sample)
        if len(self.readers) < 3:
            raise SourceUnavailableError("asleep")
        return photo


@pytest.mark.parametrize(("max_retries", "lost"), [(1, True), (2, False), (9, False)])
def test_a_source_that_does_not_answer_is_asked_again(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch, max_retries: int, lost: bool
) -> None:
    monkeypatch.setattr("geospot.learning.patience._FIRST_PAUSE_S", 0.001)
    source = Asleep(make_photo("p1", size=(96, 96)))
    group = replace(builder(renderer), dataset=source)
    prepared = asyncio.run(prepare_group(group, max_retries))
    assert (prepared.error is not None) is lost
    assert len(source.readers) == min(max_retries + 1, 3)


def test_a_right_answer_earns_all_there_is(renderer: Renderer) -> None:
    result = answer(renderer, target_text(SAMPLE))

    assert result.episode_done
    assert result.reward == approx(1.0)
    assert result.metrics == {
        "answered": 1.0,
        "distance_km": approx(0.0, abs=1e-6),
        "geoscore": approx(5000.0),
        "acc_1km": 1.0,
        "acc_25km": 1.0,
        "acc_200km": 1.0,
        "acc_750km": 1.0,
        "acc_2500km": 1.0,
        "reward/coord": approx(1.0),
        "reward/city": 1.0,
        "reward/country": 1.0,
    }


def test_an_answer_is_judged_as_an_evaluation_judges_it(renderer: Renderer) -> None:
    text = "City: Geneva\nCountry: France\nLatitude: 46.2000\nLongitude: 6.1000"
    record = judge(SAMPLE, Reply(text))
    distance_km = haversine_km(46.2, 6.1, 45.76, 4.84)

    result = answer(renderer, text)

    assert result.metrics["distance_km"] == record.distance_km == approx(distance_km)
    assert result.metrics["geoscore"] == record.geoscore
    assert (result.metrics["acc_25km"], result.metrics["acc_200km"]) == (0.0, 1.0)
    coord = 2.718281828459045 ** (-distance_km / 1000.0)
    assert result.metrics["reward/coord"] == approx(coord)
    assert result.reward == approx((3 * coord + 0 + 1) / 5)
    assert result.logs == {
        "sample_id": "p1",
        "outcome": "ok",
        "note": None,
        "text": text,
        "truncated": False,
        "latitude": 46.2,
        "longitude": 6.1,
        "place": {"city": "Geneva", "country": "France"},
        "true_latitude": 45.76,
        "true_longitude": 4.84,
        "labels": {"city": "Lyon", "country": "FR"},
        "tau_km": [1000.0],
    }


@pytest.mark.parametrize(
    ("text", "ended", "outcome", "note"),
    [
        ("City: Lyon\nCountry: France", True, "place_only", None),
        ("Latitude: 91.0000\nLongitude: 4.8400", True, "out_of_range", None),
        ("Latitude: 0.0\nLongitude: 0.0", True, "unparsed", "null_island"),
        ("", True, "unparsed", "empty"),
        ("Latitude: 45.7600\nLongitude: 4.8", False, "unparsed", "length"),
    ],
)
def test_a_failure_is_worth_less_than_nothing_and_is_at_its_worst(
    renderer: Renderer, text: str, ended: bool, outcome: str, note: str | None
) -> None:
    result = answer(renderer, text, ended=ended)

    assert result.reward == -0.1
    assert (result.logs["outcome"], result.logs["note"]) == (outcome, note)
    assert result.logs["truncated"] is not ended
    assert result.metrics.pop("distance_km") == HALF_CIRCUMFERENCE_KM
    assert set(result.metrics.values()) == {0.0}


def config(**more: Any) -> RLConfig:
    return RLConfig(hf_repo="world", max_samples=21, batch_size=4, **more)


def opened(renderer: Renderer, **more: Any) -> GeoRLDataset:
    return asyncio.run(GeoDatasetBuilder(config(**more), renderer, TINY_PROMPT, 64)())


def test_a_run_sees_each_photo_once_an_epoch_and_always_in_the_same_order(
    renderer: Renderer,
) -> None:
    dataset = opened(renderer, num_epochs=2, group_size=5)
    again = opened(renderer, num_epochs=2, group_size=5)

    assert len(dataset) == 11
    batches = [[one.group_id for one in dataset.get_batch(step)] for step in range(11)]
    seen = [name for batch in batches for name in batch]
    selected = open_dataset("world", "train").select(21, 0).table.ids
    assert sorted(seen[:21]) == sorted(seen[21:42]) == sorted(selected)
    assert [one.group_id for one in again.get_batch(7)] == batches[7]
    first = dataset.get_batch(0)[0]
    assert (first.group_size, first.max_image_size) == (5, 64)
    assert opened(renderer, seed=1).get_batch(0)[0].group_id != first.group_id
    with pytest.raises(IndexError):
        dataset.get_batch(11)


def test_tau_falls_with_the_steps_whatever_was_asked_before(renderer: Renderer) -> None:
    dataset = opened(renderer, tau_schedule="geometric", max_steps=4, coord_tau=[20.0])

    taus = [dataset.get_batch(step)[0].reward.tau_km[0] for step in (3, 0, 2, 1)]

    assert taus == approx([2000 / 100**0.75, 2000.0, 200.0, 2000 / 100**0.25])


def test_a_data_set_that_is_not_there_is_an_error_of_ours(
    renderer: Renderer, tmp_path: Path
) -> None:
    nothing = GeoDatasetBuilder(RLConfig(hf_repo=str(tmp_path / "gone")), renderer, TINY_PROMPT)
    with pytest.raises(GeospotError, match="There is no data set"):
        asyncio.run(nothing())
