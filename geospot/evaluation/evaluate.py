"""One evaluation from configuration to summary: what `geospot eval` runs."""

import asyncio
import re
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from geospot.config.evaluation import EvalConfig
from geospot.data.dataset import GeoDataset
from geospot.data.progress import Progress, silent
from geospot.data.sample import GeoSample
from geospot.data.selection import Selection
from geospot.errors import GeospotError, ResultFormatError
from geospot.evaluation.backend import Backend
from geospot.evaluation.budget import CostCap
from geospot.evaluation.canary import Canary, ask_canary
from geospot.evaluation.fleet import Fleet
from geospot.evaluation.fleet_worker import Order
from geospot.evaluation.harness import Harness, Settings, Stats
from geospot.evaluation.manifest import dataset_section, make_manifest
from geospot.evaluation.opening import (
    asked_as_trained,
    make_backend,
    open_selection,
    recorded_prompt,
)
from geospot.evaluation.progress import View
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.results import RESULTS, SUMMARY, ResultDirectory, read_json
from geospot.evaluation.sessions import seconds_asking
from geospot.evaluation.standing import section
from geospot.evaluation.summary import summarise
from geospot.outcomes import Outcome
from geospot.prompts import Prompt
from geospot.provenance import versions
from geospot.stopsignals import stop_signals
from geospot.textsafe import printable

_BEAT_S: Final = 0.25
_EVENT_EVERY_S: Final = 10.0
# Not part of what was evaluated: how the command was run this time.
_NOT_RECORDED: Final = {"out", "resume", "dry_run", "backend", "model", "base_url"}

Ending = Literal["complete", "incomplete", "interrupted"]


@dataclass(frozen=True, slots=True)
class Finished:
    """How an evaluation ended."""

    directory: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    ending: Ending
    reason: str | None = None
    """Why it stopped before its end."""


async def evaluate(
    config: EvalConfig,
    view: View,
    *,
    progress: Progress = silent,
    settings: Settings | None = None,
    handle_signals: bool = True,
    process: Mapping[str, Any] | None = None,
) -> Finished:
    """Asks what is still open, records every answer and writes the summary.

    Args:
        config: what to ask whom.
        view: told what is going on.
        progress: told of long work on the data set.
        settings: replaces what follows from the configuration; for tests.
        handle_signals: Ctrl-C means: finish what is under way. False where that is the caller's
            business; who then cancels the evaluation can go on with it later.
        process: noted in the result directory, so that others can stop this process.

    Raises:
        GeospotError: before the first question, if the evaluation can't be done as asked.
    """
    backend = make_backend(config, tell=view.say)
    asked_as_trained(config, backend)  # a prompt that isn't there shows before anything is opened
    loop = asyncio.get_running_loop()
    # One thread for all the long work, since malloc keeps what a thread has freed for that thread:
    # the summary gets the memory that opening the data set took.
    worker = ThreadPoolExecutor(1, thread_name_prefix="geospot-work")
    try:
        if not _is_finished(config.out) or not config.resume or not backend.model:
            await backend.check()  # before the data set is walked: a wrong key shows at once
        config, prompt = asked_as_trained(config, backend, recorded=recorded_prompt(config.out))
        dataset, selection = await loop.run_in_executor(worker, open_selection, config, progress)
        try:
            manifest = await loop.run_in_executor(
                worker, _manifest, config, prompt, backend, selection
            )
            path = config.out or default_out(backend, selection.fingerprint)
            directory = ResultDirectory.open(path, manifest, resume=config.resume)
            try:
                run = _Run(config, prompt, backend, dataset, selection, directory, view)
                run.signals = stop_signals() if handle_signals else ()
                run.process = process
                return await run.go(worker, settings)
            finally:
                directory.close()
        finally:
            dataset.close()
    finally:
        worker.shutdown(wait=False)
        await backend.aclose()


def default_out(backend: Backend, fingerprint: str) -> Path:
    """results/{backend}-{model}-{8 characters of the fingerprint}."""
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", backend.model).strip("-.")[-80:]
    short = fingerprint.rpartition(":")[2][:8]
    return RESULTS / "-".join(filter(None, [backend.name, model, short]))


