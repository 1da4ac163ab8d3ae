"""Rows leave before selection for exactly one reason each, and nothing else about them changes."""

import cProfile
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geospot.data.sample import SAMPLE_SCHEMA
from geospot.data.truth import REASONS, valid_rows
from geospot.errors import DataError


def rows(*cells: tuple[object, object]) -> pa.Table:
    """A table with ids `0`, `1`, … and these latitudes and longitudes, as text."""
    ids = [str(number) for number in range(len(cells))]
    return pa.table(
        {
            "id": ids,
            "image": [f"{name}.jpg" for name in ids],
            "latitude": pa.array([latitude for latitude, _ in cells], pa.string()),
            "longitude": pa.array([longitude for _, longitude in cells], pa.string()),
        }
    )


@pytest.mark.parametrize(
    ("latitude", "longitude", "reason"),
    [
        ("", "12", "missing_coordinates"),
        (None, "12", "missing_coordinates"),
        ("  ", "12", "missing_coordinates"),
        ("12", None, "missing_coordinates"),
        ("north", "12", "not_a_number"),
        ("nan", "12", "not_a_number"),
        ("inf", "12", "not_a_number"),
        ("1e999", "12", "not_a_number"),
        ("48,85", "2,35", "not_a_number"),
        ("0x10", "12", "not_a_number"),
        ("1 2", "12", "not_a_number"),
        ("90.0000001", "12", "out_of_range"),
        ("-91", "12", "out_of_range"),
        ("12", "180.5", "out_of_range"),
        ("12", "-1e10", "out_of_range"),
        ("0", "0", "null_island"),
        ("-0.0", "0.000", "null_island"),
        ("+0", "0e5", "null_island"),
    ],
)
def test_a_bad_row_leaves_for_its_reason(
    latitude: str | None, longitude: str | None, reason: str
) -> None:
    table = valid_rows(rows(("48.85", "2.35"), (latitude, longitude)))

    assert table.ids == ["0"]
    assert table.dropped == {reason: 1}
    assert reason in REASONS


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("+1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        (" -3.25\t", -3.25),
        ("90", 90.0),
        ("-90", -90.0),
        ("2e1", 20.0),
        ("1e-3", 0.001),
        ("0.1000000000000000055511151231257827", 0.1),
    ],
)
def test_numbers_in_every_usual_notation_are_read(text: str, degrees: float) -> None:
    assert valid_rows(rows((text, "7"))).latitude_N.tolist() == [degrees]


def test_only_exactly_null_island_is_broken() -> None:
    assert len(valid_rows(rows(("0", "9.5"), ("9.5", "0"), ("1e-9", "0")))) == 3


@given(
    st.lists(
        st.tuples(
            st.floats(-90, 90, allow_nan=False).filter(lambda value: value != 0),
            st.floats(-180, 180, allow_nan=False),
        ),
        max_size=20,
    )
)
def test_every_valid_coordinate_survives_to_the_last_digit(
    coordinates: list[tuple[float, float]],
) -> None:
    table = valid_rows(
        rows(*[(repr(latitude), repr(longitude)) for latitude, longitude in coordinates])
    )

    assert table.dropped == {}
    assert [(s.latitude, s.longitude) for s in table] == coordinates


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=20))
def test_any_text_is_either_kept_valid_or_counted_once(cells: list[tuple[str, str]]) -> None:
    table = valid_rows(rows(*cells))

    assert len(table) + sum(table.dropped.values()) == len(cells)
    for sample in table:
        assert math.isfinite(sample.latitude)
        assert abs(sample.latitude) <= 90
        assert abs(sample.longitude) <= 180


def test_labels_stay_as_they_are_and_namibia_is_a_country() -> None:
    raw = rows(("-22.5", "17.1"), ("1", "1"), ("2", "2"))
    raw = raw.append_column("country", pa.array(["NA", "", "  "]))
    raw = raw.append_column(
        "unique_city", pa.array(["Waitangi_NaN_Chatham Islands_NZ", "NaN", None])
    )

    table = valid_rows(raw)

    assert [sample.country for sample in table] == ["NA", None, None]
    assert table[0].unique_city == "Waitangi_NaN_Chatham Islands_NZ"
    assert table[1].unique_city == "NaN"
    assert table.arrow.schema == SAMPLE_SCHEMA


