"""The filter language."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geospot.errors import UsageError
from geospot.query import Row, parse_query

KEYS = ("name", "kind", "model", "reward", "state", "step", "eval")
RUN: Row = {
    "name": "sweep/rl-7",
    "kind": "rl",
    "model": "Qwen/Qwen3-VL",
    "reward": 0.42,
    "state": frozenset({"running", "silent"}),
    "step": 7.0,
    "eval": None,
}


def matches(query: str) -> bool:
    return parse_query(query, KEYS).matches(RUN, lambda: "sweep/rl-7 Qwen was in Paris")


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("", True),
        ("   ", True),
        ("kind:rl", True),
        ("kind:sft", False),
        ("KIND:RL", True),
        ("model:qwen", True),
        ("model:QWEN3", True),
        ("model=qwen", False),
        ("model=qwen/qwen3-vl", True),
        ("reward>0.4", True),
        ("reward>0.42", False),
        ("reward>=0.42", True),
        ("reward<0.5", True),
        ("reward<=0.41", False),
        ("reward>-1", True),
        ("step=7", True),
        ("step>1,000", False),
        ("state:running", True),
        ("state=silent", True),
        ("state:died", False),
        ("has:reward", True),
        ("has:eval", False),
        ("-has:eval", True),
        ("eval>0", False),
        ("-eval>0", True),
        ("kind:rl reward>0.4 model:qwen", True),
        ("kind:rl reward>0.5 model:qwen", False),
        ("-kind:sft", True),
        ("paris", True),
        ("-paris", False),
        ("PARIS", True),
        ('"in paris"', True),
        ('"paris in"', False),
        ('model:"qwen3-vl"', True),
        ("berlin", False),
        ("kind:", True),
        ("name:rl-7", True),
    ],
)
def test_a_query_holds_where_all_its_terms_do(query: str, holds: bool) -> None:
    assert matches(query) is holds


@pytest.mark.parametrize(
    ("query", "sentence", "advice"),
    [
        ("knid:rl", "no 'knid'", "Did you mean 'kind'?"),
        ("zzz:rl", "no 'zzz'", "Known: eval, kind"),
        ("has:evals", "no 'evals'", "Did you mean 'eval'?"),
        ("reward>high", "reward> wants a number, not 'high'", "reward>0.5"),
        ("reward>", "reward> wants a number, not ''", "reward>0.5"),
    ],
)
def test_what_cannot_be_read_is_said(query: str, sentence: str, advice: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_query(query, KEYS)
    assert sentence in error.value.message
    assert advice in error.value.advice


def test_a_number_is_compared_with_numbers_only() -> None:
    assert not parse_query("model>0", KEYS).matches(RUN)
    assert parse_query("-model>0", KEYS).matches(RUN)


def test_the_text_is_asked_for_only_where_a_term_looks_through_it() -> None:
    def text() -> str:
        raise AssertionError

    assert parse_query("kind:rl", KEYS).matches(RUN, text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_query(text, KEYS).matches(RUN, lambda: text) in (True, False)