class _Run:
    """What one call of `evaluate` holds together."""

    def __init__(
        self,
        config: EvalConfig,
        prompt: Prompt,
        backend: Backend,
        dataset: GeoDataset,
        selection: Selection,
        directory: ResultDirectory,
        view: View,
    ) -> None:
        self.config = config
        self.prompt = prompt
        self.backend = backend
        self.dataset = dataset
        self.selection = selection
        self.directory = directory
        self.view = view
        self.total = len(selection) * config.samples
        self.done = bytearray(self.total)
        self.stats = Stats(total=self.total)
        self.cost = CostCap(config.max_cost, price=config.cost_usd)
        self.manifest = directory.manifest() or {}
        self.bug: BaseException | None = None
        self.signals: tuple[signal.Signals, ...] = stop_signals()
        self.process: Mapping[str, Any] | None = None

    async def go(self, worker: Executor, settings: Settings | None) -> Finished:
        """Session from start to summary, which is made in a worker."""
        self._take_stock()
        left = self.total - sum(self.done)
        harness = self._asker(settings or _settings(self.config))
        if left:
            if self.config.samples > 1 and self.config.temperature == 0.0:
                self.view.warn("At temperature 0 the answers to an image will hardly differ.")
            if left < self.total:
                self.view.say(f"Resuming: {self.total - left} answers are there, {left} to ask.")
            self.directory.event("session", pending=left, versions=versions(), process=self.process)
            self._warn_of_another_version()
            try:
                self._record_canary(await self._canary())
                await self._ask(harness)
            finally:
                self.manifest["backend"] |= self.backend.describe()
                if isinstance(harness, Fleet):
                    self.manifest["backend"] |= harness.described
                self.directory.write_manifest(self.manifest)
                self.directory.event("session_end", stopped_by=harness.stopped_by)
        elif self._canary_is_due():
            self._record_canary(await self._canary())
        summary = await asyncio.get_running_loop().run_in_executor(worker, self._summarise)
        self.directory.write_summary(summary)
        if self.bug is not None:
            raise self.bug  # after everything that was answered is safe
        if self.stats.cut_off:
            self.view.warn(
                f"{self.stats.cut_off} answers were cut off at {self.config.max_tokens} tokens before "
                "their coordinates, and count as failures; --max-tokens sets the limit."
            )
        ending = _ending(harness, summary)
        reason = str(harness.failure) if harness.failure else harness.stopped_by
        if ending == "complete":
            reason = None  # whatever stopped it came after the last answer
        return Finished(self.directory.path, self.manifest, summary, ending, reason)

    def _take_stock(self) -> None:
        """Finds out from the directory what needn't be asked again."""
        index: dict[str, int] = {}
        for record in self.directory.records():
            index = index or {id_: at for at, id_ in enumerate(self.selection.table.ids)}
            at = self._place_of(record, index)
            if record.outcome is Outcome.TRANSPORT_ERROR:
                continue
            self.done[at] = 1
            self.stats.add(record)
            self.cost.spent_usd += self.cost.of(record.usage)
        self.stats.spent_usd = self.cost.spent_usd

    def _place_of(self, record: SampleRecord, index: Mapping[str, int]) -> int:
        """Where an answer belongs among all that are asked for."""
        k = self.config.samples
        if record.id not in index or not 0 <= record.draw < k:
            raise ResultFormatError(
                f"{self.directory.path} has an answer {record.draw} to {printable(record.id)!r}, which "
                "isn't asked here.",
                "Something else wrote into it; --no-resume sets it aside.",
            )
        return index[record.id] * k + record.draw

    def _pending(self) -> Iterator[tuple[GeoSample, int]]:
        """What is open, with the photo's row."""
        k = self.config.samples
        for at, sample in enumerate(self.selection.table):
            for draw in range(k):
                if not self.done[at * k + draw]:
                    yield sample, draw

    def _open(self) -> Iterator[tuple[int, int]]:
        """What is open, with the photo's place in the selection."""
        return (divmod(at, self.config.samples) for at, done in enumerate(self.done) if not done)

    def _asker(self, settings: Settings) -> Harness | Fleet:
        """Who asks: this process, or workers on a Ray cluster."""
        if self.config.engine == "ray":
            return Fleet(
                Order(self.config, self.prompt, self.selection.fingerprint, settings),
                workers=self.config.workers,
                address=self.config.ray_address,
                on_record=self.directory.append,
                on_event=self.directory.event,
                cost=self.cost,
                stats=self.stats,
                tell=self.view.say,
            )
        return Harness(
            self.backend,
            self.dataset,
            self.prompt,
            settings,
            on_record=self.directory.append,
            on_event=self.directory.event,
            cost=self.cost,
            stats=self.stats,
        )

    async def _canary(self) -> Canary | None:
        """The canary's result, None where an earlier session's still holds or nobody asks for one."""
        before: Mapping[str, Any] = self.manifest.get("canary") or {}
        if before.get("passed") or not self._has_canary():
            return None
        if before.get("passed") is False and self.stats.done:
            self.view.warn(
                "The canary had failed before the answers that are there: they may have been given "
                "blindly, and the result stays marked. --no-resume begins anew."
            )
            return None
        self.view.say("Canary: sending two pictures with a number to read.")
        return await ask_canary(self.backend, seed=self.selection.fingerprint)

    def _has_canary(self) -> bool:
        return self.config.canary and self.backend.remote and self.backend.needs_image

    def _canary_is_due(self) -> bool:
        """Whether the server failed when an earlier session sent the canary: nothing is known yet."""
        before: Mapping[str, Any] = self.manifest.get("canary") or {}
        return self._has_canary() and bool(before.get("asked")) and before.get("passed") is None

    def _warn_of_another_version(self) -> None:
        """Answers read by two parsers don't belong into one summary."""
        made_with = section(section(self.manifest, "rescored") or self.manifest, "versions")
        before = made_with.get("geospot")
        if self.stats.done and before != versions()["geospot"]:
            self.view.warn(
                f"The answers that are there were read by geospot {before}. When all are asked, run "
                f"`geospot rescore {self.directory.path}` to read all of them alike."
            )

    def _record_canary(self, canary: Canary | None) -> None:
        if canary is None:
            return
        self.manifest["canary"] = canary.to_json()
        self.directory.write_manifest(self.manifest)
        if canary.asked:
            self.directory.event("canary", passed=canary.passed, detail=canary.detail)
        if canary.asked and canary.passed is None:
            self.view.warn(f"The canary got no answer ({canary.detail}); a later run asks again.")
        if canary.passed is False:
            self.view.warn(
                "THE CANARY FAILED: the backend could not read a number in either of two pictures. "
                f"Perhaps no image reaches the model ({canary.detail}). "
                "The result will be marked and not ranked."
            )

    async def _ask(self, harness: Harness | Fleet) -> None:
        """Runs the harness under a live display, with Ctrl-C meaning: finish what is under way."""
        running = (
            harness.run(self._open())
            if isinstance(harness, Fleet)
            else harness.run(self._pending())
        )
        asking = asyncio.create_task(running)

        def interrupt(number: signal.Signals) -> None:
            if harness.stopped_by == "interrupted":
                if number is not signal.SIGHUP:  # a terminal that goes away sends it twice
                    asking.cancel()
                return
            self.stats.waiting_for = "stopping: requests under way are finished; again to drop them"
            harness.stop("interrupted")

        loop = asyncio.get_running_loop()
        for number in self.signals:
            loop.add_signal_handler(number, interrupt, number)
        try:
            with self.view.live(self.stats, harness.limiter) as draw:
                spoken = time.monotonic()
                while not asking.done():
                    await asyncio.wait([asking], timeout=_BEAT_S)
                    draw()
                    if time.monotonic() - spoken >= _EVENT_EVERY_S:
                        spoken = time.monotonic()
                        self.directory.event(
                            "progress", done=self.stats.done, window=int(harness.limiter.window)
                        )
        finally:
            for number in self.signals:
                loop.remove_signal_handler(number)
            asking.cancel()
        if not asking.cancelled():
            self.bug = asking.exception()

    def _summarise(self) -> dict[str, Any]:
        return summarise(
            self.directory.records(),
            n=len(self.selection),
            fingerprint=self.selection.fingerprint,
            samples=self.config.samples,
            canary=self.manifest.get("canary"),
            seconds=seconds_asking(self.directory.path),
            price_in=self.config.price_in,
            price_out=self.config.price_out,
        )


