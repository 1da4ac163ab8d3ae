"""Stopping an evaluation from its screen, going on with it, and seeing whether its process is there."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.binding import Binding, BindingType

from geospot.errors import UsageError
from geospot.textsafe import printable
from geospot.tui.screens.views import ViewsScreen
from geospot.tui.widgets.confirm import ask

if TYPE_CHECKING:
    from geospot.runs.launching import Launched

_POLL_S: Final = 0.5


class EvaluationControls(ViewsScreen):
    """A screen of an evaluation. The subclass says what its files hold."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "x", "stop", "Stop", tooltip="Finish the questions under way, keep all answers, end"
        ),
        Binding("R", "resume", "Resume", tooltip="Ask for what is missing, as it was told before"),
    ]

    def __init__(self, result: Path, sort: str, *, descending: bool = False) -> None:
        super().__init__(sort, descending=descending)
        self.result = result
        self.has_died = False
        """Whether its process is gone, and no more answers come by themselves."""
        self.goes_on = False
        """Whether more answers come though there are figures, of a session that ended before its end."""
        self._launched: Launched | None = None

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What eval.json says; empty where there is none."""
        raise NotImplementedError

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """What summary.json says, None while there is none."""
        raise NotImplementedError

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to ask."""
        return (self.summary or {}).get("complete") is True

    @property
    def is_under_way(self) -> bool:
        """Whether there are no figures of all answers yet."""
        return self.summary is None or self.goes_on

    @property
    def first_keys(self) -> Sequence[str]:
        """How it is stopped while it is under way, and gone on with when it was stopped."""
        return ("stop", "resume")

    def is_offered(self, action: str) -> bool:
        """What is over can't be stopped, and only what was stopped before its end goes on."""
        is_going_on = self.is_under_way and not self.has_died
        if action == "stop":
            return is_going_on and bool(self.manifest)
        return action != "resume" or not (is_going_on or self.is_complete)

    def action_stop(self) -> None:
        """Stops the evaluation, where the person says yes.

        Raises:
            UsageError: it is over.
        """
        if self.is_complete:
            raise UsageError(f"{self.result.name} is over. There is nothing to stop.")
        what = (
            "It finishes the questions under way and ends. Every answer is kept; R goes on with the rest."
            " Stopped once more, it drops what is under way."
        )
        ask(
            self.geospot, f"Stop {self.result.name}?", what,
            lambda: self.attempt(self._stop()), yes="Stop",
        )  # fmt: skip

    async def _stop(self) -> None:
        from geospot.runs.evaluations import stop_evaluation

        await self.geospot.reader.do(stop_evaluation, self.result)
        self.notify("It was asked to stop: it finishes the questions under way.")

    def action_resume(self) -> None:
        """Goes on with the evaluation, where the person says yes."""
        self.attempt(self._ask_to_resume())

    async def _ask_to_resume(self) -> None:
        from geospot.runs.evaluations import settings_again
        from geospot.runs.launching import command_line, shown

        if self._launched is not None and self._launched.process.poll() is None:
            raise UsageError(f"{self.result.name} is going on: process {self._launched.pid}.")
        settings, cwd = await self.geospot.reader.do(settings_again, self.result)
        what = f"It asks for what is missing, with the command of the last time, in {cwd}: "
        ask(
            self.geospot, f"Go on with {self.result.name}?",
            what + shown(command_line("eval", settings)),
            lambda: self.attempt(self._resume()), yes="Go on",
        )  # fmt: skip

    async def _resume(self) -> None:
        from geospot.runs.evaluations import resume_evaluation

        launched = self._launched = await self.geospot.reader.do(resume_evaluation, self.result)
        name = printable(self.result.name)
        self.notify(f"{name} goes on as process {launched.pid}.", markup=False)
        while launched.process.poll() is None:  # noqa: ASYNC110 - nobody tells us of its end
            await asyncio.sleep(_POLL_S)
        if (trouble := await self.geospot.reader.do(launched.trouble)) is not None:
            raise UsageError(f"geospot eval ended: {trouble}")

    async def look_again(self) -> bool:
        """Reads `manifest` and `summary` anew, and whether they have changed."""
        raise NotImplementedError

    async def see_whether_it_lives(self) -> bool:
        """Looks for its process, and whether that is news; what can't be read just now says nothing of it."""
        from geospot.runs import evaluations

        before = self.has_died, self.goes_on
        now = before
        with suppress(UsageError):
            if self.summary is None:
                now = await self.geospot.reader.do(evaluations.has_died, self.result), False
            else:
                goes_on = await self.geospot.reader.do(evaluations.goes_on, self.result)
                now = False, goes_on and not self.is_complete
        if now == before:
            return False
        await self.look_again()  # what it wrote last, before it was gone
        self.has_died, self.goes_on = (
            now[0] and self.summary is None,
            now[1] and not self.is_complete,
        )
        self.say()
        self.refresh_bindings()
        return True
