"""A run on a service that drops photos ends before its first step; one on any other goes on."""

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinker
from PIL import Image

from geospot import sft, train
from geospot.config.learning import RLConfig, SFTConfig
from geospot.errors import BlindModelError, RenderError
from geospot.images import prepare_image
from geospot.learning.sight import LEAST_NATS, MARGIN, WEIGHED, Sight, negative, sight_of
from geospot.learning.supervised import Example, ExampleMaker
from geospot.runs.heartbeat import read_heartbeat
from tests.support.approx import approx
from tests.support.learning import rows_of, small
from tests.support.photos import make_photo
from tests.support.training_engine import served, settings_for


def train_on(url: str, kind: str, log_path: Path, **changed: Any) -> None:
    settings = settings_for(url, log_path, max_steps=2, **changed)
    if kind == "sft":
        asyncio.run(sft.run(SFTConfig(**settings, test_size=0)))
    else:
        asyncio.run(train.run(RLConfig(**settings, group_size=2)))


def log_of(log_path: Path) -> str:
    return (log_path / "logs.log").read_text()


@pytest.mark.parametrize("kind", ["sft", "rl"])
@pytest.mark.parametrize("noise_nats", [0.0, 0.05])
def test_where_photos_are_dropped_nothing_is_trained(
    tmp_path: Path, kind: str, noise_nats: float
) -> None:
    run = tmp_path / "run"
    with served(tmp_path / "state", blind=True, noise_nats=noise_nats) as (engine, url):
        with pytest.raises(BlindModelError, match="Photos don't reach scripted/vlm") as caught:
            train_on(url, kind, run)
        assert "check_photos=false" in caught.value.advice
        assert "forward_backward" not in engine.names()
        asked = [what for name, what in engine.calls if name == "forward"]
        assert len(asked) == WEIGHED
        assert {(len(datums), loss) for datums, loss, _ in asked} == {(3, "cross_entropy")}
    beat = read_heartbeat(run)
    assert beat is not None
    assert (beat.state, beat.step) == ("failed", 0)
    assert "Photos don't reach" in beat.reason


@pytest.mark.parametrize("kind", ["sft", "rl"])
@pytest.mark.parametrize("noise_nats", [0.0, 0.05])
def test_where_photos_arrive_the_run_goes_on(tmp_path: Path, kind: str, noise_nats: float) -> None:
    run = tmp_path / "run"
    with served(tmp_path / "state", noise_nats=noise_nats) as (engine, url):
        train_on(url, kind, run)
        assert engine.names().count("forward") == 1  # the first photo was seen
    assert len(rows_of(run)) == 2
    assert "Photos reach the model" in log_of(run)


def test_it_can_be_left_out(tmp_path: Path) -> None:
    with served(tmp_path / "state", blind=True) as (engine, url):
        train_on(url, "rl", tmp_path / "run", check_photos=False)
        assert "forward" not in engine.names()
    assert len(rows_of(tmp_path / "run")) == 2


@pytest.mark.parametrize("refusing", [{"no_forward": True}, {"refused_forward": 1}])
def test_a_service_that_cant_say_is_trained_on_and_that_is_put_down(
    tmp_path: Path, refusing: dict[str, Any]
) -> None:
    with served(tmp_path / "state", blind=True, **refusing) as (_, url):
        train_on(url, "sft", tmp_path / "run")
    assert len(rows_of(tmp_path / "run")) == 2
    assert "couldn't be checked" in log_of(tmp_path / "run")


def test_a_renderer_that_makes_no_examples_keeps_nobody_from_rl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Example:
        raise RenderError("The chat template can't say where an answer is.")

    monkeypatch.setattr(ExampleMaker, "about", refuse)
    with served(tmp_path / "state") as (_, url):
        train_on(url, "rl", tmp_path / "run")
    assert len(rows_of(tmp_path / "run")) == 2
    assert "couldn't be checked: The chat template" in log_of(tmp_path / "run")


def test_a_run_that_goes_on_isnt_checked_again(tmp_path: Path) -> None:
    with served(tmp_path / "state") as (engine, url):
        train_on(url, "sft", tmp_path / "run", save_every=1)
        engine.blind = True
        settings = settings_for(url, tmp_path / "run", save_every=1, test_size=0)
        asyncio.run(
            sft.run(SFTConfig(**settings, behavior_if_log_dir_exists="resume", max_steps=2))
        )
        assert engine.names().count("forward") == 1


def test_the_tiny_model_sees(url: str, tmp_path: Path) -> None:
    """The real engine: what is measured is far from the bound."""
    asyncio.run(sft.run(SFTConfig(**small(url, tmp_path / "run", max_steps=1, test_size=0))))
    [line] = [one for one in log_of(tmp_path / "run").splitlines() if "Photos reach" in one]
    assert float(line.split(" by ")[1].split()[0]) > 100 * LEAST_NATS


def test_only_the_answer_counts_and_chance_sets_the_bound() -> None:
    learned_N = np.array([0, 1, 1, 0], np.float32)
    example = Example(tinker.ModelInput(chunks=[]), np.zeros(4, np.int64), learned_N)
    first = np.array([-1, -2, -3, -4], np.float32)
    again = first + np.array([5, 0.2, 0, 5], np.float32)
    for moved, blind in ((0.28, True), (0.32, False)):
        other = first + np.array([9, 0, moved, 9], np.float32)
        found = sight_of(example, [first, other, again])
        assert found.by_chance == approx(0.1, abs=1e-6)
        assert found.by_photo == approx(moved / 2, abs=1e-6)
        assert found.is_blind == blind
    assert MARGIN == 1.5
    assert Sight(LEAST_NATS, 0.0).is_blind
    assert not Sight(2 * LEAST_NATS, 0.0).is_blind


@pytest.mark.parametrize(("effect_nats", "most_refused"), [(0.3, 0.01), (0.0, 1.0)])
def test_noise_as_of_hosted_models_refuses_hardly_any_that_sees(
    effect_nats: float, most_refused: float
) -> None:
    """Tokens that differ each time they are asked for by some tenth of a nat."""
    draws = np.random.default_rng(7)
    example = Example(tinker.ModelInput(chunks=[]), np.zeros(40, np.int64), np.ones(40, np.float32))

    def is_refused() -> bool:
        for _ in range(WEIGHED):
            first, other, again = draws.normal(0.0, 0.1, (3, 40)).astype(np.float32)
            other += draws.normal(0.0, effect_nats, 40)
            if not sight_of(example, [first, other, again]).is_blind:
                return False
        return True

    refused = np.mean([is_refused() for _ in range(400)])
    assert refused <= most_refused
    assert effect_nats or refused > 0.95


def test_a_negative_has_the_size_and_the_opposite_colours() -> None:
    photo = prepare_image(make_photo("one"))
    other = negative(photo)
    assert (other.width, other.height) == (photo.width, photo.height)
    shown, turned = (
        np.asarray(Image.open(io.BytesIO(one.data)).convert("RGB"), np.float64)
        for one in (photo, other)
    )
    assert np.abs(255 - shown - turned).mean() < 3
