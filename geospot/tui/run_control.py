"""Keys that control a run, for every screen that shows runs: stop, go on, branch, evaluate, set aside."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType

from geospot.durable import ASIDE, set_aside
from geospot.errors import UsageError
from geospot.runs.catalogue import Catalogue
from geospot.runs.checkpoints import RunCheckpoint, read_checkpoints
from geospot.textsafe import printable
from geospot.tui.screen import GeoScreen
from geospot.tui.widgets.choose import Choose
from geospot.tui.widgets.confirm import ask

if TYPE_CHECKING:
    from geospot.runs.launching import Launched

_LIVE_WITHIN_S: Final = 180.0
_POLL_S: Final = 0.5

OVER: Final = ("finished", "stopped", "failed", "died")
"""What becomes of runs that are over."""


class RunControls(GeoScreen):
    """A screen from which runs are controlled. Subclasses say which run is meant."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop_run", "Stop", tooltip="Finish the step, save a checkpoint, end"),
        Binding("S", "stop_run_now", "Stop now", show=False, tooltip="End at once, without saving"),
        Binding("R", "resume_run", "Resume", tooltip="Go on from the newest checkpoint"),
        Binding("b", "branch_run", "Branch", tooltip="A new run from one of its checkpoints"),
        Binding("e", "evaluate_run", "Evaluate", tooltip="Score one of its checkpoints"),
        Binding(
            "d",
            "set_run_aside",
            "Set aside",
            show=False,
            tooltip="Rename its folder; nothing is lost",
        ),
    ]

    def standing_now(self) -> str:
        """What has become of the run that the keys are about; empty where that isn't known."""
        return ""

    def host_now(self) -> str:
        """The machine that the run belongs to, where it isn't this one; empty where it is."""
        return ""

    def is_offered(self, action: str) -> bool:
        """What is over can't be stopped, nor what runs elsewhere; and what is going on can't go on."""
        standing = self.standing_now()
        if action in ("stop_run", "stop_run_now"):
            return standing not in OVER and not self.host_now()
        if action == "resume_run":
            return standing not in ("running", "silent", "finished")
        return action != "set_run_aside" or standing not in ("running", "silent")

    def chosen_run(self) -> Path | None:
        """The run that the keys are about, None where there is none."""
        raise NotImplementedError

    def run_set_aside(self, run: Path) -> None:
        """Told when a run's folder has got another name."""

    def action_stop_run(self) -> None:
        """Asks a run to stop after its step."""
        from geospot.runs.control import stop

        self._refuse_to_stop()
        self._ask_and(
            stop, "Stop {}?", "It finishes its step, saves a checkpoint and ends. R goes on with it.",
            "Stop", "{} was asked to stop: it finishes its step and saves.",
        )  # fmt: skip

    def action_stop_run_now(self) -> None:
        """Ends a run's process."""
        from geospot.runs.control import stop_now

        self._refuse_to_stop()
        self._ask_and(
            stop_now, "Stop {} at once?",
            "Its process is ended without saving: steps since the last checkpoint are lost.",
            "Stop now", "{} was ended.",
        )  # fmt: skip

    def action_set_run_aside(self) -> None:
        """Renames a run's folder."""
        self._ask_and(
            _set_aside, "Set {} aside?",
            f"Its folder is renamed to NAME{ASIDE}DATE-TIME and leaves the list. Nothing is deleted.",
            "Set aside", "{} was set aside.", self.run_set_aside,
        )  # fmt: skip

    def action_resume_run(self) -> None:
        """Goes on with a run that is over."""
        if (run := self.chosen_run()) is not None:
            self.attempt(self._resume(run))

    def action_branch_run(self) -> None:
        """Opens the form for a new run from a checkpoint."""
        if (run := self.chosen_run()) is not None:
            question = "Branch off which checkpoint?"
            self.attempt(self._from_checkpoint(run, question, _can_go_on, self._branch))

    def action_evaluate_run(self) -> None:
        """Opens the form for an evaluation of a checkpoint."""
        if (run := self.chosen_run()) is not None:
            question = "Evaluate which checkpoint?"
            self.attempt(self._from_checkpoint(run, question, _can_be_asked, self._evaluate))

    def _refuse_to_stop(self) -> None:
        """Nobody is asked whether to stop what has ended, or what can't be stopped from here.

        Raises:
            UsageError: the run is over, or another machine's.
        """
        run, standing, host = self.chosen_run(), self.standing_now(), self.host_now()
        if run is not None and standing in OVER:
            raise UsageError(f"{run.name} is over: {standing}. There is nothing to stop.")
        if run is not None and host:
            raise UsageError(
                f"{run.name} belongs to {host}, and can only be watched from here.",
                "Stop it there.",
            )

    def _ask_and(
        self, act: Callable[[Path], object], question: str, what: str, yes: str, done: str,
        then: Callable[[Path], None] | None = None,
    ) -> None:  # fmt: skip
        run = self.chosen_run()
        if run is None:
            return

        async def work(run: Path) -> None:
            await self.geospot.reader.do(act, run)
            self.notify(done.format(printable(run.name)), markup=False)
            self.geospot.listing.look_soon()
            if then is not None:
                then(run)

        ask(self.geospot, question.format(run.name), what, lambda: self.attempt(work(run)), yes=yes)

    async def _resume(self, run: Path) -> None:
        from geospot.runs.control import resume

        launched = await self.geospot.reader.do(resume, run)
        self.notify(f"{printable(run.name)} goes on as process {launched.pid}.", markup=False)
        await self.follow(launched)

    async def follow(self, launched: "Launched") -> None:
        """Waits until a process that was started is on its way; it's said if it ends before.

        Raises:
            UsageError: with the process's last words.
        """
        for _ in range(int(_LIVE_WITHIN_S / _POLL_S)):
            trouble = await self.geospot.reader.do(launched.trouble)
            if trouble is not None:
                raise UsageError(f"geospot {launched.kind} ended at once: {trouble}")
            if await self.geospot.reader.do(launched.is_live):
                self.geospot.listing.look_soon()
                return
            await asyncio.sleep(_POLL_S)

    async def _from_checkpoint(
        self, run: Path, question: str, is_able: Callable[[RunCheckpoint], bool],
        go_on: Callable[[Path, str], Awaitable[None]],
    ) -> None:  # fmt: skip
        able = [r for r in await self.geospot.reader.do(read_checkpoints, run) if is_able(r)]
        if not able:
            raise UsageError(
                f"{run.name} has saved no checkpoint yet.",
                "Wait until it does, or stop it: then it saves one.",
            )
        if len(able) == 1:
            await go_on(run, able[0].name)
            return
        newest = list(reversed(able))

        def chosen(number: int | None) -> None:
            if number is not None:
                self.attempt(go_on(run, newest[number].name))

        self.geospot.push_screen(Choose(question, _lines(newest)), chosen)

    async def _branch(self, run: Path, checkpoint: str) -> None:
        from geospot.runs.control import branch_settings

        folder = await self.geospot.reader.do(_free_name, run)
        kind, settings = await self.geospot.reader.do(branch_settings, run, checkpoint, {}, folder)
        self.geospot.open_launch(kind, settings)

    async def _evaluate(self, run: Path, checkpoint: str) -> None:
        from geospot.runs.control import evaluation_settings

        where = self.geospot.results[0] / f"{run.name}-{checkpoint}"
        told = {"out": where}
        settings = await self.geospot.reader.do(evaluation_settings, run, checkpoint, told)
        self.geospot.open_launch("eval", settings)


def _can_go_on(row: RunCheckpoint) -> bool:
    return row.state_path is not None


def _can_be_asked(row: RunCheckpoint) -> bool:
    return row.sampler_path is not None


def _lines(rows: Sequence[RunCheckpoint]) -> list[str]:
    width = max(len(row.name) for row in rows)
    steps = ["" if row.batch is None else f"step {row.batch:,}" for row in rows]
    return [f"{row.name:<{width}}  {step}" for row, step in zip(rows, steps, strict=True)]


def _free_name(run: Path) -> Path:
    """A folder for a branch that isn't there yet."""
    number = 1
    while (folder := run.with_name(f"{run.name}-branch-{number}")).exists():
        number += 1
    return folder


def _set_aside(run: Path) -> None:
    standing = Catalogue(()).summary(run).standing
    if standing in ("running", "silent"):
        raise UsageError(f"{run.name} is {standing}; it can't be set aside.", "Stop it first.")
    set_aside(run, "Stop it first.")
