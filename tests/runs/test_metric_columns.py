"""Columns of figures against a plain dictionary of dictionaries."""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geospot.runs.columns import Columns, ColumnsBuilder
from tests.support.approx import approx

UNHURRIED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = ["a", "b/c", "é"]
VALUES = st.one_of(
    st.floats(width=32),
    st.integers(-5, 5),
    st.integers(-5, 5),
    st.just(10**400),
    st.just(1e300),
    st.none(),
    st.booleans(),
    st.text(max_size=2),
    st.lists(st.integers(), max_size=2),
)
STEPS = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([None, True, 2.0, "3", 10**30, -(10**30), 2**62]),
)


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows in the order of a file; steps ascend mostly, come several times, late, or not at all."""
    found: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 12))):
        row: dict[str, Any] = draw(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
        match draw(st.integers(0, 5)):
            case 0:
                pass
            case 1:
                row["step"] = draw(STEPS)
            case _:
                row["step"] = len(found) // 4
        found.append(row)
    return found


def model(given_rows: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Every step's last numbers."""
    by_step: dict[int, dict[str, float]] = {}
    for row in given_rows:
        if not has_step(row):
            continue
        values = by_step.setdefault(row["step"], {})
        for key, value in row.items():
            if key != "step" and type(value) in (int, float) and (short := as_short(value)):
                values[key] = short[0]
    return dict(sorted(by_step.items()))


def has_step(row: dict[str, Any]) -> bool:
    step = row.get("step")
    return type(step) is int and abs(step) <= 2**62


