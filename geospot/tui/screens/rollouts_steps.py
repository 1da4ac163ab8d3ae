"""Which step of a run is shown: the newest, the one that was asked for, or the one that a search finds."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from geospot.query import Query
from geospot.runs.rollouts import RolloutRecord
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.reading import Reader, Watching
from geospot.tui.rollout_groups import StepView, nearest, outward, step_view
from geospot.tui.screen import GeoScreen

_KEPT: Final = 4
"""Steps that stay in memory, for going back and forth …"""
_KEPT_CHARACTERS: Final = 20_000_000
"""… unless their texts are longer than this together."""


class StepReader:
    """Reads steps in threads, and keeps the last few."""

    def __init__(self, watching: Watching, reader: Reader) -> None:
        self._watching, self._reader = watching, reader
        self._known: OrderedDict[int, StepView] = OrderedDict()
        self.knows_countries = False
        """Whether steps come judged by their countries."""

    async def whole(self, step: int) -> StepView:
        """All rollouts of a step; without groups where it has none (any more)."""
        view = self._known.pop(step, None)
        if view is None:
            view = await self._reader.do(step_view, step, await self._watching.rollouts(step))
            if self.knows_countries:
                view = await self._reader.do(view.judged)
        if view.groups:
            self._known[step] = view
        while len(self._known) > 1 and self._are_too_many():
            self._known.popitem(last=False)
        return view

    def _are_too_many(self) -> bool:
        characters = sum(view.characters for view in self._known.values())
        return len(self._known) > _KEPT or characters > _KEPT_CHARACTERS

    async def judged(self, whole: StepView) -> StepView:
        """The step judged by its countries; reading their names in all languages takes a second, once."""
        view = await self._reader.do(whole.judged)
        self.knows_countries = True
        if whole.step in self._known:
            self._known[whole.step] = view
        return view

    async def filtered(self, whole: StepView, query: Query) -> StepView:
        """The step with its answers marked by a filter."""
        return await self._reader.do(whole.filtered, query)

    async def hits(self, step: int, query: Query) -> int:
        """How many answers of a step fulfil a filter; the step isn't kept."""
        return await self._reader.do(_hits, step, await self._watching.rollouts(step), query)

    def forget_others(self, there: Collection[int]) -> None:
        """Forgets steps that aren't there any more: they may come back as others."""
        for step in [step for step in self._known if step not in there]:
            del self._known[step]


def _hits(step: int, records: Sequence[RolloutRecord], query: Query) -> int:
    return step_view(step, records).filtered(query).hits


def unreadable(error: OSError) -> str:
    """The sentence for a file that can't be read."""
    return f"The rollouts can't be read: {printable(error.strerror or str(error))}."


