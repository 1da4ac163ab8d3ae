"""Stopping an evaluation from its screen, and seeing that its process is gone."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from geospot.errors import UsageError
from geospot.tui.screens.views import ViewsScreen
from geospot.tui.widgets.confirm import ask


class EvaluationControls(ViewsScreen):
    """A screen of an evaluation. The subclass says what its files hold."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "x", "stop", "Stop", tooltip="Finish the questions under way, keep all answers, end"
        ),
    ]

    def __init__(self, result: Path, sort: str, *, descending: bool = False) -> None:
        super().__init__(sort, descending=descending)
        self.result = result
        self.has_died = False
        """Whether its process is gone, and no more answers come by themselves."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What eval.json says; empty where there is none."""
        raise NotImplementedError

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """What summary.json says, None while there is none."""
        raise NotImplementedError

    @property
    def is_under_way(self) -> bool:
        """Whether there are no figures of all answers yet."""
        return self.summary is None

    @property
    def first_keys(self) -> Sequence[str]:
        """While it is under way, how it is stopped."""
        return ("stop",)

    def is_offered(self, action: str) -> bool:
        """What is over can't be stopped."""
        is_going_on = self.is_under_way and not self.has_died and bool(self.manifest)
        return action != "stop" or is_going_on

    def action_stop(self) -> None:
        """Stops the evaluation, where the person says yes.

        Raises:
            UsageError: it is over.
        """
        if (self.summary or {}).get("complete") is True:
            raise UsageError(f"{self.result.name} is over. There is nothing to stop.")
        what = (
            "It finishes the questions under way and ends. Every answer is kept, and the same command goes"
            " on with the rest. Stopped once more, it drops what is under way."
        )
        ask(
            self.geospot, f"Stop {self.result.name}?", what,
            lambda: self.attempt(self._stop()), yes="Stop",
        )  # fmt: skip

    async def _stop(self) -> None:
        from geospot.runs.evaluations import stop_evaluation

        await self.geospot.reader.do(stop_evaluation, self.result)
        self.notify("It was asked to stop: it finishes the questions under way.")

    async def see_whether_it_lives(self) -> None:
        """Looks for its process; what can't be read just now says nothing of it."""
        from geospot.runs.evaluations import has_died

        had_died = self.has_died
        with suppress(UsageError):
            self.has_died = await self.geospot.reader.do(has_died, self.result)
        if self.has_died != had_died:
            self.say()
            self.refresh_bindings()
