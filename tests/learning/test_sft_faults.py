"""Supervised runs that end before their time: what is said, and what is saved."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
import tinker

from geospot.config.learning import SFTConfig
from geospot.data import GeoDataset, GeoSample
from geospot.errors import DataError, DivergedError, SourceUnavailableError
from geospot.images import PreparedImage
from geospot.learning.display import SilentView
from geospot.learning.photos import open_training_data, read_photo
from geospot.learning.steps import PendingStep, StepOutcome
from geospot.learning.trainer import Trainer
from geospot.sft import run
from tests.support.learning import break_photos, checkpoint_rows, rows_of
from tests.support.training_engine import served, settings_for


def _fails(tmp_path: Path, said: dict[str, Any], **changed: Any) -> tuple[str, list[str]]:
    """How a run ends that diverges, and what the loop complained of that nobody waited for."""
    complaints: list[str] = []

    async def go(url: str) -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        config = SFTConfig(**settings_for(url, tmp_path / "run", **changed))
        with pytest.raises(DivergedError) as caught:
            await run(config, SilentView())
        message = caught.value.message
        del caught
        gc.collect()
        await asyncio.sleep(0)
        return message

    with served(tmp_path / "state", **said) as (_, url):
        return asyncio.run(go(url)), complaints


def _names(tmp_path: Path) -> list[str]:
    path = tmp_path / "run" / "checkpoints.jsonl"
    return [row["name"] for row in checkpoint_rows(tmp_path / "run")] if path.is_file() else []


def test_weights_before_a_refused_step_are_saved_where_nothing_behind_it_was_done(
    tmp_path: Path,
) -> None:
    said, _ = _fails(tmp_path, {"gradient_s": 0.2, "refused": 2}, test_size=0)
    assert "The weights that are left are saved as diverged-000000." in said
    assert _names(tmp_path) == ["diverged-000000"]


def test_weights_that_hold_the_step_behind_a_refused_one_are_not_called_those_before_it(
    tmp_path: Path,
) -> None:
    said, _ = _fails(tmp_path, {"gradient_s": 0.2, "refused": 1}, test_size=0)
    assert "The weights have moved on since" in said
    assert _names(tmp_path) == []


@pytest.mark.parametrize("refused", [0, 2])
def test_a_test_nll_that_diverges_is_told_and_leaves_no_complaint(
    tmp_path: Path, refused: int
) -> None:
    said, complaints = _fails(
        tmp_path,
        {"gradient_s": 0.1, "refused": refused, "refused_forward": 9, "unsaved": "000001"},
        test_size=2,
        nll_every=1,
        save_every=1,
    )
    assert ("saved as diverged-000000" in said) == (refused == 2)
    assert complaints == []


def test_a_save_that_fails_does_not_hide_that_training_diverged(tmp_path: Path) -> None:
    said, complaints = _fails(tmp_path, {"refused": 2, "unsaved": "diverged"}, test_size=0)
    assert "not finite" in said
    assert "couldn't be saved: The service refuses to save the checkpoint diverged-000000" in said
    assert complaints == []


class _View(SilentView):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)


def test_photos_that_can_no_longer_be_had_end_the_run_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = _View()
    with served(tmp_path / "state", gradient_s=0.2) as (_, url):
        settings = settings_for(url, tmp_path / "run", test_size=0, max_retries=0)
        config = SFTConfig(**settings)
        data = open_training_data(config)
        away = {data.samples[at].id for at in data.order(config.seed).batch(3, config.batch_size)}

        def read(dataset: GeoDataset, sample: GeoSample, max_side: int | None) -> PreparedImage:
            if sample.id in away:
                raise SourceUnavailableError("The hub is asleep.")
            return read_photo(dataset, sample, max_side)

        monkeypatch.setattr("geospot.learning.supervised.read_photo", read)
        with pytest.raises(DataError, match=r"not one photo could be had.*asleep"):
            asyncio.run(run(config, view))
    assert list(rows_of(tmp_path / "run")) == [0, 1, 2]
    assert _names(tmp_path) == ["000003"]
    assert "Saved, after 3 of 6 steps." in view.said


def test_a_batch_of_broken_photos_is_passed_over_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ended there would come to the same batch again whenever it went on."""
    view = _View()
    with served(tmp_path / "state") as (engine, url):
        settings = settings_for(url, tmp_path / "run", nll_every=1)
        break_photos(monkeypatch, SFTConfig(**settings), steps=(0, 3))
        done = asyncio.run(run(SFTConfig(**settings), view))
    assert (done.steps, done.exit_code) == (6, 0)
    rows = rows_of(tmp_path / "run")
    assert list(rows) == [0, 1, 2, 3, 4, 5, 6]
    assert ["train_mean_nll" in rows[step] for step in range(6)] == [
        False, True, True, False, True, True,
    ]  # fmt: skip
    assert rows[0]["num_sequences"] == rows[3]["num_sequences"] == 0
    assert rows[5]["photos/lost"] == 2 * SFTConfig(**settings).batch_size
    assert all("test/nll" in rows[step] for step in range(7))
    assert engine.names().count("optim_step") == 4
    said = [line for line in view.warned if "trains nothing" in line]
    assert said == [
        f"Step {step} trains nothing: not one of its photos can be read." for step in (0, 3)
    ]
    log = (tmp_path / "run" / "logs.log").read_text()
    assert all(sentence in log for sentence in said)
    assert log.count("can't be decoded") == 2 * SFTConfig(**settings).batch_size


