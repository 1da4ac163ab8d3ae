"""Evaluations of a run while it goes on: the harness of `geospot eval`, on a checkpoint of the moment."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from geospot.config.evaluation import EvalConfig
from geospot.config.learning import LearnConfig
from geospot.durable import WriteError
from geospot.errors import GeospotError, ResultMismatchError
from geospot.evaluation.evaluate import Finished, evaluate
from geospot.evaluation.harness import Stats
from geospot.evaluation.limiter import Gauge
from geospot.evaluation.metrics import HEADLINE
from geospot.evaluation.results import ASIDE, SUMMARY, read_json
from geospot.learning.keeping import discard
from geospot.learning.trainer import Trainer
from geospot.runs.checkpoints import RunCheckpoint
from geospot.runs.directory import RunDirectory
from geospot.runs.layout import EVALS, METRICS
from geospot.runs.tail import is_number, read_rows, step_of

_GEOSCORE: Final = "eval/geoscore"

Tell = Callable[[str], None]
"""Is told a sentence for the person at the terminal."""


def flattering(config: LearnConfig) -> str | None:
    """What a person must be told whose evaluations ask about the photos that are trained on; else None."""
    same = config.eval_hf_repo in (None, config.hf_repo) and config.eval_split == config.split
    if not same or not config.eval_every:
        return None
    return (
        f"Evaluations ask about the photos that are trained on (split {config.split} of "
        f"{config.hf_repo}): their figures flatter, and say nothing of other photos. Set eval_split or "
        "eval_hf_repo to photos that are held out."
    )


class RunEvaluator:
    """Evaluates the weights at some steps, beside the training.

    `begin` saves a sampler checkpoint of the moment and returns; the questions are asked while training
    goes on, one evaluation after the other. Each is a result directory of its own on a fixed selection,
    so that one which was interrupted goes on where it stood.

    One that can't be done is warned of and left open; nothing is wrong with the training.
    """

    def __init__(
        self,
        config: LearnConfig,
        trainer: Trainer[Any],
        directory: RunDirectory,
        *,
        total: int,
        tell: Tell,
        warn: Tell,
    ) -> None:
        self._config = config
        self._trainer = trainer
        self._directory = directory
        self._total = total
        self._tell = tell
        self._warn = warn
        self._running: asyncio.Task[None] | None = None
        self.latest: dict[str, float] = {}
        """Figures of the last evaluation that ended."""

    def is_due(self, step: int) -> bool:
        """Whether the weights after `step` steps are evaluated: before all, every so often, after all."""
        every = self._config.eval_every
        return every > 0 and (step % every == 0 or step == self._total)

    def begin(self, step: int) -> None:
        """Evaluates the weights as they are now, if it is time for that. Waits for nothing.

        Raises:
            WriteError: what an earlier evaluation found couldn't be written.
        """
        if self._running is not None and self._running.done():
            self._running.result()
        if self.is_due(step):
            saving = self._saving(step)
            self._running = asyncio.ensure_future(self._after(self._running, saving, step))

    async def rewind(self, step: int) -> None:
        """Goes on with what was left open when the run goes on at `step`.

        Evaluations of later steps are of weights that were lost: they are set aside.
        """
        lost = [row for row in self._checkpoints() if (row.batch or 0) > step]
        for row in lost:
            _set_aside(self._folder(row.batch or 0), f"before-resume-{step:06d}")
        await discard(self._trainer, self._directory, lost)
        told = self._told()
        for row in self._checkpoints():
            done = row.batch or 0
            if done < step and done not in told:
                self._running = asyncio.ensure_future(self._after(self._running, _known(row), done))

    async def finish(self) -> None:
        """Waits for what is under way.

        Raises:
            WriteError: what an evaluation found couldn't be written.
        """
        if self._running is not None:
            await self._running

    async def cancel(self) -> None:
        """Drops what is under way; a later run goes on with it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _saving(self, step: int) -> Awaitable[RunCheckpoint]:
        """The checkpoint of this evaluation: the one that is there after a resume, or a new one."""
        there = [row for row in self._checkpoints() if row.batch == step]
        if there:
            return _known(there[-1])
        return self._trainer.save(f"eval-{step:06d}", batch=step, kind="sampler")

    def _checkpoints(self) -> list[RunCheckpoint]:
        return [row for row in self._directory.checkpoints() if row.extra.get("evaluation")]

    def _told(self) -> set[int | None]:
        """Steps whose figures are on record: a summary may be there without them, after a kill."""
        rows = read_rows(self._directory.path / METRICS)
        return {step_of(row) for row in rows if is_number(row.get(_GEOSCORE))}

    def _folder(self, step: int) -> Path:
        return self._directory.path / EVALS / f"step-{step:06d}"

    async def _after(
        self, before: asyncio.Task[None] | None, saving: Awaitable[RunCheckpoint], step: int
    ) -> None:
        """Evaluates when the evaluation before has ended."""
        try:
            await self._evaluate_after(before, saving, step)
        except WriteError:
            raise
        except GeospotError as error:
            self._incomplete(step, f"could not be done: {error}")

    async def _evaluate_after(
        self, before: asyncio.Task[None] | None, saving: Awaitable[RunCheckpoint], step: int
    ) -> None:
        checkpoint = await saving
        if not checkpoint.extra.get("evaluation"):
            checkpoint = replace(checkpoint, extra={**checkpoint.extra, "evaluation": True})
            self._directory.add_checkpoint(checkpoint)
        if before is not None:
            await before
        if (summary := _complete_summary(self._folder(step))) is None:
            done = await self._evaluate(checkpoint, step)
            if done.ending != "complete":
                self._incomplete(step, f"is {done.ending}: {done.reason}")
                return
            summary = done.summary
        self._log(step, summary)

    def _incomplete(self, step: int, how: str) -> None:
        sentence = f"The evaluation at step {step} {how}"
        self._directory.log(sentence, level="WARNING")
        self._warn(sentence)

    async def _evaluate(self, checkpoint: RunCheckpoint, step: int) -> Finished:
        folder = self._folder(step)
        folder.parent.mkdir(exist_ok=True)
        config = self._eval_config(checkpoint, folder)
        view = _View(self._directory, f"Evaluation at step {step}")
        try:
            return await evaluate(config, view, handle_signals=False)
        except ResultMismatchError:
            # An embedded engine has another address every time, so what it began can't be gone on with.
            _set_aside(folder, "unfinished")
            return await evaluate(config, view, handle_signals=False)

    def _eval_config(self, checkpoint: RunCheckpoint, folder: Path) -> EvalConfig:
        config = self._config
        own = config.eval_hf_repo is None
        return EvalConfig(
            backend="tinker",
            model=f"{self._directory.path}@{checkpoint.name}",
            base_url=self._trainer.base_url,
            api_key_env=config.api_key_env,
            dataset=config.hf_repo if own else str(config.eval_hf_repo),
            split=config.eval_split,
            columns=config.columns if own else [],
            limit=config.eval_limit,
            max_tokens=config.max_tokens or 128,
            price_in=config.price_prefill,
            price_out=config.price_sample,
            canary=False,  # the model isn't a stranger: its photos are those it is trained on
            out=folder,
        )

    def _log(self, step: int, summary: Mapping[str, Any]) -> None:
        """The figures of a finished evaluation as a row of its step."""
        figures = {f"eval/{name}": float(summary["all"][name]) for name in HEADLINE}
        figures["eval/coverage"] = float(summary["coverage"])
        figures |= {f"eval/{name}": float(count) for name, count in summary["usage"].items()}
        if summary["cost_usd"]:
            figures["eval/cost_usd"] = float(summary["cost_usd"])
        self.latest = figures
        self._directory.metrics(step, figures)
        self._tell(
            f"Evaluation at step {step}: GeoScore {figures[_GEOSCORE]:.0f}, median "
            f"{figures['eval/median_km']:,.0f} km, answered {figures['eval/coverage']:.0%}"
        )


class _View:
    """The harness speaks into logs.log: the person has the training to watch."""

    def __init__(self, directory: RunDirectory, title: str) -> None:
        self._directory = directory
        self._title = title

    def say(self, message: str) -> None:
        self._directory.log(f"{self._title}: {message}")

    def warn(self, message: str) -> None:
        self._directory.log(f"{self._title}: {message}", level="WARNING")

    @contextmanager
    def live(self, stats: Stats, limiter: Gauge) -> Generator[Callable[[], None]]:
        del stats, limiter
        yield _nothing


def _nothing() -> None:
    return


async def _known(row: RunCheckpoint) -> RunCheckpoint:
    return row


def _complete_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of an evaluation that is there and complete."""
    try:
        summary = read_json(folder / SUMMARY)
    except GeospotError:
        return None
    return summary if summary and summary.get("complete") else None


def _set_aside(folder: Path, why: str) -> None:
    """Renames a result directory, with a number behind it where the name is taken."""
    if not folder.is_dir():
        return
    count, free = 0, folder.with_name(f"{folder.name}{ASIDE}{why}")
    while free.exists():
        count += 1
        free = folder.with_name(f"{folder.name}{ASIDE}{why}-{count}")
    folder.rename(free)
