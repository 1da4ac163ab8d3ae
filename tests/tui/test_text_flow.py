"""Hostile text in lines of cells, and fields found in answers."""

import time

import numpy as np
import pytest
from rich.cells import cell_len
from rich.style import Style

from geospot.outcomes import Outcome
from geospot.runs.rollouts import RolloutRecord
from geospot.tui.fields import find_fields
from geospot.tui.flow import ESCAPED, Flow, flow


def _looks(look: int) -> Style:
    return Style(bold=bool(look & 1), dim=bool(look & ESCAPED))


def _flow(text: str, width: int, *, words: bool = True, break_mark: str = "") -> Flow:
    look = np.zeros(max(len(text), 1), np.uint8)
    return flow(text, width, look, _looks, words=words, break_mark=break_mark)


def _lines(shown: Flow) -> list[str]:
    return [strip.text for strip in shown]


def test_lines_break_between_words_and_where_the_text_does() -> None:
    assert _lines(_flow("the quick brown\n\nfox jumps", 10)) == [
        "the quick ",
        "brown",
        "",
        "fox jumps",
    ]


def test_a_word_longer_than_the_line_is_cut() -> None:
    assert _lines(_flow("abcdefghij", 4)) == ["abcd", "efgh", "ij"]


def test_without_words_every_character_is_shown() -> None:
    shown = _flow("ab cd  ef\ngh", 4, words=False, break_mark="↵")
    assert _lines(shown) == ["ab c", "d  e", "f↵", "gh"]
    assert shown.offset_at(2, 1) == 9
    assert shown.offset_at(3, 1) == 11
    assert shown.offset_at(3, 2) is None
    assert shown.offset_at(9, 0) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("\u202eevil", "\\u202eevil"),
        ("a\u200bb", "a\\u200bb"),
        ("\x9b2J", "\\x9b2J"),
        ("line\u2028more", "line\\u2028more"),
        ("\ud800", "\\ud800"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("tab\there", "tab\\there"),
        ("a\r\nb", "a"),
    ],
)
def test_what_could_move_or_hide_something_is_an_escape(text: str, shown: str) -> None:
    assert _lines(_flow(text, 40))[0] == shown


def test_an_escape_looks_unlike_text_that_pretends_to_be_one() -> None:
    real, pretended = _flow("\x1b", 40), _flow("\\x1b", 40)
    assert _lines(real) == _lines(pretended)
    assert next(iter(real[0])).style != next(iter(pretended[0])).style


def test_wide_characters_never_stick_out() -> None:
    for width in (4, 5, 7):
        shown = _flow("東京タワー and 한국어", width)
        assert all(strip.cell_length <= width for strip in shown)
        assert "".join(_lines(shown)).replace(" ", "") == "東京タワーand한국어"


def test_marks_join_their_letter_but_not_without_end() -> None:
    assert _lines(_flow("e\u0301a", 20)) == ["e\u0301a"]
    heap = _flow("e" + "\u0301" * 50, 400)
    assert _lines(heap)[0].count("\u0301") == 3
    assert _lines(heap)[0].count("\\u0301") == 47
    assert _lines(_flow("\u0301x", 20)) == ["\\u0301x"]


def test_looks_follow_their_characters() -> None:
    text = "one two three"
    look = np.zeros(len(text), np.uint8)
    look[4:7] = 1
    shown = flow(text, 8, look, _looks)
    bold = [s.text for strip in shown for s in strip if s.style and s.style.bold]
    assert bold == ["two"]
    assert shown.line_of(8) == 1


def test_every_strip_is_as_wide_as_it_says() -> None:
    text = "".join(
        map(chr, [*range(0x20, 0x600), *range(0x900, 0x1200), 0x1F600, 0x1F1E7, 0x1F1F7])
    )
    for strip in _flow(text, 30):
        assert strip.cell_length == cell_len(strip.text)
        assert strip.cell_length <= 31


def test_a_long_text_takes_little_time() -> None:
    """A flow that took the square of the length would take minutes of each."""
    for text in ("word " * 24_000, "x" * 120_000, "漢字 " * 40_000, "\x1b" * 120_000):
        start_s = time.thread_time()
        _flow(text, 40)
        assert time.thread_time() - start_s < 20


def _answer(text: str, latitude: float, longitude: float, **place: str) -> RolloutRecord:
    return RolloutRecord(
        step=0,
        group=0,
        index=0,
        sample_id="a",
        true_latitude=0,
        true_longitude=0,
        outcome=Outcome.OK,
        reward=0,
        distance_km=0,
        text=text,
        latitude=latitude,
        longitude=longitude,
        place=place,
    )


def _found(record: RolloutRecord) -> dict[str, str]:
    return {f.kind: record.text[f.start : f.end] for f in find_fields(record, 10_000)}


def test_fields_of_a_labelled_answer() -> None:
    text = "City: Lyon\nRegion: Lyon\nCountry: France\nLatitude: -6.4143\nLongitude: 60.0049"
    record = _answer(text, -6.4143, 60.0049, city="Lyon", region="Lyon", country="France")
    found = {field.kind: field for field in find_fields(record, 10_000)}
    assert found["city"].start == 6
    assert found["region"].start == text.index("Lyon", 12)
    assert _found(record) == {
        "city": "Lyon", "region": "Lyon", "country": "France", "latitude": "-6.4143", "longitude": "60.0049",
    }  # fmt: skip


def test_fields_in_json_and_in_degrees_and_minutes() -> None:
    json = '{"city": "Oslo", "latitude": 59.91, "longitude": 10.75}'
    assert _found(_answer(json, 59.91, 10.75, city="Oslo")) == {
        "city": "Oslo", "latitude": "59.91", "longitude": "10.75",
    }  # fmt: skip
    dms = "It is at 48°51'24\"N 2°21'03\"E, I think."
    found = _found(_answer(dms, 48 + 51 / 60 + 24 / 3600, 2 + 21 / 60 + 3 / 3600))
    assert found["latitude"].startswith("48°51'24")
    assert found["longitude"].startswith("2°21'03")


def test_of_several_pairs_the_last_is_marked() -> None:
    text = "First 10.5, 20.5. No: 10.5, 20.5."
    fields = find_fields(_answer(text, 10.5, 20.5), 10_000)
    assert [field.start for field in fields] == [22, 28]


def test_what_is_not_in_the_text_is_not_marked() -> None:
    assert _found(_answer("somewhere in the north", 10.5, 20.5, city="Rome")) == {}
    assert _found(_answer("(.*[", 1.0, 2.0, city="(.*[")) == {"city": "(.*["}
