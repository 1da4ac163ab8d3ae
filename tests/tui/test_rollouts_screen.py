"""The rollouts screen: every key and click, live runs, at several sizes."""

import json
import time
from pathlib import Path

import pytest

from geospot.runs.rollouts import RolloutWriter
from geospot.tui.app import GeospotApp
from geospot.tui.rollout_groups import StepView
from geospot.tui.widgets.answer import AnswerColumn
from geospot.tui.widgets.rollout_bars import GroupStrip, Scrubber
from tests.support.rollout_screens import (
    LARGE,
    MIDDLE,
    SMALL,
    Shown,
    rollout_of_tokens,
    run_with_rollouts,
    show_rollouts,
    write_rollouts,
)
from tests.support.rollouts import HOSTILE_TEXT, rollout, step_rollouts
from tests.support.screens import resized, type_ahead


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

    show_rollouts(run_with_rollouts(tmp_path), look, size)


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

    show_rollouts(run_with_rollouts(tmp_path), look, SMALL)


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

    show_rollouts(run_with_rollouts(tmp_path), look)


def test_an_arrow_held_down_ends_where_it_was_let_go(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(39)
        type_ahead(shown.app, ["left_square_bracket"] * 30)
        await shown.at(9)

    show_rollouts(run_with_rollouts(tmp_path, range(40)), look)


def test_it_follows_the_newest_step_until_somebody_moves(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path)

    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "following" in shown.scrubber
        write_rollouts(folder, {3: step_rollouts(3, 4, 4)})
        await shown.at(3)
        await shown.press("n")
        assert "following" not in shown.scrubber
        write_rollouts(folder, {4: step_rollouts(4, 4, 4)})
        await shown.until(lambda: "0…4" in shown.scrubber)
        assert shown.place == (3, 1, 0)
        assert "f follows" in shown.scrubber
        await shown.press("f")
        await shown.at(4)
        assert "following" in shown.scrubber
        write_rollouts(folder, {5: step_rollouts(5, 4, 4)})
        await shown.at(5)
        await shown.press("f")
        assert not shown.screen.follows

    show_rollouts(folder, look)


def test_it_follows_while_names_of_countries_are_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = StepView.judged

    def judged_slowly(self: StepView) -> StepView:
        time.sleep(1)
        return judged(self)

    monkeypatch.setattr(StepView, "judged", judged_slowly)
    folder = run_with_rollouts(tmp_path)

    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "✗ " not in shown.columns[0]
        for step in (3, 4, 5):
            write_rollouts(folder, {step: [rollout(step, place={"country": "Peru"})]})
        await shown.at(5)
        await shown.until(lambda: "✗ Peru" in shown.columns[0])

    show_rollouts(folder, look)


def test_a_step_that_was_asked_for_stays(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, (0, 10, 20))

    async def look(shown: Shown) -> None:
        await shown.at(10)  # the last before 17 that has rollouts
        assert not shown.screen.follows

    show_rollouts(folder, look, step=17)


def test_a_run_that_goes_back_keeps_what_is_shown_and_shows_it_anew(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path)

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

    show_rollouts(folder, look)


def test_clicks_choose_answers_groups_and_steps(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2, 0, 0)
        column = shown.screen.query(AnswerColumn)[1]
        await shown.pilot.click(column, offset=(3, 0))
        await shown.until(lambda: shown.place == (2, 0, 1))
        await shown.pilot.click(GroupStrip, offset=(1 + 14 + 2, 0))
        await shown.until(lambda: shown.place == (2, 2, 0))
        await shown.pilot.click(Scrubber, offset=(1 + 14, 0))
        await shown.at(0)

    show_rollouts(run_with_rollouts(tmp_path), look)


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

    show_rollouts(run_with_rollouts(tmp_path), look)


def test_the_map_of_the_step_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def open_map(_app: GeospotApp, folder: Path, steps: object) -> None:
        opened.append((folder, steps))

    monkeypatch.setattr(GeospotApp, "open_run_map", open_map)
    folder = run_with_rollouts(tmp_path)

    async def look(shown: Shown) -> None:
        await shown.at(1)
        await shown.press("o")
        assert opened == [(folder, (1, 1))]

    show_rollouts(folder, look, step=1)


def test_it_is_resized_while_it_is_shown(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        for (width, height), columns in ((SMALL, 1), (LARGE, 4), ((250, 70), 4), (MIDDLE, 4)):
            await resized(shown.pilot, width, height)
            await shown.until(lambda columns=columns: len(shown.columns) == columns)
            assert all(len(line) <= width for line in shown.painted.split("\n"))

    show_rollouts(run_with_rollouts(tmp_path), look)


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

    show_rollouts(run_with_rollouts(tmp_path), look)


def test_without_colours_marks_remain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    folder = run_with_rollouts(tmp_path, ())
    write_rollouts(
        folder,
        {0: [rollout_of_tokens(["a", "b"], [-0.01, -6.0]), rollout(0, 0, 1, advantage=-0.1)]},
    )

    async def look(shown: Shown) -> None:
        await shown.at(0)
        column = shown.screen.query(AnswerColumn).first()
        cells = [s for y in range(column.size.height) for s in column.render_line(y)]
        assert any(s.text == "b" and s.style and s.style.underline and s.style.bold for s in cells)
        assert "-0.100" in shown.columns[1]
        assert "█│" in shown.columns[1]
        assert "│█" in shown.columns[0]

    show_rollouts(folder, look)


def test_of_some_steps_no_others_are_walked_to_until_the_newest_is_asked_for(
    tmp_path: Path,
) -> None:
    folder = run_with_rollouts(tmp_path, range(10))

    async def look(shown: Shown) -> None:
        await shown.at(7)
        assert "3 steps: 2…7" in shown.scrubber
        await shown.press("left_square_bracket")
        await shown.at(4)
        await shown.press("left_square_bracket")
        await shown.at(2)
        await shown.press("left_square_bracket")
        assert shown.screen.step == 2
        await shown.press("N")  # and a search looks at no others
        await shown.at(4)
        await shown.press("right_curly_bracket")
        await shown.at(7)
        assert "newest" not in shown.scrubber
        await shown.press("f")
        await shown.at(9)
        assert "steps:" not in shown.scrubber
        await shown.press("left_square_bracket")
        await shown.at(8)
        await shown.press("right_square_bracket")
        await shown.at(9)
        assert "newest" in shown.scrubber

    show_rollouts(folder, look, step=7, query="reward>0.5", among=[7, 4, 2, 77])


def test_where_none_of_the_steps_is_left_all_are_walked_to(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, range(3))

    async def look(shown: Shown) -> None:
        await shown.at(2)
        await shown.press("left_square_bracket")
        await shown.at(1)

    show_rollouts(folder, look, step=60, among=[50, 60])
