"""Whole RL runs over a scripted engine: what a person is told, what is on record, and how runs end."""

import asyncio
import math
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from geospot.config.learning import RLConfig
from geospot.data import GeoDataset, GeoSample
from geospot.errors import (
    BackendError,
    DivergedError,
    GeospotError,
    ImageError,
    TooFewRolloutsError,
)
from geospot.images import PreparedImage
from geospot.learning.display import Draw, Shown, SilentView
from geospot.learning.photos import open_training_data, read_photo
from geospot.learning.session import Finished
from geospot.rl.collapse import FailingStreak
from geospot.rl.divergence import Divergence
from geospot.runs.checkpoints import choose_checkpoint
from geospot.runs.rollouts import RolloutReader
from geospot.train import run
from tests.support.approx import approx
from tests.support.geo_rollouts import group_of
from tests.support.learning import break_photos, checkpoint_rows, rows_of
from tests.support.scripted_engine import BASE
from tests.support.training_engine import served, settings_for

HERE, THERE = "Latitude: 10.0\nLongitude: 20.0", "Latitude: -30.0\nLongitude: 140.0"
APART = {"texts": [HERE, THERE]}
"""Answers of different worth, so that there is something to learn from every photo."""


class View(SilentView):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.warned: list[str] = []
        self.shown: dict[int, Shown] = {}

    def warn(self, message: str) -> None:
        self.warned.append(message)

    @contextmanager
    def live(self, start: int, total: int) -> Generator[Draw]:
        del start, total

        def draw(done: int, shown: Shown) -> None:
            self.shown[done] = shown

        yield draw


def _train(tmp_path: Path, engine: dict[str, Any], **changed: Any) -> tuple[Finished, View]:
    view = View()
    with served(tmp_path / "state", **engine) as (_, url):
        settings = {"coord_tau": [20_000.0], "warmup_steps": 0, **changed}
        config = RLConfig(**settings_for(url, tmp_path / "run", **settings))
        return asyncio.run(run(config, view)), view


def _fails(
    error: type[GeospotError], tmp_path: Path, engine: dict[str, Any], **changed: Any
) -> GeospotError:
    with pytest.raises(error) as caught:
        _train(tmp_path, engine, **changed)
    return caught.value


def _names(tmp_path: Path) -> list[str]:
    path = tmp_path / "run" / "checkpoints.jsonl"
    return [row["name"] for row in checkpoint_rows(tmp_path / "run")] if path.is_file() else []


def _told(view: View, words: str) -> int:
    return sum(words in line for line in view.warned)


def test_what_a_person_has_to_know_is_told_and_what_was_used_is_priced(tmp_path: Path) -> None:
    prices = {"price_prefill": 1.0, "price_sample": 2.0, "price_train": 3.0}
    done, view = _train(tmp_path, APART, max_steps_off_policy=3, rollouts_every=2, **prices)
    assert (done.steps, done.exit_code) == (6, 0)
    assert _told(view, "Not one rollout") == 0
    assert _told(view, "sets no bound to how much one answer may count") == 1
    assert _told(view, "log-probabilities don't agree with those of training") == 1
    last = rows_of(tmp_path / "run")[5]
    used = [last[f"tokens/{kind}"] for kind in ("prefill", "cached_prefill", "sample", "train")]
    assert last["cost/usd"] == approx(
        sum(count * price for count, price in zip(used, (1, 1, 2, 3), strict=True)) / 1e6
    )
    reader = RolloutReader(tmp_path / "run")
    reader.look()
    assert reader.steps == [0, 2, 4]


def test_a_reward_that_says_nothing_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot.rl.tau.TINY_MODELS", {BASE})
    _, view = _train(tmp_path, {}, coord_tau=[25.0], max_steps=1)
    assert _told(view, "gets hardly any signal") == 1


def test_a_model_that_says_the_same_everywhere_is_warned_of(tmp_path: Path) -> None:
    _, view = _train(tmp_path, {}, batch_size=4, group_size=16, max_steps=3)
    assert _told(view, "seems to have collapsed: 100% of its last") == 1


def test_with_too_few_rollouts_what_was_learned_is_saved(tmp_path: Path) -> None:
    error = _fails(TooFewRolloutsError, tmp_path, APART | {"silent_after": 2})
    assert "Of the 8 rollouts of step 2 only 0 came back" in error.message
    assert _names(tmp_path) == ["000002"]
    assert list(rows_of(tmp_path / "run")) == [0, 1]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"max_steps_off_policy": 2, "save_every": 3},
        {"replay_hard": 0.5, "max_steps": 6},  # one new photo a step
    ],
)
def test_a_step_of_broken_photos_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """A run that ended there would come to the same photos again whenever it went on."""
    config = RLConfig(**settings_for("", tmp_path / "run"))
    break_photos(monkeypatch, config, steps=(0, 3))
    done, view = _train(tmp_path, APART, **more)
    assert (done.steps, done.exit_code) == (6, 0)
    rows = rows_of(tmp_path / "run")
    assert list(rows) == [0, 1, 2, 3, 4, 5]
    assert rows[0]["rollouts/returned"] == rows[0]["optim/substeps"] == 0
    assert rows[0]["rollouts/lost"] > 0
    empty = [step for step in rows if not rows[step]["rollouts/returned"]]
    assert empty == ([0, 1] if "replay_hard" in more else [0, 3])
    log = (tmp_path / "run" / "logs.log").read_text()
    assert "Step 0: 1 photo lost" in log
    assert "can't be decoded" in log
    assert _told(view, "Not one rollout") == 0