def test_too_many_broken_photos_in_a_row_end_the_run_and_it_goes_on_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path / "state") as (_, url):
        settings = settings_for(url, tmp_path / "run", test_size=0)
        size = SFTConfig(**settings).batch_size
        monkeypatch.setattr("geospot.sft.BROKEN_AT_MOST", 2 * size)
        break_photos(monkeypatch, SFTConfig(**settings), steps=(1, 2, 4))
        with pytest.raises(DataError, match=rf"not one photo could be had \({size} lost\)"):
            asyncio.run(run(SFTConfig(**settings)))
        assert list(rows_of(tmp_path / "run")) == [0, 1]
        settings["behavior_if_log_dir_exists"] = "resume"
        assert asyncio.run(run(SFTConfig(**settings))).steps == 6
    rows = rows_of(tmp_path / "run")
    assert [step for step in range(6) if "train_mean_nll" in rows[step]] == [0, 3, 5]


def test_an_evaluation_that_cannot_be_done_is_warned_of_and_training_goes_on(
    tmp_path: Path,
) -> None:
    view = _View()
    with served(tmp_path / "state") as (_, url):
        more = {"test_size": 0, "eval_every": 3, "eval_hf_repo": str(tmp_path / "nowhere")}
        done = asyncio.run(run(SFTConfig(**settings_for(url, tmp_path / "run", **more)), view))
    assert (done.steps, done.exit_code) == (6, 0)
    warned = [
        line for line in view.warned if not line.startswith("tinker SDK")
    ]  # other tests' sessions
    assert [line[:34] for line in warned] == [
        f"The evaluation at step {step} could not" for step in (0, 3, 6)
    ]
    assert "WARNING The evaluation at step 3" in (tmp_path / "run" / "logs.log").read_text()
    assert "final" in _names(tmp_path)


def test_the_next_step_is_sent_before_the_one_under_way_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    submit, result = Trainer[SFTConfig].submit, PendingStep.result

    async def submitted(self: Trainer[SFTConfig], *what: Any) -> PendingStep:
        order.append("sent")
        return await submit(self, *what)

    async def waited(self: PendingStep) -> StepOutcome:
        order.append("waited for")
        return await result(self)

    monkeypatch.setattr(Trainer, "submit", submitted)
    monkeypatch.setattr(PendingStep, "result", waited)
    with served(tmp_path / "state") as (_, url):
        settings = settings_for(url, tmp_path / "run", test_size=0)
        asyncio.run(run(SFTConfig(**settings), SilentView()))
    assert order == ["sent", *["sent", "waited for"] * 5, "waited for"]


def test_the_service_is_told_how_long_to_keep_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, list[int | None]] = {}

    def noted(method: str) -> None:
        send = getattr(tinker.TrainingClient, method)

        def sent(self: Any, name: str, ttl_seconds: int | None, *rest: Any, **more: Any) -> Any:
            told.setdefault(name, []).append(ttl_seconds)
            return send(self, name, ttl_seconds, *rest, **more)

        monkeypatch.setattr(tinker.TrainingClient, method, sent)

    noted("save_state")
    noted("save_weights_for_sampler")
    with served(tmp_path / "state") as (_, url):
        more = {"test_size": 0, "save_every": 4, "ttl_days": 2.0}
        asyncio.run(run(SFTConfig(**settings_for(url, tmp_path / "run", **more)), SilentView()))
    assert told == {"000004": [172_800] * 2, "final": [None] * 2}
