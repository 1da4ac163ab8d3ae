"""A table of which most rows are taken is the same as a copy of those rows, without being one."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from geospot.data.sample import LABELS, SAMPLE_SCHEMA, GeoSample, SampleTable

SAMPLES = [
    GeoSample(f"é{i}", i % 90 + 0.25, -i % 180 - 0.5, f"{i}.jpg", city=f"c{i}" if i % 3 else None)
    for i in range(3000)
]
TABLE = SampleTable.from_samples(SAMPLES, {"null_island": 2})


@pytest.mark.parametrize("count", [3000, 1500, 1499, 1, 0])
def test_what_is_taken(count: int) -> None:
    chosen: list[int] = np.random.default_rng(count).permutation(3000)[:count].tolist()
    expected = [SAMPLES[i] for i in chosen]

    taken = TABLE.take(chosen)

    assert list(taken) == expected
    assert len(taken) == count
    assert [taken[at] for at in range(0, count, 100)] == expected[::100]
    assert taken.ids == list(taken.iter_ids()) == [sample.id for sample in expected]
    assert taken.latitude_N.tolist() == [sample.latitude for sample in expected]
    assert taken.longitude_N.tolist() == [sample.longitude for sample in expected]
    assert taken.arrow.schema == SAMPLE_SCHEMA
    assert taken.arrow.equals(SampleTable.from_samples(expected).arrow)
    assert taken.dropped == {"null_island": 2}
    assert list(taken.take(range(count - 1, -1, -1))) == expected[::-1]
    assert list(TABLE) == SAMPLES


def test_most_rows_are_taken_without_a_copy() -> None:
    held = pa.total_allocated_bytes()
    taken = TABLE.take(range(2999, -1, -1))
    assert taken[0] == SAMPLES[-1]
    assert pa.total_allocated_bytes() - held < TABLE.arrow.nbytes / 10


def test_labels_that_no_sample_has_share_their_memory() -> None:
    texts, degrees = [pa.array(["a", "b"])] * 2, [pa.array([1.5, 2.5])] * 2
    absent = [pa.array([None, None], pa.string()) for _ in range(8)]
    table = SampleTable(
        pa.Table.from_arrays(
            [texts[0], *degrees, texts[1], *absent],
            schema=SAMPLE_SCHEMA,
        )
    )
    columns: list[Any] = [table.arrow.column(name).chunk(0) for name in (*LABELS, "sequence")]
    assert len({column.buffers()[1].address for column in columns}) == 1
    assert [sample.labels() for sample in table] == [{}, {}]
    assert table.arrow.schema == SAMPLE_SCHEMA