def test_the_first_valid_row_of_an_id_is_kept() -> None:
    raw = pa.table(
        {
            "id": ["a", "b", "a", "b", None, ""],
            "image": ["1", "2", "3", "4", "5", "6"],
            "latitude": ["1", "x", "3", "4", "5", "6"],
            "longitude": ["1", "2", "3", "4", "5", "6"],
        }
    )

    table = valid_rows(raw)

    assert [(sample.id, sample.image) for sample in table] == [("a", "1"), ("b", "4")]
    assert table.dropped == {"missing_id": 2, "not_a_number": 1, "duplicate_id": 1}


def test_long_integer_ids_keep_every_digit() -> None:
    ids = [2**53 + 1, 99999999999999999]
    raw = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "image": ["a", "b"],
            "latitude": [1.0, 2.0],
            "longitude": [1, 2],
        }
    )

    assert valid_rows(raw).ids == ["9007199254740993", "99999999999999999"]


def test_floating_point_ids_are_refused_with_advice() -> None:
    raw = pa.table({"id": [1.0], "image": ["a"], "latitude": [1.0], "longitude": [2.0]})

    with pytest.raises(DataError, match=r"floating-point.*--columns id="):
        valid_rows(raw)


def test_numbers_and_dictionaries_are_read_as_text_is() -> None:
    dictionary = pa.dictionary(pa.int32(), pa.string())
    raw = pa.table(
        {
            "id": pa.array(["a", "b"]).cast(dictionary),
            "image": pa.array(["a", "b"], pa.large_string()),
            "latitude": pa.array([1.5, math.nan], pa.float32()),
            "longitude": pa.array([7, 8], pa.int8()),
            "sequence": pa.array([12345678901234567, None], pa.int64()),
        }
    )

    table = valid_rows(raw)

    assert (table[0].latitude, table[0].longitude, table[0].sequence) == (
        1.5,
        7.0,
        "12345678901234567",
    )
    assert table.dropped == {"not_a_number": 1}


@pytest.mark.parametrize("name", ["id", "latitude", "city"])
@pytest.mark.parametrize("strange", [[[1.0], None], [{"a": 1}, {}], [True, False], [None, None]])
def test_lists_and_the_like_are_nothing_as_in_json(name: str, strange: list[Any]) -> None:
    raw = pa.table(
        {"id": ["a", "b"], "image": ["a", "b"], "latitude": [1.5, 2.5], "longitude": [7, 8]}
        | {name: strange}
    )
    reason = {"id": {"missing_id": 2}, "latitude": {"missing_coordinates": 2}, "city": {}}[name]
    table = valid_rows(raw)
    assert table.dropped == reason
    assert all(sample.city is None for sample in table)


def test_other_kinds_of_columns_are_read_or_get_a_sentence() -> None:
    text = {"id": ["a"], "image": ["a"], "latitude": ["1.5"], "longitude": ["2.5"]}
    for degrees in (pa.array([b"1.5"]), pa.array([Decimal("1.5")]), pa.array([1.5], pa.float16())):
        assert valid_rows(pa.table(text | {"latitude": degrees}))[0].latitude == 1.5
    assert valid_rows(pa.table(text | {"latitude": [10**17 + 1]})).dropped == {"out_of_range": 1}
    assert valid_rows(pa.table(text | {"latitude": [datetime.now(UTC)]})).dropped == {
        "not_a_number": 1
    }
    with pytest.raises(DataError, match="--columns city="):
        valid_rows(pa.table(text | {"city": [b"\xff"]}))


def test_no_columns_and_no_rows_are_no_accident() -> None:
    assert valid_rows(pa.table({"latitude": ["1"], "longitude": ["2"]})).dropped == {
        "missing_id": 1
    }
    assert len(valid_rows(rows())) == 0


def test_half_a_million_rows_are_not_walked_in_python() -> None:
    count = 500_000
    numbers = np.random.default_rng(0).uniform(-90, 90, count)
    raw = pa.table(
        {
            "id": pa.array(np.arange(count) + 10**15).cast(pa.string()),
            "image": pa.array(["x.jpg"] * count),
            "latitude": pa.array(numbers).cast(pa.string()),
            "longitude": pa.array(numbers).cast(pa.string()),
        }
    )

    with cProfile.Profile() as profile:
        table = valid_rows(raw)

    assert len(table) == count
    calls = sum(entry.callcount for entry in profile.getstats())
    assert calls < 10_000  # as many for five million; a clock would depend on the machine