def loose(given_rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The latest values of rows without a step."""
    return {key: value for row in given_rows if not has_step(row) for key, value in row.items()}


def shown(values: Mapping[str, Any]) -> dict[str, str]:
    """NaN equals NaN in writing."""
    return {key: repr(value) for key, value in values.items()}


def as_short(value: float) -> tuple[float] | None:
    """In 32 bits, None where it doesn't fit or is no number."""
    try:
        short: float = struct.unpack("f", struct.pack("f", float(value)))[0]
    except OverflowError:
        return None
    return (short,) if math.isfinite(short) else None


def content(columns: Columns) -> dict[int, dict[str, float]]:
    """What columns say, step by step."""
    return {int(step): columns.at(int(step)) for step in columns.steps_N}


def check(columns: Columns, given_rows: list[dict[str, Any]]) -> None:
    expected = model(given_rows)
    assert content(columns) == expected
    assert columns.keys == sorted({key for row in expected.values() for key in row})
    for key in columns.keys:
        step_K, value_K = columns.series(key)
        pairs = [(step, row[key]) for step, row in expected.items() if key in row]
        assert list(zip(step_K.tolist(), value_K.tolist(), strict=True)) == pairs
        assert columns.latest(key) == (pairs[-1][1] if pairs else None)


@UNHURRIED
@given(rows(), st.data())
def test_forwards_in_any_pieces(given_rows: list[dict[str, Any]], data: st.DataObject) -> None:
    builder, at = ColumnsBuilder(), 0
    while at < len(given_rows):
        end = data.draw(st.integers(at + 1, len(given_rows)))
        builder.add(given_rows[at:end])
        at = end
        check(builder.columns(), given_rows[:at])
    check(builder.columns(), given_rows)


@UNHURRIED
@given(rows(), st.data())
def test_from_the_end_in_any_pieces(given_rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """Older rows come piece by piece while new ones are written, as a watch reads a long file."""
    builder = ColumnsBuilder()
    start = end = data.draw(st.integers(0, len(given_rows)))
    while start > 0 or end < len(given_rows):
        if start > 0 and data.draw(st.booleans()):
            begin = data.draw(st.integers(0, start - 1))
            builder.add(given_rows[begin:start], older=True)
            start = begin
        elif end < len(given_rows):
            stop = data.draw(st.integers(end + 1, len(given_rows)))
            builder.add(given_rows[end:stop])
            end = stop
        check(builder.columns(), given_rows[start:end])
    assert shown(builder.columns().loose) == shown(loose(given_rows))


@UNHURRIED
@given(st.lists(rows(), max_size=6), st.data())
def test_what_was_handed_out_keeps_its_steps(
    pieces: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Whoever draws while the next rows come sees the same steps, and no value lost."""
    builder = ColumnsBuilder()
    handed_out: list[tuple[Columns, list[int], dict[int, dict[str, float]]]] = []
    for piece in pieces:
        builder.add(piece, older=data.draw(st.booleans()))
        columns = builder.columns()
        handed_out.append((columns, columns.steps_N.tolist(), content(columns)))
    for columns, steps, before in handed_out:
        assert columns.steps_N.tolist() == steps
        assert all(set(row) <= set(content(columns)[step]) for step, row in before.items())


def test_an_older_figure_doesnt_take_the_place_of_a_newer_one() -> None:
    """A step that was done again stands twice in the file, which is read from its end."""
    builder = ColumnsBuilder()
    builder.add([{"step": 3, "a": 2.0}, {"step": 4, "a": 3.0, "b": 1.0}])
    builder.add([{"step": 3, "a": 0.5, "b": 7.0}, {"step": 4, "a": None}], older=True)
    assert content(builder.columns()) == {3: {"a": 2.0, "b": 7.0}, 4: {"a": 3.0, "b": 1.0}}


def test_the_same_object_until_something_comes() -> None:
    builder = ColumnsBuilder()
    builder.add([{"step": 1, "a": 2.0}])
    columns = builder.columns()
    builder.add([])
    assert builder.columns() is columns
    builder.add([{"step": 2, "a": 3.0}])
    assert builder.columns() is not columns
    assert columns.series("a")[1].tolist() == [2.0]


def test_nobody_can_write_into_them() -> None:
    builder = ColumnsBuilder()
    builder.add([{"step": 1, "a": 2.0}])
    with pytest.raises(ValueError, match="read-only"):
        builder.columns().values_N["a"][0] = 1.0


def test_cleared_ones_leave_those_that_were_handed_out() -> None:
    builder = ColumnsBuilder()
    builder.add([{"step": 1, "a": 2.0}, {"total": 3}])
    columns = builder.columns()
    builder.clear()
    builder.add([{"step": 1, "a": 5.0}])
    assert columns.at(1) == {"a": 2.0}
    assert builder.columns().at(1) == {"a": 5.0}
    assert (columns.loose, builder.columns().loose) == ({"total": 3}, {})


def test_names_without_end_don_t_take_all_memory() -> None:
    builder = ColumnsBuilder()
    for start in range(0, 5000, 500):
        builder.add([{"step": start, **{f"key {start + i}": 1.0 for i in range(500)}}])
    assert len(builder.columns().keys) == 2000
    assert len(builder.columns()) == 10


def test_a_million_steps_read_from_the_end() -> None:
    """Both ends grow; nothing is moved about for each piece, or this would take minutes."""
    builder = ColumnsBuilder()
    piece = 5_000
    for start in range(1_000_000 - piece, -1, -piece):
        builder.add([{"step": s, "a": s % 7} for s in range(start, start + piece)], older=True)
    builder.add([{"step": 1_000_000, "a": 0.5}])
    step_N, value_N = builder.columns().series("a")
    assert np.array_equal(step_N, np.arange(1_000_001))
    assert np.array_equal(value_N[:-1], np.arange(1_000_000, dtype=np.float32) % 7)
    assert builder.columns().latest("a") == approx(0.5)


def test_a_step_that_has_nan_later_keeps_its_number() -> None:
    builder = ColumnsBuilder()
    row = json.loads('{"step": 3, "loss": NaN, "lr": Infinity}')
    builder.add([{"step": 3, "loss": 1.5, "lr": 0.1}, row])
    assert builder.columns().at(3) == {"loss": 1.5, "lr": approx(0.1)}
