"""Tails, the rollouts' index, histograms: what readers see while somebody writes."""

import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geospot.durable import LineFile, json_line, mend_torn_end, replace_bytes
from geospot.geo import HALF_CIRCUMFERENCE_KM, THRESHOLDS_KM
from geospot.runs.histograms import (
    DISTANCE_EDGES_KM,
    QUANTILES,
    REWARD_EDGES,
    HistogramReader,
    HistogramWriter,
    declaration,
    spread,
)
from geospot.runs.rewind import rewind_rows
from geospot.runs.rollouts import INDEX, ROLLOUTS, RolloutReader, RolloutRecord, RolloutWriter
from geospot.runs.tail import LineTail, StepTail, read_rows
from tests.support.rollouts import HOSTILE_TEXT, rollout, step_rollouts


def test_a_tail_reads_each_row_once_and_waits_for_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    tail = LineTail(path)
    assert tail.look().rows == []
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"a"')
    assert [row["a"] for row in tail.look().rows] == [1, 2]
    assert tail.look().rows == []
    with path.open("ab") as file:
        file.write(b':3}\n[4]\nnonsense\n\n{"a":5}\n')
    assert [row["a"] for row in tail.look().rows] == [3, 5]


def test_a_tail_notices_a_replaced_a_shorter_and_a_vanished_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2}\n')
    tail = LineTail(path)
    tail.look()
    replace_bytes(path, b'{"a":9}\n{"a":8}\n{"a":7}\n')  # longer, so only its identity tells
    news = tail.look()
    assert (news.again, [row["a"] for row in news.rows]) == (True, [9, 8, 7])
    with path.open("r+b") as file:
        file.truncate(8)
    news = tail.look()
    assert (news.again, [row["a"] for row in news.rows]) == (True, [9])
    path.unlink()
    assert tail.look().again
    assert not tail.look().again


