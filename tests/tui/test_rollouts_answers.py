"""The answers of a group: tokens, turns, failures, long and hostile texts."""

import re
from pathlib import Path

from geospot.outcomes import Outcome
from geospot.tui.widgets.answer import AnswerColumn
from tests.support.rollout_screens import (
    LARGE,
    MIDDLE,
    Shown,
    rollout_of_tokens,
    run_with_rollouts,
    show_rollouts,
    write_rollouts,
)
from tests.support.rollouts import HOSTILE_TEXT, rollout
from tests.support.screens import seen
from tests.support.watchdog import watchdog


def test_nothing_is_hidden_below_a_scroll_bar(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    text = "\n".join(["word " * 40] * 60)
    write_rollouts(folder, {0: [rollout(0, 0, index, text=text) for index in range(4)]})

    async def look(shown: Shown) -> None:
        await shown.at(0, 0, 0)
        for column in shown.screen.query(AnswerColumn):
            if column.has_class("-shown"):
                assert column.show_vertical_scrollbar
                rows = seen(column).split("\n")
                assert " km" in rows[0]
                body = " ".join(row[:-1].rstrip() for row in rows[2:] if "word" in row)
                assert set(body.split()) == {"word"}

    show_rollouts(folder, look)


def test_hostile_text_is_escaped_on_the_terminal(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "\\x1b[31m" in shown.columns[0]
        assert "東京" in shown.columns[0]
        assert "\\u2028" in shown.columns[0]
        assert "\\ud800" in shown.columns[0]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\ud800]", shown.painted)

    show_rollouts(run_with_rollouts(tmp_path), look, LARGE)


def test_tokens_are_read_with_a_cursor(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    pieces = ["City", ":", " Ro", "me", "\n", "x\x1b", ""]
    write_rollouts(
        folder, {0: [rollout_of_tokens(pieces, [-0.01, -0.02, -2.5, -6.0, -0.5, -1.0, -0.1])]}
    )

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
        await shown.until(lambda: "2/7 ':'" in shown.columns[0])
        await shown.press("t")
        assert "─ tokens" not in shown.columns[0]
        assert "─ text" in shown.columns[0]
        await shown.press("t")
        assert "─ tokens" in shown.columns[0]
        assert "─ text" not in shown.columns[0]

    show_rollouts(folder, look, MIDDLE)


def test_tokens_without_texts_show_their_ids(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.at(2)
        assert "⟨1⟩⟨2⟩⟨3⟩" in shown.columns[0]
        await shown.press("greater_than_sign")  # none is unlikely
        assert shown.place == (2, 0, 0)

    show_rollouts(run_with_rollouts(tmp_path), look)


def test_several_turns_are_shown_in_order(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    turns = [
        rollout(0, 0, 0, turn=turn, text=f"turn text {turn}", reward=0.1 * (turn + 1),
                distance_km=3000.0 - 1000 * turn, tokens=[7, 8], pieces=["ab", "cd"], logprobs=[-1, -3])
        for turn in (2, 0, 1)
    ]  # fmt: skip
    write_rollouts(folder, {0: turns})

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

    show_rollouts(folder, look, LARGE)


def test_failures_are_named_with_their_note(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    row = rollout(
        0, outcome=Outcome.UNPARSED, note="length", latitude=None, longitude=None, truncated=True,
        advantage=None, place={}, reward=-0.1, distance_km=20015.087, text="",
    )  # fmt: skip
    write_rollouts(folder, {0: [row]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        await shown.until(lambda: "no position read (unparsed: length)" in shown.columns[0])
        text = shown.columns[0]
        assert "✗ unparsed" in text
        assert "cut off at the token limit" in text
        assert "20,015 km" in text
        assert "reward -0.100" in text
        assert "adv –" in text
        assert "empty" in text
        await shown.filter("outcome:unparsed km>2500 has:truncated")
        await shown.until(lambda: "1 of 1 answer" in shown.status)

    show_rollouts(folder, look)


def test_long_answers_are_cut_and_said_to_be(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    long = "long words " * 100_000
    rows = [rollout(0, g, i, text=long + HOSTILE_TEXT) for g in range(2) for i in range(4)]
    write_rollouts(folder, {0: rows})

    async def look(shown: Shown) -> None:
        with watchdog(folder):
            await shown.at(0)
            await shown.press("n", "p", "down", "t", "t", "t")
        assert "… 1.1 MB more: e shows more" in shown.columns[0]
        lines = len(shown.columns[0])
        await shown.press("e")
        assert len(shown.columns[0]) > 3 * lines
        await shown.press("y")
        await shown.until(lambda: len(shown.app.clipboard) > 1_000_000)

    show_rollouts(folder, look, LARGE)


def test_one_answer_gets_all_the_room_and_pages(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    text = "\n".join(f"line {number}" for number in range(100))
    write_rollouts(folder, {0: [rollout(0, 0, index, text=text) for index in range(4)]})

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

    show_rollouts(folder, look, LARGE)
