"""The rollouts screen: every key, live runs, hostile records, at several sizes."""

import asyncio
import json
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Static

from geospot.outcomes import Outcome
from geospot.runs.rollouts import RolloutReader, RolloutRecord, RolloutWriter
from geospot.runs.thumbnails import thumbnail_name
from geospot.tui.app import GeospotApp
from geospot.tui.reading import Watching
from geospot.tui.rollout_groups import StepView
from geospot.tui.screens import rollouts as rollouts_screen
from geospot.tui.screens.rollouts import RolloutsScreen
from geospot.tui.widgets.answer import AnswerColumn
from geospot.tui.widgets.answer_list import AnswerList
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.photo import Photo
from geospot.tui.widgets.rollout_bars import GroupStrip, Scrubber
from tests.support.rollouts import HOSTILE_TEXT, rollout, step_rollouts
from tests.support.screens import seen
from tests.support.watchdog import watchdog

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)


class Shown:
    """A screen under test, and what stands on it."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        self.app = pilot.app
        screen = self.app.screen
        assert isinstance(screen, RolloutsScreen)
        self.screen = screen

    @property
    def columns(self) -> list[str]:
        """Texts of the columns that are shown."""
        shown = self.screen.query(AnswerColumn)
        return [column.text for column in shown if column.has_class("-shown")]

    @property
    def truth(self) -> str:
        return str(self.screen.query_one("#rollouts-truth", Static).render())

    @property
    def status(self) -> str:
        return str(self.screen.query_one("#room-status", Static).render())

    @property
    def nothing(self) -> str:
        """What is said instead of rollouts; empty where there are some."""
        if not self.screen.has_class("-nothing"):
            return ""
        return str(self.screen.query_one("#rollouts-nothing", Static).render())

    @property
    def scrubber(self) -> str:
        return self.screen.query_one(Scrubber).render_line(0).text

    @property
    def strip(self) -> str:
        return self.screen.query_one(GroupStrip).render_line(0).text

    @property
    def place(self) -> tuple[int, int, int]:
        """Step, group and index of the chosen answer."""
        answer = self.screen.answer
        assert answer is not None
        return answer.first.step, answer.first.group, answer.first.index

    @property
    def painted(self) -> str:
        """Everything on the terminal."""
        return "\n".join(
            "".join(segment.text for segment in line)
            for line in self.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
        )

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + 15
        while not holds():
            assert time.monotonic() < deadline, self.painted
            await self.pilot.pause(0.02)

    async def at(self, step: int, group: int | None = None, index: int | None = None) -> None:
        """Waits until this is shown."""

        def is_there() -> bool:
            answer = self.screen.answer
            if answer is None or self.screen.step != step or not all(self.columns):
                return False
            first = answer.first
            return group in (None, first.group) and index in (None, first.index)

        await self.until(is_there)

    async def filter(self, text: str) -> None:
        self.screen.query_one(FilterBar).set_text(text)
        await self.pilot.pause()


def _run(tmp_path: Path, steps: Iterable[int] = (0, 1, 2), kind: str = "rl", **config: Any) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"kind": kind} | config))
    _write(folder, {step: step_rollouts(step, 4, 4) for step in steps})
    return folder


def _write(folder: Path, records: dict[int, list[RolloutRecord]]) -> None:
    writer = RolloutWriter(folder)
    for step, rows in records.items():
        writer.write(step, rows)
    for file in writer.files:
        file.close()


def _show(
    folder: Path,
    look: Callable[[Shown], Awaitable[None]],
    size: tuple[int, int] = MIDDLE,
    step: int | None = None,
    query: str = "",
) -> None:
    """Opens the screen and looks at it."""

    async def show() -> None:
        app = GeospotApp((folder.parent,), first=lambda app: app.open_rollouts(folder, step, query))
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await look(Shown(pilot))

    asyncio.run(show())


@pytest.mark.parametrize(("size", "columns"), [(SMALL, 1), (MIDDLE, 4), (LARGE, 4)])
def test_answers_stand_side_by_side_as_they_fit(
    tmp_path: Path, size: tuple[int, int], columns: int
) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2, 0, 0)
        await shown.until(lambda: len(shown.columns) == columns)
        first = shown.columns[0]
        assert "#0 ✓ ok" in first
        assert "100 km" in first
        assert "reward 0.000" in first
        assert "+0.100" in first
        assert "read 48.1000, 11.2000" in first
        assert "München" in first
        assert "log p -0.9" in first
        assert "mean -0.29" in first
        assert "Germany" in shown.painted
        assert "48.0000, 11.0000" in shown.truth
        assert "photo-0" in shown.truth
        assert "16 answers in 4 groups" in shown.status
        assert "#0 ✓ ok" in shown.painted

    _show(_run(tmp_path), look, size)


def test_nothing_is_hidden_below_a_scroll_bar(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    text = "\n".join(["word " * 40] * 60)
    _write(folder, {0: [rollout(0, 0, index, text=text) for index in range(4)]})

    async def look(shown: Shown) -> None:
        await shown.at(0, 0, 0)
        for column in shown.screen.query(AnswerColumn):
            if column.has_class("-shown"):
                assert column.show_vertical_scrollbar
                rows = seen(column).split("\n")
                assert " km" in rows[0]
                body = " ".join(row[:-1].rstrip() for row in rows[2:] if "word" in row)
                assert set(body.split()) == {"word"}

    _show(folder, look)


def test_hostile_text_is_escaped_on_the_terminal(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "\\x1b[31m" in shown.columns[0]
        assert "東京" in shown.columns[0]
        assert "\\u2028" in shown.columns[0]
        assert "\\ud800" in shown.columns[0]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\ud800]", shown.painted)

    _show(_run(tmp_path), look, LARGE)


def test_groups_steps_and_answers_are_gone_through(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2, 0, 0)
        await shown.press("n", "right")
        assert shown.place == (2, 2, 0)
        await shown.press("p")
        assert shown.place == (2, 1, 0)
        await shown.press("left", "left", "left")
        assert shown.place == (2, 0, 0)
        await shown.press("down", "j")
        assert shown.place == (2, 0, 2)
        assert "▌#2" in "\n".join(shown.columns)
        await shown.press("up")
        assert shown.place == (2, 0, 1)
        await shown.press("up")
        assert shown.place == (2, 0, 0)
        assert "▌#0" in "\n".join(shown.columns)
        await shown.press("left_square_bracket")
        await shown.at(1, 0)
        await shown.press("right_square_bracket")
        await shown.at(2, 0)
        await shown.press("left_curly_bracket")
        await shown.at(0)
        await shown.press("left_square_bracket")
        assert shown.screen.step == 0
        await shown.press("right_curly_bracket")
        await shown.at(2)
        assert not shown.screen.follows
        await shown.press("end")
        assert shown.place == (2, 0, 3)
        await shown.press("home")
        assert shown.place == (2, 0, 0)

    _show(_run(tmp_path), look, SMALL)


def test_another_step_keeps_the_place_unless_there_is_a_filter(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        await shown.press("n", "n", "left_square_bracket")
        await shown.at(1, 2)
        await shown.filter("index=1")
        await shown.until(lambda: "4 of 16 answers" in shown.status)
        assert shown.place == (1, 2, 1)
        await shown.press("left_square_bracket")
        await shown.at(0, 0, 1)

    _show(_run(tmp_path), look)


def test_an_arrow_held_down_ends_where_it_was_let_go(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(39)
        await shown.press(*["left_square_bracket"] * 30)
        await shown.at(9)

    _show(_run(tmp_path, range(40)), look)


def test_it_follows_the_newest_step_until_somebody_moves(tmp_path: Path) -> None:
    folder = _run(tmp_path)

    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "following" in shown.scrubber
        _write(folder, {3: step_rollouts(3, 4, 4)})
        await shown.at(3)
        await shown.press("n")
        assert "following" not in shown.scrubber
        _write(folder, {4: step_rollouts(4, 4, 4)})
        await shown.until(lambda: "0…4" in shown.scrubber)
        assert shown.place == (3, 1, 0)
        assert "f follows" in shown.scrubber
        await shown.press("f")
        await shown.at(4)
        assert "following" in shown.scrubber
        _write(folder, {5: step_rollouts(5, 4, 4)})
        await shown.at(5)
        await shown.press("f")
        assert not shown.screen.follows

    _show(folder, look)


def test_it_follows_while_names_of_countries_are_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = StepView.judged

    def judged_slowly(self: StepView) -> StepView:
        time.sleep(1)
        return judged(self)

    monkeypatch.setattr(StepView, "judged", judged_slowly)
    folder = _run(tmp_path)

    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "✗ " not in shown.columns[0]
        for step in (3, 4, 5):
            _write(folder, {step: [rollout(step, place={"country": "Peru"})]})
        await shown.at(5)
        await shown.until(lambda: "✗ Peru" in shown.columns[0])

    _show(folder, look)


def test_a_step_that_was_asked_for_stays(tmp_path: Path) -> None:
    folder = _run(tmp_path, (0, 10, 20))

    async def look(shown: Shown) -> None:
        await shown.at(10)  # the last before 17 that has rollouts
        assert not shown.screen.follows

    _show(folder, look, step=17)


def test_a_run_that_goes_back_keeps_what_is_shown_and_shows_it_anew(tmp_path: Path) -> None:
    folder = _run(tmp_path)

    async def look(shown: Shown) -> None:
        await shown.at(2)
        await shown.press("n")
        writer = RolloutWriter(folder)
        writer.rewind(1)
        await shown.until(lambda: "went back" in shown.scrubber)
        assert shown.place == (2, 1, 0)
        writer.write(1, step_rollouts(1, 4, 4))
        writer.write(2, [rollout(2, g, 0, text="a new answer") for g in range(4)])
        await shown.until(lambda: "a new answer" in shown.columns[0])
        assert "went back" not in shown.scrubber
        assert shown.place == (2, 1, 0)

    _show(folder, look)


def test_a_filter_counts_and_puts_what_it_lets_through_first(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        await shown.press("slash", *"reward>0.5 group<2", "enter")
        await shown.until(lambda: "2 of 16 answers in 2 of 4 groups" in shown.status)
        assert shown.place == (2, 0, 3)
        assert "group 1/2" in shown.strip
        assert "(filtered out)" in shown.columns[1]
        assert "(filtered out)" not in shown.columns[0]
        await shown.press("n")
        assert shown.place == (2, 1, 3)
        await shown.press("slash", "escape", "escape")
        await shown.until(lambda: "16 answers in 4 groups" in shown.status)
        assert shown.place == (2, 1, 3)

    _show(_run(tmp_path), look)


def test_a_filter_that_is_given_holds_from_the_start(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(1, 2, 1)
        assert "1 of 16 answers in 1 of 4 groups" in shown.status

    _show(_run(tmp_path), look, step=1, query="group=2 index=1")


def test_a_filter_that_cannot_be_read_says_so_and_hides_nothing(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "16 answers in 4 groups" in shown.status
        assert "rewrd" in shown.painted

    _show(_run(tmp_path), look, query="rewrd>1")


def test_a_word_is_marked_and_brought_into_sight(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    text = "\n".join(f"line {number}" for number in range(200)) + "\nthe Needle is here"
    _write(folder, {0: [rollout(0, text=text)]})

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

    _show(folder, look, SMALL)


def test_without_a_match_other_steps_can_be_searched(tmp_path: Path) -> None:
    folder = _run(tmp_path, range(12))
    _write(folder, {12: [rollout(12, text="plain")], 13: [rollout(13, text="the needle")]})
    _write(folder, {14: [rollout(14, text="plain")], 15: [rollout(15, text="needle too")]})

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

    _show(folder, look, step=5)


def test_a_search_is_ended_by_escape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _run(tmp_path, range(400))
    read = Watching.rollouts

    async def read_slowly(self: Watching, step: int) -> list[RolloutRecord]:
        await asyncio.sleep(0.05)
        return await read(self, step)

    monkeypatch.setattr(Watching, "rollouts", read_slowly)

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

    _show(folder, look, step=0)


def test_groups_are_sorted_by_worst_and_by_spread(tmp_path: Path) -> None:
    rewards = {0: (0.5, 0.5), 1: (0.1, 0.2), 2: (0.0, 0.9), 3: (math.nan, math.nan)}
    rows = [
        rollout(0, group, index, reward=reward)
        for group, pair in rewards.items()
        for index, reward in enumerate(pair)
    ]
    folder = _run(tmp_path, ())
    _write(folder, {0: rows})

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

    _show(folder, look)


def test_answers_are_sorted_by_a_click_on_the_head(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2, 0, 0)
        await shown.pilot.click(AnswerList, offset=(18, 0))
        await shown.pilot.pause()
        assert shown.place == (2, 0, 0)
        assert shown.screen.query_one(AnswerList).cursor == 3
        await shown.press("home")
        assert shown.place == (2, 0, 3)

    _show(_run(tmp_path), look)


def test_clicks_choose_answers_groups_and_steps(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2, 0, 0)
        column = shown.screen.query(AnswerColumn)[1]
        await shown.pilot.click(column, offset=(3, 0))
        await shown.pilot.pause()
        assert shown.place == (2, 0, 1)
        await shown.pilot.click(GroupStrip, offset=(1 + 14 + 2, 0))
        await shown.pilot.pause()
        assert shown.place == (2, 2, 0)
        await shown.pilot.click(Scrubber, offset=(1 + 14, 0))
        await shown.at(0)

    _show(_run(tmp_path), look)


def _tokens(pieces: list[str], logprobs: list[float], **more: Any) -> RolloutRecord:
    return rollout(
        0, tokens=list(range(len(pieces))), pieces=pieces, logprobs=logprobs,
        text="".join(pieces), **more,
    )  # fmt: skip


def test_tokens_are_read_with_a_cursor(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    pieces = ["City", ":", " Ro", "me", "\n", "x\x1b", ""]
    _write(folder, {0: [_tokens(pieces, [-0.01, -0.02, -2.5, -6.0, -0.5, -1.0, -0.1])]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        assert "↵" in shown.columns[0]
        assert "∅" in shown.columns[0]
        await shown.press("full_stop")
        assert "1/7 'City' -0.01 = 99%" in shown.columns[0]
        await shown.press("greater_than_sign")
        assert "3/7 ' Ro' -2.50 = 8.2%" in shown.columns[0]
        await shown.press("greater_than_sign")
        assert "4/7 'me' -6.00 = 0.2%" in shown.columns[0]
        await shown.press("less_than_sign")
        assert "3/7" in shown.columns[0]
        await shown.press("comma", "comma", "comma")
        assert "7/7" in shown.columns[0]
        column = shown.screen.query(AnswerColumn).first()
        cells = [s for y in range(column.size.height) for s in column.render_line(y)]
        underlined = [s.text for s in cells if s.style and s.style.underline and s.style.bgcolor]
        assert " Ro" in "".join(underlined)
        bold = [s.text for s in cells if s.style and s.style.underline and s.style.bold]
        assert "me" in bold
        line = next(
            y for y in range(column.size.height) if "City:" in column.render_line(y).text and y > 9
        )
        await shown.pilot.click(column, offset=(4, line))
        await shown.pilot.pause()
        assert "2/7 ':'" in shown.columns[0]
        await shown.press("t")
        assert "─ tokens" not in shown.columns[0]
        assert "─ text" in shown.columns[0]
        await shown.press("t")
        assert "─ tokens" in shown.columns[0]
        assert "─ text" not in shown.columns[0]

    _show(folder, look, MIDDLE)


def test_tokens_without_texts_show_their_ids(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "⟨1⟩⟨2⟩⟨3⟩" in shown.columns[0]
        await shown.press("greater_than_sign")  # none is unlikely
        assert shown.place == (2, 0, 0)

    _show(_run(tmp_path), look)


def test_several_turns_are_shown_in_order(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    turns = [
        rollout(0, 0, 0, turn=turn, text=f"turn text {turn}", reward=0.1 * (turn + 1),
                distance_km=3000.0 - 1000 * turn, tokens=[7, 8], pieces=["ab", "cd"], logprobs=[-1, -3])
        for turn in (2, 0, 1)
    ]  # fmt: skip
    _write(folder, {0: turns})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        text = shown.columns[0]
        assert text.index("turn text 0") < text.index("turn text 1") < text.index("turn text 2")
        assert "turn 1 of 3 0.100 · 3,000 km · ok" in text
        assert "reward 0.600" in text
        assert "1,000 km" in text.splitlines()[0]
        assert "1 answer in 1 group" in shown.status
        await shown.press(*["full_stop"] * 3)
        assert shown.columns[0].count("1/2") == 1
        await shown.filter("turn=1")
        await shown.until(lambda: "1 of 1 answer" in shown.status)

    _show(folder, look, LARGE)


def test_failures_are_named_with_their_note(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    row = rollout(
        0, outcome=Outcome.UNPARSED, note="length", latitude=None, longitude=None, truncated=True,
        advantage=None, place={}, reward=-0.1, distance_km=20015.087, text="",
    )  # fmt: skip
    _write(folder, {0: [row]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        text = shown.columns[0]
        assert "✗ unparsed" in text
        assert "cut off at the token limit" in text
        assert "20,015 km" in text
        assert "reward -0.100" in text
        assert "adv –" in text
        assert "empty" in text
        assert "no position read (unparsed: length)" in text
        await shown.filter("outcome:unparsed km>2500 has:truncated")
        await shown.until(lambda: "1 of 1 answer" in shown.status)

    _show(folder, look)


def test_records_of_foreign_runs_without_positions(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    row = rollout(
        0, true_latitude=math.nan, true_longitude=math.nan, distance_km=math.nan, reward=math.nan,
        latitude=None, longitude=None, labels={}, place={}, terms={}, advantage=None, tokens=[],
        logprobs=[], prompt_tokens=0, sampler_step=None,
    )  # fmt: skip
    _write(folder, {0: [row, rollout(0, 0, 1, labels={"city": "NaN", "country": "NaN"})]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        assert "position not known" in shown.truth
        assert "place not named" in shown.painted
        assert "– km" in shown.columns[0]
        assert "reward –" in shown.columns[0]
        assert "no tokens recorded" in shown.columns[0]
        await shown.press("full_stop", "greater_than_sign", "s", "s", "t", "t")
        await shown.filter("km>=0")
        await shown.until(lambda: "1 of 2 answers" in shown.status)

    _show(folder, look)


def test_torn_and_forged_lines_are_passed_over(tmp_path: Path) -> None:
    folder = _run(tmp_path, (0,))
    lines = (folder / "rollouts.jsonl").read_bytes()
    whole = rollout(1).to_json()
    forged = [
        b"{not json",
        json.dumps(whole | {"text": None, "labels": [1], "reward": "1e9", "tokens": "x"}).encode(),
        json.dumps(whole | {"group": "a"}).encode(),
        json.dumps(whole | {"outcome": "surprising"}).encode(),
        json.dumps(whole | {"logprobs": [1], "index": 5, "place": {"city": 3}}).encode(),
        b"[" * 100_000,
    ]
    block = b"\n".join(forged) + b"\n"
    (folder / "rollouts.jsonl").write_bytes(lines + block)
    row = {"step": 1, "offset": len(lines), "length": len(block), "count": len(forged)}
    with (folder / "rollouts.index.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")

    async def look(shown: Shown) -> None:
        await shown.at(1, 0)
        assert "2 answers in 1 group" in shown.status

    _show(folder, look)


def test_long_answers_are_cut_and_said_to_be(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    long = "long words " * 100_000
    rows = [rollout(0, g, i, text=long + HOSTILE_TEXT) for g in range(2) for i in range(4)]
    _write(folder, {0: rows})

    async def look(shown: Shown) -> None:
        with watchdog(1):  # two cores may have other work; reading alone takes longer than this
            await shown.at(0)
            await shown.press("n", "p", "down", "t", "t", "t")
        assert "… 1.1 MB more: e shows more" in shown.columns[0]
        lines = len(shown.columns[0])
        await shown.press("e")
        assert len(shown.columns[0]) > 3 * lines
        await shown.press("y")
        await shown.until(lambda: len(shown.app.clipboard) > 1_000_000)

    _show(folder, look, LARGE)


def test_a_large_step_on_a_slow_disk_does_not_keep_the_screen_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = RolloutReader.read

    def read_slowly(self: RolloutReader, step: int) -> list[RolloutRecord]:
        time.sleep(1.5)
        return read(self, step)

    monkeypatch.setattr(RolloutReader, "read", read_slowly)
    folder = _run(tmp_path, ())
    pieces = ["ab "] * 100
    rows = [
        rollout(step, group, index, text="ab " * 100, tokens=[1] * 100, pieces=pieces, logprobs=[-1.0] * 100)
        for step in range(2)
        for group in range(8)
        for index in range(64)
    ]  # fmt: skip
    _write(folder, {step: [row for row in rows if row.step == step] for step in range(2)})

    async def look(shown: Shown) -> None:
        await shown.at(1)
        with watchdog(1):
            await shown.press("left_square_bracket")
            await shown.at(0)
            await shown.press(*["n"] * 2, *["down"] * 5)
        assert shown.place == (0, 2, 5)
        assert "▌#5" in "\n".join(shown.columns)
        assert "512 answers in 8 groups" in shown.status

    _show(folder, look, LARGE)


def test_copies_are_said_and_harmless(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        await shown.press("y")
        await shown.until(lambda: shown.app.clipboard.startswith("Latitude: 48.1\\u2028"))
        assert "\x1b" not in shown.app.clipboard
        assert "\n" in shown.app.clipboard
        await shown.press("Y")
        await shown.until(lambda: shown.app.clipboard.startswith("{"))
        record = json.loads(shown.app.clipboard)
        assert record["text"] == HOSTILE_TEXT
        assert "\x1b" not in shown.app.clipboard
        await shown.until(lambda: "Copied" in shown.painted)

    _show(_run(tmp_path), look)


def test_the_map_of_the_step_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def open_map(_app: GeospotApp, folder: Path, steps: object) -> None:
        opened.append((folder, steps))

    monkeypatch.setattr(GeospotApp, "open_run_map", open_map)
    folder = _run(tmp_path)

    async def look(shown: Shown) -> None:
        await shown.at(1)
        await shown.press("o")
        assert opened == [(folder, (1, 1))]

    _show(folder, look, step=1)


def test_one_answer_gets_all_the_room_and_pages(tmp_path: Path) -> None:
    folder = _run(tmp_path, ())
    text = "\n".join(f"line {number}" for number in range(100))
    _write(folder, {0: [rollout(0, 0, index, text=text) for index in range(4)]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        await shown.until(lambda: len(shown.columns) == 4)
        await shown.press("z")
        assert len(shown.columns) == 1
        await shown.press("escape")
        assert len(shown.columns) == 4
        await shown.press("enter", "enter")
        assert len(shown.columns) == 4
        assert "line 90" not in shown.painted
        await shown.press("pagedown", "space")
        await shown.until(lambda: shown.painted.count("line 90") == 4)
        await shown.press("pageup", "pageup")
        await shown.until(lambda: "line 90" not in shown.painted)

    _show(folder, look, LARGE)


def test_it_is_resized_while_it_is_shown(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        for (width, height), columns in ((SMALL, 1), (LARGE, 4), ((250, 70), 4), (MIDDLE, 4)):
            await shown.pilot.resize_terminal(width, height)
            await shown.until(lambda columns=columns: len(shown.columns) == columns)
            assert all(len(line) <= width for line in shown.painted.split("\n"))

    _show(_run(tmp_path), look)


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("sft", {}, "run of SFT"),
        ("rl", {"rollouts_every": 20}, "every 20 steps"),
        ("rl", {}, "No rollouts yet"),
    ],
)
def test_a_run_without_rollouts_says_why(
    tmp_path: Path, kind: str, config: dict[str, Any], said: str
) -> None:
    folder = _run(tmp_path, (), kind, **config)

    async def look(shown: Shown) -> None:
        await shown.until(lambda: said in shown.nothing)
        keys = ("n", "p", "left_square_bracket", "right_curly_bracket", "s", "t", "f", "m", "y", "Y", "z",
                "full_stop", "greater_than_sign", "e", "pagedown", "down")  # fmt: skip
        await shown.press(*keys)
        assert said in shown.nothing
        if kind == "rl":
            _write(folder, {0: step_rollouts(0, 4, 4)})
            await shown.press("f")
            await shown.at(0)

    _show(folder, look, SMALL)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.until(lambda: "isn't there" in shown.nothing)

    _show(tmp_path / "nothing", look)


def test_the_photo_or_why_there_is_none(tmp_path: Path) -> None:
    folder = _run(tmp_path)
    thumbnails = folder / "thumbnails"
    thumbnails.mkdir()
    Image.new("RGB", (64, 48), "green").save(thumbnails / f"{thumbnail_name('photo-0')}.png")
    (thumbnails / f"{thumbnail_name('photo-2')}.jpg").write_bytes(b"broken")

    async def look(shown: Shown) -> None:
        await shown.at(2, 0)
        photo = shown.screen.query_one(Photo)
        await shown.until(lambda: photo.has_class("-picture"))
        assert "▀▀▀" in shown.painted
        await shown.press("n")
        await shown.until(lambda: "only the newest are kept" in photo.reason)
        assert "only the" in shown.painted
        await shown.press("n")
        await shown.until(lambda: "broken" in photo.reason)
        await shown.press("p", "p")
        await shown.until(lambda: photo.has_class("-picture"))
        await shown.pilot.resize_terminal(*LARGE)
        await shown.until(lambda: photo.size.height > 12)
        await shown.pilot.resize_terminal(*SMALL)
        await shown.until(lambda: photo.size.height == 7)
        assert "reward  adv" in shown.painted

    _show(folder, look, SMALL)


def test_files_that_may_not_be_read_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = RolloutReader.read

    def read_some(self: RolloutReader, step: int) -> list[RolloutRecord]:
        if step:
            raise PermissionError(13, "Permission denied")
        return read(self, step)

    def find_none(folder: Path, sample_id: str) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(RolloutReader, "read", read_some)
    monkeypatch.setattr(rollouts_screen, "find_thumbnail", find_none)

    async def look(shown: Shown) -> None:
        await shown.at(0)
        await shown.until(lambda: "Permission" in shown.screen.query_one(Photo).reason)
        await shown.filter("nowhere")
        await shown.until(lambda: "No answer" in shown.nothing)
        await shown.press("m")
        await shown.until(lambda: "can't be read: Permission denied" in shown.painted)
        await shown.press("right_square_bracket")
        await shown.until(lambda: "can't be read: Permission denied" in shown.nothing)
        await shown.press("left_square_bracket")

    _show(_run(tmp_path), look, step=0)


def test_runs_that_keep_no_thumbnails_say_so(tmp_path: Path) -> None:
    async def no_setting(shown: Shown) -> None:
        await shown.until(lambda: "thumbnails_mb=0" in shown.screen.query_one(Photo).reason)

    async def no_folder(shown: Shown) -> None:
        await shown.until(lambda: "tinker-cookbook" in shown.screen.query_one(Photo).reason)

    _show(_run(tmp_path, thumbnails_mb=0), no_setting)
    (tmp_path / "other").mkdir()
    _show(_run(tmp_path / "other"), no_folder)


def test_another_theme_changes_the_colours_at_once(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        await shown.until(lambda: len(shown.columns) == 4)
        await shown.press("n", "down")

        def grounds() -> set[str]:
            column = shown.screen.query(AnswerColumn).first()
            lines = (column.render_line(y) for y in range(column.size.height))
            return {str(s.style.bgcolor) for line in lines for s in line if s.style}

        dark = grounds()
        shown.app.theme = "geospot-light"
        await shown.until(lambda: not grounds() & dark)
        assert shown.place == (2, 1, 1)

    _show(_run(tmp_path), look)


def test_without_colours_marks_remain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    folder = _run(tmp_path, ())
    _write(folder, {0: [_tokens(["a", "b"], [-0.01, -6.0]), rollout(0, 0, 1, advantage=-0.1)]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        column = shown.screen.query(AnswerColumn).first()
        cells = [s for y in range(column.size.height) for s in column.render_line(y)]
        assert any(s.text == "b" and s.style and s.style.underline and s.style.bold for s in cells)
        assert "-0.100" in shown.columns[1]
        assert "█│" in shown.columns[1]
        assert "│█" in shown.columns[0]

    _show(folder, look)