def test_rows_are_merged_by_step_and_sorted(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file, tail = LineFile(path), StepTail(path)
    file.append({"step": 0, "a": 1}, {"step": 5, "a": 2}, {"loose": 1}, {"step": 0, "b": 3})
    assert tail.look()
    file.append({"step": 2, "a": 7, "text": "x", "yes": True}, {"step": True, "loose": 2})
    assert tail.look()
    assert not tail.look()
    assert list(tail.rows) == [0, 2, 5]
    assert tail.rows[0] == {"step": 0, "a": 1, "b": 3}
    assert tail.series("a") == ([0, 2, 5], [1.0, 7.0, 2.0])
    assert tail.keys() == ["a", "b"]
    assert tail.loose["loose"] == 2


@pytest.mark.parametrize("size", [0, 5, 65_535, 65_536, 200_000])
def test_a_torn_end_is_cut_off_whatever_its_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a":1}\n' + b"x" * size)
    mend_torn_end(path)
    assert path.read_bytes() == b'{"a":1}\n'
    path.write_bytes(b"x" * size)
    mend_torn_end(path)
    assert path.read_bytes() == b""


def test_rows_after_a_torn_end_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    file = LineFile(path)
    assert file.append({"a": 2}, {"a": 3}) == (8, 16)
    assert [row["a"] for row in LineTail(path).look().rows] == [1, 2, 3]


def written(folder: Path, *steps: int) -> list[RolloutRecord]:
    writer = RolloutWriter(folder)
    records = [record for step in steps for record in step_rollouts(step)]
    for step in steps:
        writer.write(step, step_rollouts(step))
    return records


def read_back(folder: Path) -> list[RolloutRecord]:
    reader = RolloutReader(folder)
    reader.look()
    return [record for step in reader.steps for record in reader.read(step)]


def test_rollouts_come_back_as_they_were(tmp_path: Path) -> None:
    records = written(tmp_path, 0, 3)
    assert [record.to_json() for record in read_back(tmp_path)] == [r.to_json() for r in records]
    assert read_back(tmp_path)[0].text == HOSTILE_TEXT
    lines = (tmp_path / ROLLOUTS).read_text(encoding="ascii").splitlines()
    assert len(lines) == len(records)  # no text can begin a line of its own


def test_a_rollout_that_came_to_nothing_is_written_too(tmp_path: Path) -> None:
    record = rollout(
        *(1, 0, 0),
        outcome="unparsed",
        latitude=None,
        longitude=None,
        distance_km=HALF_CIRCUMFERENCE_KM,
        reward=-0.1,
        advantage=None,
        logprobs=[float("-inf"), float("nan")],
    )
    RolloutWriter(tmp_path).write(1, [record])
    (back,) = read_back(tmp_path)
    assert (back.outcome, back.latitude, back.advantage) == ("unparsed", None, None)
    assert all(map(math.isnan, back.logprobs))
    assert len(back.logprobs) == 2


def test_only_the_step_asked_for_is_read(tmp_path: Path) -> None:
    written(tmp_path, 0, 1, 2)
    reader = RolloutReader(tmp_path)
    reader.look()
    first = (tmp_path / INDEX).read_bytes().splitlines()[0]
    length: int = json.loads(first)["length"]
    with (tmp_path / ROLLOUTS).open("r+b") as file:  # nobody looks at what comes before
        file.write(b"x" * (length - 1))
    assert [record.step for record in reader.read(1)] == [1] * 4
    assert reader.read(0) == []
    assert reader.read(77) == []


def test_a_step_written_in_two_blocks_is_one(tmp_path: Path) -> None:
    writer = RolloutWriter(tmp_path)
    writer.write(0, [rollout(0, 0)])
    writer.write(1, [rollout(1, 0)])
    writer.write(0, [rollout(0, 1)])
    reader = RolloutReader(tmp_path)
    reader.look()
    assert reader.count(0) == 2
    assert [record.group for record in reader.read(0)] == [0, 1]


@pytest.mark.parametrize(
    "lost", ["index", "index row", "half an index row", "lines", "half a line"]
)
def test_lines_and_index_agree_again_after_a_crash(tmp_path: Path, lost: str) -> None:
    records = written(tmp_path, 0, 1, 2)
    lines, index = tmp_path / ROLLOUTS, tmp_path / INDEX
    if lost == "index":
        index.unlink()
    elif lost == "index row":
        index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:-1]))
    elif lost == "half an index row":
        index.write_bytes(index.read_bytes()[:-9])
    elif lost == "lines":  # a power cut took what the disk hadn't got yet
        lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:6]))
    else:
        lines.write_bytes(lines.read_bytes()[:-9])
    assert RolloutWriter(tmp_path).rewind(3) == 0
    kept = {"lines": 6, "half a line": 11}.get(lost, 12)
    assert [record.to_json() for record in read_back(tmp_path)] == [
        record.to_json() for record in records[:kept]
    ]
    reader = RolloutReader(tmp_path)
    reader.look()
    assert (
        sum(map(reader.count, reader.steps)) == kept
    )  # the index promises nothing that isn't there


def test_going_back_moves_the_end_of_the_lines(tmp_path: Path) -> None:
    records = written(tmp_path, 0, 1, 2)
    whole = (tmp_path / ROLLOUTS).read_bytes()
    assert RolloutWriter(tmp_path).rewind(1) == 2
    kept, moved = (tmp_path / ROLLOUTS), tmp_path / f"{ROLLOUTS}.pre_resume_000001"
    assert kept.read_bytes() + moved.read_bytes() == whole
    assert [r.to_json() for r in read_back(tmp_path)] == [r.to_json() for r in records[:4]]


def test_foreign_rows_are_passed_over(tmp_path: Path) -> None:
    written(tmp_path, 0)
    with (tmp_path / ROLLOUTS).open("ab") as file:
        file.write(b'{"step":1,"outcome":"invented"}\n[]\n{"step":1}\n')
    RolloutWriter(tmp_path).rewind(9)
    assert len(read_back(tmp_path)) == 4


