"""The rollouts of a run: a photo's answers side by side, step by step, filtered, live."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from geospot.errors import UsageError
from geospot.query import Query
from geospot.runs.rollouts import RolloutRecord
from geospot.runs.thumbnails import THUMBNAILS, find_thumbnail
from geospot.runs.watch import RunState
from geospot.tui.rollout_figures import size
from geospot.tui.rollout_filter import FILTER_KEYS, rollout_query, search_words
from geospot.tui.rollout_groups import GROUP_ORDERS, Answer, Group, GroupOrder, StepView
from geospot.tui.screens.rollouts_keys import KEYS
from geospot.tui.screens.rollouts_steps import StepScreen
from geospot.tui.screens.rollouts_words import (
    ORDER_NAMES,
    copied_record,
    copied_text,
    counted,
    mark,
    no_match,
    standing_of,
    truth,
    why_no_photo,
    why_nothing,
)
from geospot.tui.widgets.answer import AnswerColumns
from geospot.tui.widgets.answer_list import AnswerList
from geospot.tui.widgets.answer_text import PARTS, SHOWN, Wish, unlikely
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.photo import Photo
from geospot.tui.widgets.rollout_bars import GroupStrip, Scrubber
from geospot.tui.widgets.table import Table


class RolloutsScreen(StepScreen):
    """Rollouts of a run.

    Args:
        folder: the run's directory.
        step: the step to begin at; None is the newest, and follows it while nobody has moved.
        query: the filter to begin with.
        among: the steps that can be walked to, until the newest is asked for; all of them by default.
    """

    DEFAULT_CSS = """
    RolloutsScreen #rollouts-body { height: 1fr; padding: 0 1; }
    RolloutsScreen #rollouts-side { width: 28; height: 1fr; }
    RolloutsScreen #rollouts-truth { height: 6; text-wrap: nowrap; text-overflow: ellipsis; }
    RolloutsScreen #rollouts-nothing {
        height: 1fr; padding: 1 4; content-align: center middle; text-align: center; display: none;
    }
    RolloutsScreen.-nothing #rollouts-body { display: none; }
    RolloutsScreen.-nothing #rollouts-nothing { display: block; }
    """
    AUTO_FOCUS = "AnswerList"
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(
        self,
        folder: Path,
        step: int | None = None,
        query: str = "",
        among: Sequence[int] = (),
    ) -> None:
        super().__init__(folder, step, _readable(query), among)
        self.order: GroupOrder = "photo"
        self.group_place = 0
        """Which of the groups is shown, by its place in their order."""
        self._text = query
        self._groups: Sequence[Group] = ()
        self._answers: Sequence[Answer] = ()
        self._parts, self._limit, self._is_single = 0, SHOWN, False
        self._token: int | None = None
        self._shown_place = 0
        self._side_width = 28

    def compose_body(self) -> ComposeResult:
        """Where in the run; the filter; the photo with its truth and its answers."""
        yield Scrubber()
        yield GroupStrip()
        yield FilterBar(
            FILTER_KEYS, value=self._text, history=self.geospot.filter_history("rollouts")
        )
        with Horizontal(id="rollouts-body"):
            with Vertical(id="rollouts-side"):
                yield Photo()
                yield Static(id="rollouts-truth", markup=False)
                yield AnswerList()
            yield AnswerColumns()
        yield Static(id="rollouts-nothing", markup=False)

    def on_mount(self) -> None:
        """Names the screen; StepScreen begins to watch."""
        self.say_title(self.folder.name, "rollouts")
        self.say_status("reading the run …")
        self.set_class(True, "-nothing")
        self.geospot.theme_changed_signal.subscribe(self, lambda _theme: self._show_group_again())

    @property
    def answer(self) -> Answer | None:
        """The chosen answer."""
        place = self._list.cursor
        return self._answers[place] if place < len(self._answers) else None

    @property
    def _list(self) -> AnswerList:
        return self.query_one(AnswerList)

    @property
    def _chosen(self) -> tuple[int, int] | None:
        """Numbers of the group and the answer that are chosen."""
        return None if self.answer is None else _place_of(self.answer)

    @property
    def _most_advantage(self) -> float:
        return self._groups[self.group_place].most_advantage if self._groups else 1.0

    # Showing

    def show_step(self, view: StepView) -> None:
        """Shows the same place among the step's groups as before, the first one where there is a filter."""
        is_same = self.step == view.step
        chosen = self._chosen if is_same else None
        self.view, self._groups = view, view.shown(self.order)
        if self.query_now.terms and not is_same:
            self.group_place = 0
        if chosen is not None:
            numbers = [group.number for group in self._groups]
            self.group_place = numbers.index(chosen[0]) if chosen[0] in numbers else 0
        self.group_place = min(self.group_place, max(len(self._groups) - 1, 0))
        if not view.groups:
            self.say_nothing(f"Step {view.step} has no rollouts any more: the run went back.")
        elif not self._groups:
            self.say_nothing(no_match(view.step, self._text, len(self.steps) - 1))
        else:
            self.set_class(False, "-nothing")
            self.call_after_refresh(self._focus_list)
            group = self._groups[self.group_place]
            kept = [a.first.index for a in group.answers if a.is_hit and _place_of(a) == chosen]
            self._show_group(kept[0] if kept else None)

    def _focus_list(self) -> None:
        """The list lost the focus while there was nothing to show; a screen that is leaving has no list."""
        if self.focused is None:
            self.query(AnswerList).focus()

    def say_nothing(self, reason: str) -> None:
        """A sentence instead of the answers."""
        self._groups, self._answers = (), ()
        self._list.show_answers((), 1.0, 0)
        self.set_class(True, "-nothing")
        self.query_one("#rollouts-nothing", Static).update(Text(reason))

    def why_nothing(self, state: RunState) -> str:
        """Why the run has no rollouts."""
        return why_nothing(state)

    def show_place(self) -> None:
        """Says where in the run and in the step this is."""
        if self.state is None:
            return
        span = f"{self.steps[0]}…{self.steps[-1]} " if self.steps else ""
        if self.is_narrowed:
            span = f"{len(self.steps)} steps: {span}"
        is_newest = list(self.state.rollout_steps[-1:]) == [self.step]
        where = mark(self.state, is_gone=self.is_gone, follows=self.follows, is_newest=is_newest)
        self.query_one(Scrubber).show(self.steps, self.step, span + where)
        self.query_one(GroupStrip).show(self._groups, self.group_place, ORDER_NAMES[self.order])
        if self.view is not None and not self.is_busy:
            has_filter = bool(self.query_now.terms)
            self.say_status(*counted(self.view, self.state, has_filter=has_filter))
        elif not self.steps and not self.is_busy:
            self.say_status(standing_of(self.state))

    def _show_group(self, index: int | None = None) -> None:
        """Shows the group; the answer with number `index` is chosen, the first one by default."""
        group = self._groups[self.group_place]
        self._answers = group.ordered(self._list.order, descending=self._list.is_descending)
        self._token, self._limit = None, SHOWN
        places = (n for n, a in enumerate(self._answers) if a.first.index == index)
        place = next(places, 0)
        record = group.answers[0].first
        self._show_truth()
        self.run_worker(partial(self._show_photo, record), group="thumbnail", exclusive=True)
        self._list.show_answers(self._answers, self._most_advantage, place)
        self._show_answers()

    def _show_truth(self) -> None:
        if self._groups:
            group = self._groups[self.group_place]
            known = truth(group, self._side_width - 1, self.geospot.inks)
            self.query_one("#rollouts-truth", Static).update(known, layout=False)

    def _show_group_again(self) -> None:
        """In other colours, or in another order, with the same answer chosen."""
        chosen = self._chosen
        if self._groups and chosen is not None:
            self._show_group(chosen[1])

    async def _show_photo(self, record: RolloutRecord) -> None:
        photo, reader = self.query_one(Photo), self.geospot.reader
        try:
            path = await reader.do(find_thumbnail, self.folder, record.sample_id)
            has_any = path is not None or await reader.do((self.folder / THUMBNAILS).is_dir)
        except OSError as error:
            photo.say(f"No photo: {error.strerror or error}.")
            return
        if path is not None:
            photo.show(path)
        else:
            photo.say(why_no_photo(self.state, has_any=has_any))

    def _show_answers(self) -> None:
        if not self._answers:
            return
        words = search_words(self.query_now)
        self._shown_place = self._list.cursor
        self.query_one(AnswerColumns).show(
            self._answers,
            self._shown_place,
            Wish(self.geospot.inks, words, PARTS[self._parts], self._limit, self._token),
            most_advantage=self._most_advantage,
            is_single=self._is_single,
        )

    def on_resize(self, event: events.Resize) -> None:
        """The photo grows with the screen, and leaves room for the list."""
        self._side_width = width = min(max(event.size.width * 23 // 100, 28), 46)
        self.query_one("#rollouts-side").styles.width = width
        self.query_one(Photo).limit(max((event.size.height - 10) // 2, 5))
        self._show_truth()

    # Moving

    def action_group(self, by: int) -> None:
        """Another group of the step."""
        self._go_to_group(self.group_place + by)

    def _go_to_group(self, place: int) -> None:
        self.moved()
        if 0 <= place < len(self._groups):
            self.group_place = place
            self._show_group()
        self.show_place()

    def on_group_strip_sought(self, event: GroupStrip.Sought) -> None:
        """A click on a group."""
        self._go_to_group(event.place)

    def on_scrubber_sought(self, event: Scrubber.Sought) -> None:
        """A click on a step."""
        self.go_to_step(event.step)

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Another answer of the list; the message also comes when the screen itself put the cursor there."""
        if event.row == self._list.cursor != self._shown_place:
            self._choose(event.row, None)

    def on_answer_columns_chosen(self, event: AnswerColumns.Chosen) -> None:
        """A click on an answer, or on a token of it."""
        self._choose(event.place, event.token)

    def _choose(self, place: int, token: int | None) -> None:
        self.moved()
        self._list.cursor = place
        self._token = token
        self._show_answers()
        self.show_place()

    def on_table_selected(self, _event: Table.Selected) -> None:
        """Enter, or a click on the chosen answer: it alone."""
        self.action_zoom()

    def on_table_header_clicked(self, event: Table.HeaderClicked) -> None:
        """Sorts the answers of groups by a column."""
        self._list.sort_by(event.key)
        self._show_group_again()

    # What is shown of the answers

    def action_filter(self) -> None:
        """Types a filter."""
        self.query_one(FilterBar).open()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Another filter holds."""
        self._text = event.text
        self.filter_by(_readable(event.text))

    def action_sort(self) -> None:
        """Sorts the groups another way."""
        self.moved()
        self.order = GROUP_ORDERS[(GROUP_ORDERS.index(self.order) + 1) % len(GROUP_ORDERS)]
        if self.view is not None and self._groups:
            self._groups = self.view.shown(self.order)
            self.group_place = 0
            self._show_group()
        self.show_place()

    def action_parts(self) -> None:
        """Text and tokens, only text, or only tokens."""
        self._parts = (self._parts + 1) % len(PARTS)
        self._show_answers()

    def action_zoom(self) -> None:
        """One answer with all the room, or as many as fit."""
        self._is_single = not self._is_single
        self._show_answers()

    def action_more(self) -> None:
        """More of long texts."""
        self._limit *= 4
        self._show_answers()

    def action_scroll(self, pages: int) -> None:
        """Scrolls the answers together."""
        columns = self.query_one(AnswerColumns)
        columns.scroll_by_lines(pages * columns.page)

    def action_token(self, by: int) -> None:
        """Moves the cursor that reads a token's probability."""
        answer = self.answer
        count = 0 if answer is None else answer.tokens
        if count:
            at = self._token
            self._read_token((0 if by > 0 else count - 1) if at is None else (at + by) % count)

    def action_unlikely(self, direction: int) -> None:
        """Moves it to another token that the model held for unlikely, round and round."""
        answer = self.answer
        tokens: list[int] = [] if answer is None else unlikely(answer.turns)
        at = -1 if self._token is None else self._token
        if not tokens:
            self.notify("No token of this answer is less likely than one in ten.")
        elif direction > 0:
            self._read_token(next((token for token in tokens if token > at), tokens[0]))
        else:
            self._read_token(([token for token in tokens if token < at] or tokens)[-1])

    def _read_token(self, token: int) -> None:
        if PARTS[self._parts] == "text":
            self._parts = 0
        self._choose(self._list.cursor, token)

    # What leaves the screen

    def action_map(self) -> None:
        """The step on the map."""
        self.geospot.open_run_map(
            self.folder, None if self.step is None else (self.step, self.step)
        )

    def action_copy_text(self) -> None:
        """Copies the chosen answer's text."""
        self.run_worker(self._copy(copied_text, "text"), group="copy")

    def action_copy_record(self) -> None:
        """Copies the chosen answer's record, a line a turn."""
        self.run_worker(self._copy(copied_record, "record as JSON"), group="copy")

    async def _copy(self, made: Callable[[Answer], str], what: str) -> None:
        answer = self.answer
        if answer is not None:
            text = await self.geospot.reader.do(made, answer)
            self.geospot.copy_to_clipboard(text)
            self.notify(f"Copied the {what} of answer #{answer.first.index} ({size(len(text))}).")

    def action_back(self) -> None:
        """Shows all answers again, ends a search, or goes to the screen before."""
        if self._is_single:
            self.action_zoom()
        else:
            super().action_back()


def _place_of(answer: Answer) -> tuple[int, int]:
    return answer.first.group, answer.first.index


def _readable(text: str) -> Query:
    """The query; one that lets everything through where it can't be read, as the filter line says."""
    try:
        return rollout_query(text)
    except UsageError:
        return Query()
