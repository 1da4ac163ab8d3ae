"""Supervised runs through the real SDK on the embedded engine."""

import asyncio
import json
import logging
import shutil
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from geospot.config.learning import SFTConfig
from geospot.errors import (
    DivergedError,
    ModelNotFoundError,
    ResultMismatchError,
    UnreachableError,
    UsageError,
)
from geospot.learning import session, watching
from geospot.learning.display import Draw, Shown, SilentView
from geospot.learning.session import Finished
from geospot.learning.trainer import Trainer
from geospot.runs.checkpoints import choose_checkpoint, read_settings
from geospot.runs.heartbeat import read_heartbeat
from geospot.services import Endpoint, open_service, sdklog
from geospot.services.waiting import Allowance
from geospot.sft import run
from tests.support.approx import approx
from tests.support.evaluating import begin_geospot
from tests.support.learning import checkpoint_rows, rows_of, small
from tests.support.warm import Started

pytestmark = pytest.mark.timeout(900)  # a run takes seconds, or a minute in a crowd


def _train(url: str, log_path: Path, **changed: Any) -> Finished:
    settings = small(url, log_path, **changed)
    return asyncio.run(run(SFTConfig(**settings)))


@pytest.fixture(scope="module")
def whole(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that nothing interrupted."""
    log_path = tmp_path_factory.mktemp("runs") / "whole"
    done = _train(url, log_path, eval_every=6, keep_checkpoints=2)
    assert (done.steps, done.total, done.exit_code) == (12, 12, 0)
    return log_path


def test_the_loss_falls_and_is_on_record(whole: Path) -> None:
    rows = rows_of(whole)
    assert list(rows) == list(range(13))
    first, last = rows[0], rows[11]
    assert last["train_mean_nll"] < first["train_mean_nll"] - 1
    assert rows[12]["test/nll"] < rows[0]["test/nll"] - 1
    assert first["learning_rate"] == approx(3e-3 / 2, rel=0.02)
    assert [rows[step]["epoch"] for step in (0, 5, 6, 11)] == [0, 0, 1, 1]
    assert last["progress"] == 1
    assert last["tokens/train"] == sum(rows[step]["num_tokens"] for step in range(12))
    assert [step for step in rows if "test/nll" in rows[step]] == [0, 4, 8, 12]
    # Before the first update nearly every one of 512 tokens is as likely as any other.
    assert 5.5 < first["train_mean_nll"] < 8


def test_each_step_is_sent_with_its_rate(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[float] = []
    submit = Trainer[SFTConfig].submit

    async def noted(self: Trainer[SFTConfig], datums: Any, loss: Any, adam: Any) -> Any:
        sent.append(adam.learning_rate)
        return await submit(self, datums, loss, adam)

    monkeypatch.setattr(Trainer, "submit", noted)
    how = {"max_steps": 4, "warmup_steps": 2, "lr_schedule": "linear", "learning_rate": 1e-3}
    _train(url, tmp_path / "rates", eval_every=0, **how)
    assert sent == approx([5e-4, 7.5e-4, 5e-4, 2.5e-4])


def test_evaluations_before_between_and_after(whole: Path) -> None:
    rows = rows_of(whole)
    assert [step for step in rows if "eval/geoscore" in rows[step]] == [0, 6, 12]
    for step in (0, 6, 12):
        summary = json.loads((whole / "evals" / f"step-{step:06d}" / "summary.json").read_bytes())
        assert summary["complete"]
        assert summary["n"] == 6


def test_checkpoints_are_pruned_here_and_on_the_service(whole: Path, url: str) -> None:
    rows = checkpoint_rows(whole)
    kept = [row["name"] for row in rows if not row.get("evaluation")]
    assert kept == ["000006", "000009", "final"]
    assert rows[-1]["batch"] == 12
    with open_service(url) as service:
        found = service.ask("", lambda rest: rest.list_user_checkpoints(limit=500).result())
        there = {checkpoint.tinker_path for checkpoint in found.checkpoints}
    named = {row[key] for row in rows for key in ("state_path", "sampler_path") if key in row}
    run_id = rows[0]["sampler_path"].removeprefix("tinker://").partition("/")[0]
    assert {path for path in there if run_id in path} == named


def test_a_run_can_be_asked_as_it_was_trained(whole: Path) -> None:
    settings = read_settings(whole)
    assert settings.model_name == "geospot/tiny-vlm-scratch"
    assert settings.renderer_name == "qwen3_vl_instruct"
    assert settings.max_image_size == 512
    assert settings.prompt is not None
    assert settings.prompt.text == "Where was this photo taken?"
    assert choose_checkpoint(whole).name == "final"
    beat = read_heartbeat(whole)
    assert beat is not None
    assert (beat.state, beat.step, beat.total) == ("finished", 12, 12)


def test_killed_and_resumed_is_as_if_nothing_had_happened(
    whole: Path, url: str, tmp_path: Path
) -> None:
    settings = small(url, tmp_path / "run", eval_every=6, save_every=5)
    for _ in range(5):
        child = _start(settings)
        _wait_for_step(child, tmp_path / "run", 7)
        child.kill()
        child.communicate(timeout=120)
        if not any(row["name"] == "final" for row in checkpoint_rows(tmp_path / "run")):
            break
        shutil.rmtree(tmp_path / "run")  # it was done before this process had its turn

    child = _start(settings | {"behavior_if_log_dir_exists": "resume"})
    out, error = child.communicate(timeout=240)

    assert child.returncode == 0, error
    assert "from step" in error
    assert "12 of 12 steps done." in out
    resumed, expected = rows_of(tmp_path / "run"), rows_of(whole)
    assert list(resumed) == list(expected)
    for step, row in expected.items():
        assert list(resumed[step]) == list(row), step
        assert list(resumed[step].values()) == approx(list(row.values()), rel=1e-6), step


def test_stopped_by_a_signal_it_saves_and_goes_on_later(url: str, tmp_path: Path) -> None:
    # The evaluation of the starting weights is usually still under way when the signal comes.
    settings = small(url, tmp_path / "run", save_every=1000, eval_every=1000, eval_limit=60)
    child = _start(settings)
    _wait_for_step(child, tmp_path / "run", 2)
    child.send_signal(signal.SIGTERM)
    out, error = child.communicate(timeout=240)
    assert child.returncode == 143, error
    assert "stopped by SIGTERM" in out
    assert "Traceback" not in error
    (saved,) = [row for row in checkpoint_rows(tmp_path / "run") if "state_path" in row]
    assert 3 <= saved["batch"] < 12
    beat = read_heartbeat(tmp_path / "run")
    assert beat is not None
    assert beat.state == "stopped"
    assert beat.step == saved["batch"]

    settings["behavior_if_log_dir_exists"] = "resume"
    done = asyncio.run(run(SFTConfig(**settings)))

    assert (done.steps, done.exit_code) == (12, 0)
    rows = rows_of(tmp_path / "run")
    assert list(rows) == list(range(13))
    assert [step for step in rows if "eval/geoscore" in rows[step]] == [0, 12]


def test_a_finished_run_has_nothing_left_to_do(whole: Path, url: str) -> None:
    before = rows_of(whole)
    done = _train(url, whole, eval_every=6, behavior_if_log_dir_exists="resume")
    assert done.steps == 12
    assert rows_of(whole) == before


def test_an_evaluation_that_ended_just_before_a_kill_is_put_on_record(
    whole: Path, url: str, tmp_path: Path
) -> None:
    run_path = tmp_path / "run"
    shutil.copytree(whole, run_path)
    metrics = run_path / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    evaluated = [line for line in lines if "eval/geoscore" in line and '"step":6,' in line]
    assert len(evaluated) == 1
    metrics.write_text("".join(line for line in lines if line not in evaluated))

    _train(url, run_path, eval_every=6, behavior_if_log_dir_exists="resume")

    assert rows_of(run_path) == rows_of(whole)


def test_other_photos_than_those_it_began_with_are_refused(
    whole: Path, url: str, tmp_path: Path
) -> None:
    run_path = tmp_path / "run"
    shutil.copytree(whole, run_path)
    rows = checkpoint_rows(run_path)
    (began_with,) = {row["fingerprint"] for row in rows if "fingerprint" in row}
    checkpoints = run_path / "checkpoints.jsonl"
    checkpoints.write_text(checkpoints.read_text().replace(began_with, "0" * 64))

    with pytest.raises(ResultMismatchError, match="other photos are selected"):
        _train(url, run_path, eval_every=6, behavior_if_log_dir_exists="resume")


def test_another_configuration_is_refused(whole: Path, url: str) -> None:
    with pytest.raises(ResultMismatchError, match="learning_rate"):
        _train(url, whole, learning_rate=1e-5, behavior_if_log_dir_exists="resume")
    with pytest.raises(UsageError, match="already holds a run"):
        _train(url, whole)


def test_what_diverges_stops_and_is_not_gone_on_from(url: str, tmp_path: Path) -> None:
    log_path = tmp_path / "run"
    with pytest.raises(DivergedError, match="diverged-0000") as caught:
        _train(url, log_path, learning_rate=1e30, warmup_steps=0, save_every=1)
    assert "learning_rate" in caught.value.advice
    rows = checkpoint_rows(log_path)
    lost = rows[-1]
    assert lost["diverged"]
    assert lost["state_path"]
    assert not choose_checkpoint(log_path).diverged
    beat = read_heartbeat(log_path)
    assert beat is not None
    assert beat.state == "failed"
    assert "isn't finite" in beat.reason


class _After(SilentView):
    """Does something when some steps are done, and keeps the warnings."""

    def __init__(self, steps: int, what: Callable[[], None]) -> None:
        self.warned: list[str] = []
        self._steps = steps
        self._what = what

    def warn(self, message: str) -> None:
        self.warned.append(message)

    @contextmanager
    def live(self, start: int, total: int) -> Generator[Draw]:
        del start, total

        def draw(done: int, shown: Shown) -> None:
            del shown
            if done == self._steps:
                self._what()

        yield draw


def test_a_service_that_goes_ends_the_run_and_what_the_sdk_says_is_on_record(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(endpoint: Endpoint, allowance: Allowance) -> None:
        del endpoint, allowance
        raise UnreachableError("Nothing answers.")

    def go_away() -> None:
        logging.getLogger("tinker.lib.telemetry").warning("nobody listens")
        monkeypatch.setattr(watching, "probe", nobody)

    hasty = partial(watching.ended_if_away, every_s=0.05, give_up_s=0.3)
    monkeypatch.setattr(session, "ended_if_away", hasty)
    monkeypatch.setattr(sdklog, "_TELL_EVERY_S", 0.0)  # other tests' sessions speak up as well
    view = _After(2, go_away)
    settings = small(url, tmp_path / "run", num_epochs=100)

    with pytest.raises(UnreachableError, match="has been away"):
        asyncio.run(run(SFTConfig(**settings), view))

    log = (tmp_path / "run" / "logs.log").read_text()
    assert "WARNING The service is away" in log
    assert "WARNING tinker SDK: nobody listens" in log
    assert any("nobody listens; logs.log has the rest" in line for line in view.warned)
    beat = read_heartbeat(tmp_path / "run")
    assert beat is not None
    assert beat.state == "failed"
    assert "has been away" in beat.reason


def test_another_run_starts_from_its_weights(whole: Path, url: str, tmp_path: Path) -> None:
    done = asyncio.run(
        run(
            SFTConfig(
                **small(
                    url,
                    tmp_path / "next",
                    model_name=None,
                    load_checkpoint_path=str(whole),
                    max_samples=8,
                    num_epochs=1,
                    learning_rate=1e-5,
                )
            )
        )
    )
    assert done.total == 2
    assert rows_of(tmp_path / "next")[0]["test/nll"] < rows_of(whole)[0]["test/nll"] - 1
    settings = json.loads((tmp_path / "next" / "config.json").read_bytes())
    assert settings["model_name"] == "geospot/tiny-vlm-scratch"
    assert settings["lora_rank"] == 0


def test_a_start_that_makes_no_sense_is_told(whole: Path, url: str, tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, **changed: Any) -> None:
        config = SFTConfig(**small(url, tmp_path / "never", **changed))
        with pytest.raises(error, match=match):
            asyncio.run(Trainer[SFTConfig].open(config))

    refused(UsageError, "lora_rank is 8", load_checkpoint_path=str(whole), lora_rank=8)
    refused(UsageError, "no checkpoint 'x'", load_checkpoint_path=f"{whole}@x")
    refused(UsageError, "saved for sampling", load_checkpoint_path="tinker://a/sampler_weights/b")
    refused(ModelNotFoundError, "no checkpoint", load_checkpoint_path="tinker://a/weights/b")
    refused(UsageError, "can't be read", load_checkpoint_path=str(tmp_path))


def _start(settings: dict[str, Any]) -> Started:
    """`geospot sft` with these settings, in a process of its own."""
    return begin_geospot("sft", *(f"{key}={value}" for key, value in settings.items()))


def _wait_for_step(child: Started, log_path: Path, step: int) -> None:
    """Until that step is on record."""
    end_s = time.monotonic() + 240
    while not (log_path / "metrics.jsonl").is_file() or step not in rows_of(log_path):
        assert child.poll() in (None, 0), child.communicate()
        assert time.monotonic() < end_s, f"step {step} never came"
        time.sleep(0.02)