def test_spreads_by_hand() -> None:
    edges = (0.0, 0.5, 1.0)
    found = spread(np.array([-0.1, 0.0, 0.25, 0.5, 1.0, 1.5, np.nan]), edges)
    assert found.counts == [1, 2, 2, 1]
    assert found.mean == 0.525
    assert found.quantiles[0] == -0.1
    assert found.quantiles[QUANTILES.index(0.5)] == 0.375
    assert spread(np.array([]), edges).counts == [0, 0, 0, 0]
    assert spread(np.array([]), edges).mean is None


def test_bins_show_failures_and_accuracies() -> None:
    assert set(THRESHOLDS_KM) <= set(DISTANCE_EDGES_KM)
    assert list(DISTANCE_EDGES_KM) == sorted(DISTANCE_EDGES_KM)
    distance_km_N = np.array([0.0, 24.9, 25.0, 20_000.0, HALF_CIRCUMFERENCE_KM])
    counts = spread(distance_km_N, DISTANCE_EDGES_KM).counts
    assert sum(counts[: DISTANCE_EDGES_KM.index(25.0) + 1]) == 2  # strictly nearer than 25 km
    assert counts[-1] == 1
    assert spread(np.array([-0.1, 0.0, 1.0]), REWARD_EDGES).counts[0] == 1
    assert spread(np.array([-0.1, 0.0, 1.0]), REWARD_EDGES).counts[-2] == 1


def test_histograms_declare_their_bins_once_and_come_back(tmp_path: Path) -> None:
    writer, reader = HistogramWriter(tmp_path), HistogramReader(tmp_path)
    writer.rewind(0)
    reward_N, distance_km_N = np.array([-0.1, 0.5]), np.array([HALF_CIRCUMFERENCE_KM, 17.0])
    writer.write(0, reward_N, distance_km_N, {"frac_mixed": 1.0})
    writer.write(1, reward_N.astype(np.float32), distance_km_N, {})
    assert reader.look()
    assert reader.steps == [0, 1]
    assert reader.edges("reward") == REWARD_EDGES
    assert reader.spread(0, "distance_km") == spread(distance_km_N, DISTANCE_EDGES_KM)
    assert reader.groups(0) == {"frac_mixed": 1.0}
    assert reader.spread(9, "reward") is None

    again = HistogramWriter(tmp_path)
    assert again.rewind(1) == 1
    assert reader.look()
    assert reader.steps == [0]
    rows = [json.loads(line) for line in (tmp_path / "histograms.jsonl").read_bytes().splitlines()]
    assert [row.get("schema_version") for row in rows] == [1, None]


def test_another_version_s_bins_are_read_from_the_file(tmp_path: Path) -> None:
    row: dict[str, Any] = {"step": 0, "reward": {"counts": [1], "quantiles": []}}
    LineFile(tmp_path / "histograms.jsonl").append(
        declaration() | {"reward_edges": [0.0, 2.0]}, row
    )
    reader = HistogramReader(tmp_path)
    reader.look()
    assert reader.edges("reward") == (0.0, 2.0)
    assert reader.spread(0, "reward") is None  # it has no mean


def test_a_file_of_months_is_read_and_gone_back_in_without_holding_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with path.open("wb") as file:
        for step in range(3000):
            file.write(json_line({"step": step, "figures": "0.5 " * 900}))
    size = path.stat().st_size
    assert size > 10_000_000

    def most_bytes(work: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert most_bytes(lambda: sum(1 for _ in read_rows(path))) < size / 3
    assert most_bytes(lambda: rewind_rows(path, 2990)) < size / 3
    assert [row["step"] for row in read_rows(path)] == list(range(2990))
    kept = tmp_path / "metrics.jsonl.pre_resume_002990"
    assert kept.stat().st_size == size