def test_broken_photos_are_not_rollouts_that_the_service_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three photos two are broken, and the third is answered."""
    settings = settings_for("", tmp_path / "run", batch_size=3, max_samples=12)
    data = open_training_data(RLConfig(**settings))
    sound = {data.samples[at].id for at in data.order(0).batch(0, 3)[:1]}

    def read(dataset: GeoDataset, sample: GeoSample, max_side: int | None) -> PreparedImage:
        if sample.id not in sound:
            raise ImageError("The image can't be decoded.")
        return read_photo(dataset, sample, max_side)

    monkeypatch.setattr("geospot.rl.geo_env.read_photo", read)
    done, _ = _train(tmp_path, APART, batch_size=3, max_steps=1, min_rollouts=1.0)
    assert done.steps == 1


def test_too_many_broken_photos_in_a_row_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RLConfig(**settings_for("", tmp_path / "run"))
    monkeypatch.setattr("geospot.rl.grpo.BROKEN_AT_MOST", 2 * config.batch_size)
    break_photos(monkeypatch, config, steps=(1, 2))
    error = _fails(TooFewRolloutsError, tmp_path, APART)
    assert "of step 2 only 0 came back" in error.message
    assert list(rows_of(tmp_path / "run")) == [0, 1]


def test_a_service_that_tells_no_log_probabilities_of_a_text_is_a_sentence(tmp_path: Path) -> None:
    error = _fails(BackendError, tmp_path, APART, kl_penalty_coef=0.1, kl_reference="start")
    assert re.search(r"The service told 0 of \d+ log-probabilities of the start", error.message)
    assert "kl_penalty_coef=0" in error.advice


def test_a_gradient_that_is_no_number_leaves_the_weights_before_it(tmp_path: Path) -> None:
    error = _fails(DivergedError, tmp_path, APART | {"refused": 1})
    assert "The weights that are left are saved as diverged-000000." in error.message
    (row,) = checkpoint_rows(tmp_path / "run")
    assert row["diverged"]
    assert row["state_path"]


def test_answers_without_finite_log_probabilities_end_the_run(tmp_path: Path) -> None:
    error = _fails(DivergedError, tmp_path, APART | {"logprob": math.nan})
    assert "no finite numbers" in error.message
    assert "lower learning_rate" in error.advice
    assert _names(tmp_path) == []


def test_a_model_that_is_destroyed_is_warned_of_and_ends_the_run_set_aside(tmp_path: Path) -> None:
    engine = APART | {"spoilt_after": 3}
    view = View()
    with served(tmp_path / "state", **engine) as (_, url):
        more = {"batch_size": 4, "group_size": 8, "max_samples": 200, "save_every": 2}
        settings = settings_for(url, tmp_path / "run", coord_tau=[20_000.0], **more)
        with pytest.raises(
            DivergedError, match="not one of 320 rollouts gave coordinates"
        ) as caught:
            asyncio.run(run(RLConfig(**settings), view))
    assert "saved as diverged-000012" in caught.value.message
    # Steps that came to nothing pushed no older checkpoint out.
    assert _names(tmp_path) == ["000002", "diverged-000012"]
    assert choose_checkpoint(tmp_path / "run").name == "000002"


def test_a_model_that_hardly_answers_is_warned_of(tmp_path: Path) -> None:
    texts = [HERE, *["Who knows"] * 19]
    done, view = _train(tmp_path, {"texts": texts}, batch_size=4, group_size=20, max_steps=3)
    assert done.exit_code == 0
    assert _told(view, "hardly answers: of its last 80 rollouts 76 gave no coordinates") == 1


def test_what_a_step_does_not_have_is_not_shown_from_one_before(tmp_path: Path) -> None:
    done, view = _train(tmp_path, APART | {"spoilt_after": 3})
    assert "entropy" in view.shown[3]
    assert "KL" in view.shown[3]
    assert view.shown[6].keys().isdisjoint({"entropy", "KL"})
    assert view.shown[6]["answered"] == "0%"
    assert _told(view, "Not one rollout of the last 3 steps gave coordinates") == 1
    assert "optim/entropy" not in done.figures


def test_few_rollouts_without_an_answer_end_nothing() -> None:
    photo = GeoSample("a", 0.0, 0.0, "a")
    failed, answered = [group_of(photo, ["no"] * 20)], [group_of(photo, ["no", HERE])]
    streak = FailingStreak()
    assert [streak.observe(failed, learns=False) for _ in range(12)] == [None] * 12
    assert streak.observe(failed, learns=False) is not None
    for groups, learns in ((answered, False), (failed, True), ([], False)):
        assert streak.observe(groups, learns=learns) is None
        assert streak.steps == 0
        assert [streak.observe(failed, learns=False) for _ in range(12)] == [None] * 12


def test_a_reference_that_fails_ends_the_run_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    penalties, asked = Divergence.penalties, 0

    async def fails_later(self: Divergence, groups: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise BackendError("The reference is gone.")
        return await penalties(self, groups)

    monkeypatch.setattr(Divergence, "penalties", fails_later)
    _fails(BackendError, tmp_path, APART)
    assert _names(tmp_path) == ["000003"]


def test_an_evaluation_that_cannot_be_done_ends_nothing(tmp_path: Path) -> None:
    done, view = _train(tmp_path, APART, eval_every=3, eval_hf_repo=str(tmp_path / "nowhere"))
    assert (done.steps, done.exit_code) == (6, 0)
    assert _told(view, "could not be done") == 3