def _ending(harness: Harness | Fleet, summary: Mapping[str, Any]) -> Ending:
    if summary["complete"]:
        return "complete"
    return "interrupted" if harness.stopped_by == "interrupted" else "incomplete"


def _is_finished(out: Path | None) -> bool:
    """Whether the directory already has a complete summary, so that nothing will be asked."""
    if out is None:
        return False
    try:
        summary = read_json(out / SUMMARY)
    except GeospotError:
        return False  # opening the directory will say what is wrong with it
    return bool(summary and summary.get("complete"))


def _settings(config: EvalConfig) -> Settings:
    return replace(
        Settings(),
        concurrency=config.concurrency,
        rpm=config.rpm,
        tpm=config.tpm,
        max_retries=config.max_retries,
        max_image_size=config.max_image_size,
        max_tokens=config.max_tokens,
    )


def _manifest(
    config: EvalConfig, prompt: Prompt, backend: Backend, selection: Selection
) -> dict[str, Any]:
    who = {"name": backend.name, "model": backend.model, "needs_image": backend.needs_image}
    return make_manifest(
        backend=who | backend.describe(),
        dataset=dataset_section(config.dataset, selection),
        prompt=prompt,
        config=config.model_dump(mode="json", exclude=_NOT_RECORDED),
    )
