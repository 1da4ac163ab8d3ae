"""Rollouts filtered, searched and sorted."""

import asyncio
import math
import threading
from pathlib import Path

import pytest

from geospot.query import Query
from geospot.runs.rollouts import RolloutRecord
from geospot.tui.reading import Watching
from geospot.tui.rollout_groups import StepView
from geospot.tui.widgets.answer import AnswerColumn
from geospot.tui.widgets.answer_list import AnswerList
from tests.support.rollout_screens import (
    SMALL,
    Shown,
    run_with_rollouts,
    show_rollouts,
    write_rollouts,
)
from tests.support.rollouts import rollout
from tests.support.screens import type_ahead


def test_a_filter_counts_and_puts_what_it_lets_through_first(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        await shown.press("slash")
        type_ahead(shown.app, [*"reward>0.5 group<2", "enter"])
        await shown.until(lambda: "2 of 16 answers in 2 of 4 groups" in shown.status)
        await shown.until(lambda: "(filtered out)" in shown.columns[1])
        assert shown.place == (2, 0, 3)
        assert "group 1/2" in shown.strip
        assert "(filtered out)" not in shown.columns[0]
        await shown.press("n")
        assert shown.place == (2, 1, 3)
        await shown.press("slash", "escape", "escape")
        await shown.until(lambda: "16 answers in 4 groups" in shown.status)
        assert shown.place == (2, 1, 3)

    show_rollouts(run_with_rollouts(tmp_path), look)


def test_a_filter_that_is_given_holds_from_the_start(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(1, 2, 1)
        assert "1 of 16 answers in 1 of 4 groups" in shown.status

    show_rollouts(run_with_rollouts(tmp_path), look, step=1, query="group=2 index=1")


def test_a_filter_that_cannot_be_read_says_so_and_hides_nothing(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "16 answers in 4 groups" in shown.status
        assert "rewrd" in shown.painted

    show_rollouts(run_with_rollouts(tmp_path), look, query="rewrd>1")


def test_a_filter_typed_while_countries_are_judged_holds_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filtered, is_judging, goes_on = StepView.filtered, threading.Event(), threading.Event()

    def held(view: StepView, query: Query) -> StepView:
        judged = all(answer.right_country for group in view.groups for answer in group.answers)
        if judged and not is_judging.is_set():
            is_judging.set()
            goes_on.wait(60)
        return filtered(view, query)

    monkeypatch.setattr(StepView, "filtered", held)

    async def look(shown: Shown) -> None:
        await shown.until(is_judging.is_set)
        await shown.filter("index>1")
        await shown.until(lambda: "8 of 16 answers" in shown.status)
        goes_on.set()
        await shown.until(
            lambda: shown.screen.view and shown.screen.view.groups[0].answers[0].right_country
        )
        assert "8 of 16 answers" in shown.status

    show_rollouts(run_with_rollouts(tmp_path, [0]), look)


def test_a_word_is_marked_and_brought_into_sight(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    text = "\n".join(f"line {number}" for number in range(200)) + "\nthe Needle is here"
    write_rollouts(folder, {0: [rollout(0, text=text)]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        assert "Needle" not in shown.painted
        await shown.filter("needle")
        await shown.until(lambda: "1 of 1 answer" in shown.status)
        await shown.until(lambda: "Needle" in shown.painted)
        column = shown.screen.query(AnswerColumn).first()
        lines = (column.render_line(y) for y in range(column.size.height))
        reversed_ = [s.text for line in lines for s in line if s.style and s.style.reverse]
        assert "Needle" in reversed_

    show_rollouts(folder, look, SMALL)


def test_without_a_match_other_steps_can_be_searched(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, range(12))
    write_rollouts(folder, {12: [rollout(12, text="plain")], 13: [rollout(13, text="the needle")]})
    write_rollouts(folder, {14: [rollout(14, text="plain")], 15: [rollout(15, text="needle too")]})

    async def look(shown: Shown) -> None:
        await shown.at(5)
        await shown.press("m")  # nothing to search for
        await shown.filter("needle")
        await shown.until(lambda: "No answer of step 5" in shown.nothing)
        assert "m searches the other 15 steps" in shown.nothing
        await shown.press("m")
        await shown.at(13)
        assert shown.nothing == ""
        await shown.until(lambda: isinstance(shown.screen.focused, AnswerList))
        await shown.press("N")
        await shown.at(15)
        await shown.press("P")
        await shown.at(13)
        await shown.press("P")
        await shown.until(lambda: "searching" not in shown.status)
        assert shown.screen.step == 13

    show_rollouts(folder, look, step=5)


def test_a_search_is_ended_by_escape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_with_rollouts(tmp_path)
    read = Watching.rollouts

    async def read_one(self: Watching, step: int) -> list[RolloutRecord]:
        if step:
            await asyncio.Event().wait()  # for ever
        return await read(self, step)

    monkeypatch.setattr(Watching, "rollouts", read_one)

    async def look(shown: Shown) -> None:
        await shown.at(0)
        await shown.filter("nowhere")
        await shown.until(lambda: "No answer" in shown.nothing)
        await shown.press("m")
        await shown.until(lambda: "searching" in shown.status)
        await shown.press("escape")
        await shown.until(lambda: "searching" not in shown.status)
        assert shown.app.screen is shown.screen
        await shown.press("escape")
        assert shown.app.screen is not shown.screen

    show_rollouts(folder, look, step=0)


def test_groups_are_sorted_by_worst_and_by_spread(tmp_path: Path) -> None:
    rewards = {0: (0.5, 0.5), 1: (0.1, 0.2), 2: (0.0, 0.9), 3: (math.nan, math.nan)}
    rows = [
        rollout(0, group, index, reward=reward)
        for group, pair in rewards.items()
        for index, reward in enumerate(pair)
    ]
    folder = run_with_rollouts(tmp_path, ())
    write_rollouts(folder, {0: rows})

    async def look(shown: Shown) -> None:
        await shown.at(0, 0)

        async def order() -> list[int]:
            found = [shown.place[1]]
            for _ in range(3):
                await shown.press("n")
                found.append(shown.place[1])
            return found

        assert await order() == [0, 1, 2, 3]
        await shown.press("s")
        assert "worst first" in shown.strip
        assert await order() == [1, 2, 0, 3]
        await shown.press("s")
        assert "spread" in shown.strip
        assert await order() == [2, 1, 0, 3]
        assert "?" in shown.strip

    show_rollouts(folder, look)


def test_answers_are_sorted_by_a_click_on_the_head(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2, 0, 0)
        answers = shown.screen.query_one(AnswerList)
        await shown.pilot.click(AnswerList, offset=(18, 0))
        await shown.until(lambda: answers.cursor == 3)
        assert shown.place == (2, 0, 0)
        await shown.press("home")
        assert shown.place == (2, 0, 3)

    show_rollouts(run_with_rollouts(tmp_path), look)