class StepScreen(GeoScreen):
    """A screen about one step of a run that may be going on.

    Subclasses give `show_step` and what else is told them; `go` is how they get to a step.
    """

    def __init__(
        self, folder: Path, step: int | None, query: Query, among: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.folder = folder
        self.follows = step is None
        """Whether the newest step is shown as soon as there is one."""
        self.query_now = query
        self.state: RunState | None = None
        """What the run's files say; None until the first look."""
        self.steps: Sequence[int] = ()
        """Those that can be walked to, ascending: of those with rollouts all, or some that were chosen."""
        self.view: StepView | None = None
        """The step that is shown, filtered."""
        self.is_gone = False
        """Whether the shown step isn't there any more."""
        self._asked = step
        self._among: Collection[int] = frozenset(among)
        self._wanted: int | None = None
        self._is_loading = False
        self._whole: StepView | None = None
        self._search: object | None = None
        self._end_watching: Callable[[], None] = lambda: None

    def show_step(self, view: StepView) -> None:
        """Shows a step: another one, or the same one filtered anew or read anew."""
        raise NotImplementedError

    def show_place(self) -> None:
        """Something changed about where in the run this is."""
        raise NotImplementedError

    def say_nothing(self, reason: str) -> None:
        """There is nothing to show, for a reason."""
        raise NotImplementedError

    def why_nothing(self, state: RunState) -> str:
        """Why a run has no rollouts."""
        raise NotImplementedError

    @property
    def step(self) -> int | None:
        """The step that is shown."""
        return None if self.view is None else self.view.step

    @property
    def is_busy(self) -> bool:
        """Whether a step is being read, or steps are searched; the status line says which."""
        return self._wanted is not None or self._search is not None

    def on_mount(self) -> None:
        """Begins to watch the run."""
        watching = self.geospot.watchings.of(self.folder)
        self._reader = StepReader(watching, self.geospot.reader)
        self._end_watching = watching.subscribe(self._told)

    def on_unmount(self) -> None:
        """Watches no longer."""
        self._end_watching()
        self._search = None

    # What the run says

    def _told(self, state: RunState) -> None:
        if self.is_leaving:
            return
        if self.state is None or state.rollout_steps != self.state.rollout_steps:
            there = set(state.rollout_steps)
            self._reader.forget_others(there)
            self.is_gone |= self.step is not None and self.step not in there
        self.state, self.steps = state, self._walkable(state)
        if self.steps and self._wanted is None:
            self._follow_or_stay()
        elif not self.steps and self.view is None:
            self.say_nothing(self.why_nothing(state))
        self.show_place()

    @property
    def is_narrowed(self) -> bool:
        """Whether there are steps with rollouts that can't be walked to."""
        return self.state is not None and len(self.steps) < len(self.state.rollout_steps)

    def _walkable(self, state: RunState) -> Sequence[int]:
        if not self._among:
            return state.rollout_steps
        chosen = [step for step in state.rollout_steps if step in self._among]
        return chosen or state.rollout_steps  # the run went back, and none of them is left

    def _follow_or_stay(self) -> None:
        newest = self.steps[-1]
        if self.step is None:
            self.go(newest if self._asked is None else nearest(self.steps, self._asked))
        elif self.follows and newest != self.step:
            self.go(newest)
        elif self.is_gone and self.step in self.steps:
            self.go(self.step)

    # Reading a step

    def go(self, step: int) -> None:
        """Shows a step as soon as it is read; of what is asked for meanwhile, the last comes after it."""
        self._wanted = step
        if not self._is_loading:
            self._is_loading = True
            self.run_worker(self._load(), group="rollouts")

    async def _load(self) -> None:
        try:
            while (step := self._wanted) is not None:
                self.say_status(f"reading step {step} …")
                whole = await self._reader.whole(step)
                view = await self._filtered(whole)
                if self._wanted == step:
                    self._wanted = None
                self._show(whole, view)
                if not self._reader.knows_countries:
                    await self._judge()
        except OSError as error:
            self._wanted = None
            self.say_nothing(unreadable(error))
        finally:
            self._is_loading = False

    async def _judge(self) -> None:
        """Shows the step at once, and what takes longer when it is known."""
        before = self._whole
        if before is None:
            return
        whole = await self._reader.judged(before)
        view = await self._filtered(whole)
        if self._whole is before:
            self._show(whole, view)

    async def _filtered(self, whole: StepView) -> StepView:
        """The step under the filter that holds when it is done, which may have been typed meanwhile."""
        while True:
            query = self.query_now
            view = await self._reader.filtered(whole, query)
            if query is self.query_now:
                return view

    def _show(self, whole: StepView, view: StepView) -> None:
        self._whole = whole
        self.is_gone = view.step not in self.steps
        self.show_step(view)
        self.show_place()

    def filter_by(self, query: Query) -> None:
        """Filters the step; every other one will be as well."""
        self.query_now = query
        self._search = None
        if self._whole is not None:
            self.order_anew(partial(self._filter, self._whole, query))

    async def _filter(self, whole: StepView, query: Query) -> None:
        view = await self._reader.filtered(whole, query)
        if whole is self._whole and query is self.query_now:
            self._show(whole, view)

    # Moving

    def moved(self) -> None:
        """Whoever moves stays where they are."""
        self.follows = False
        self._search = None

    def go_to_step(self, step: int) -> None:
        """A person wants to see a step."""
        self.moved()
        self.go(step)
        self.show_place()

    def action_step(self, by: int) -> None:
        """The next step that has rollouts (1), or the one before (-1)."""
        at = self._wanted if self._wanted is not None else self.step
        following = None if at is None else next(outward(self.steps, at, by), None)
        if following is not None:
            self.go_to_step(following)

    def action_end(self, place: int) -> None:
        """The first step (0), or the last (-1)."""
        if self.steps:
            self.go_to_step(self.steps[place])

    def action_follow(self) -> None:
        """To the newest step of all, and on with it; or stays here."""
        self.follows = not self.follows
        self._search, self._among = None, ()
        if self.state is not None:
            self.steps = self._walkable(self.state)
        if self.follows and self.steps and self.steps[-1] != self.step:
            self.go(self.steps[-1])
        self.show_place()

    # Searching other steps

    def action_search(self, direction: int) -> None:
        """Looks for a step with an answer that the filter lets through; escape ends it."""
        if not self.query_now.terms:
            self.notify("There is nothing to search for: / sets a filter.")
        elif self.step is not None:
            self.moved()
            self._search = token = object()
            steps = list(outward(self.steps, self.step, direction))
            self.run_worker(self._look_through(steps, token), group="search")

    async def _look_through(self, steps: Sequence[int], token: object) -> None:
        query = self.query_now
        for read, step in enumerate(steps):
            progress = f"searching: {read:,} of {len(steps):,} steps read, now step {step}"
            self.say_status(progress, "escape ends it")
            try:
                hits = await self._reader.hits(step, query)
            except OSError as error:
                self._search = None
                self.show_place()
                self.notify(unreadable(error), severity="error", markup=False)
                return
            if self._search is not token:
                return
            if hits:
                self.go_to_step(step)
                return
        self._search = None
        self.show_place()
        self.notify(f"None of {len(steps):,} steps has an answer that fulfils the filter.")

    def action_back(self) -> None:
        """Ends a search, or goes to the screen before."""
        if self._search is not None:
            self._search = None
            self.show_place()
        else:
            super().action_back()
