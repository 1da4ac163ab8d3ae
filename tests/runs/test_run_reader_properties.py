"""What holds of every run directory: read while it grows it says what it says when it is whole."""

import itertools
import json
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.runs.heartbeat import read_heartbeat
from geospot.runs.histograms import DISTANCE_EDGES_KM, QUANTILES, REWARD_EDGES
from geospot.runs.rollouts import RolloutReader, RolloutWriter, mend_index
from geospot.runs.watch import RunWatch
from tests.drills.run_reader import seen
from tests.support.rollouts import step_rollouts

Strategy = st.SearchStrategy[Any]

numbers: Strategy = st.one_of(
    st.floats(width=32), st.integers(-5, 5), st.sampled_from([1e308, 10**400, -(2**63), 2**62])
)
values: Strategy = st.one_of(
    numbers, st.none(), st.booleans(), st.text(max_size=4), st.lists(numbers, max_size=3)
)
steps: Strategy = st.one_of(st.integers(0, 12), st.integers(-3, 3), values)
METRICS = ("env/all/reward/total", "train_mean_nll", "progress/done_frac", "eval/median_km", "x")


def some(keys: dict[str, Strategy]) -> Strategy:
    return st.fixed_dictionaries({}, optional=keys)


def quantity(edges: int) -> Strategy:
    counts = st.lists(st.one_of(st.integers(0, 9), values), min_size=edges + 1, max_size=edges + 1)
    quantiles = st.lists(values, min_size=len(QUANTILES), max_size=len(QUANTILES))
    return st.one_of(values, some({"counts": counts, "quantiles": quantiles, "mean": values}))


metrics: Strategy = some({"step": steps} | dict.fromkeys(METRICS, values))
histograms: Strategy = some(
    {
        "step": steps,
        "reward": quantity(len(REWARD_EDGES)),
        "distance_km": quantity(len(DISTANCE_EDGES_KM)),
        "groups": st.one_of(values, st.dictionaries(st.sampled_from("abc"), values)),
        "reward_edges": st.one_of(values, st.lists(st.floats(0, 9), max_size=4)),
    }
)
checkpoints: Strategy = some(
    {
        "name": st.one_of(st.sampled_from(["000001", "final"]), values),
        "batch": steps,
        "state_path": values,
        "sampler_path": values,
        "final": values,
    }
)
index: Strategy = some(dict.fromkeys(("step", "offset", "length", "count"), st.integers(-1, 3000)))
FILES: dict[str, Strategy] = {
    "metrics.jsonl": metrics,
    "histograms.jsonl": histograms,
    "checkpoints.jsonl": checkpoints,
    "rollouts.index.jsonl": index,
    "logs.log": values,
}


def written(row: Any) -> bytes:
    return json.dumps(row).encode()


def lines_of(rows: Strategy) -> st.SearchStrategy[bytes]:
    """A file's bytes: rows, broken rows and no rows, the last line with its end or without."""
    whole = rows.map(written)
    broken = st.tuples(whole, st.integers(0, 40)).map(lambda pair: pair[0][: pair[1]])
    noise = st.binary(max_size=12).map(lambda data: data.replace(b"\n", b""))
    line = st.one_of(whole, whole, whole, broken, noise)
    return st.tuples(st.lists(line, max_size=14), st.booleans()).map(
        lambda pair: b"\n".join(pair[0]) + b"\n" * pair[1]
    )


def pieces(content: bytes) -> st.SearchStrategy[list[bytes]]:
    """The file as it grows, cut anywhere."""

    def cut(at: list[int]) -> list[bytes]:
        ends = sorted({*at, len(content)})
        return [content[start:end] for start, end in itertools.pairwise([0, *ends])]

    return st.lists(st.integers(1, max(1, len(content) - 1)), max_size=8).map(cut)


contents = st.fixed_dictionaries({name: lines_of(rows) for name, rows in FILES.items()})


@contextmanager
def a_run() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="geospot-run-") as folder:
        run = Path(folder)
        (run / "config.json").write_text('{"kind": "rl"}')
        writer = RolloutWriter(run)
        for step in range(3):
            writer.write(step, step_rollouts(step))
        for file in writer.files:
            file.close()
        yield run


@settings(max_examples=25, deadline=None)
@given(contents, st.data())
def test_a_run_that_grows_is_read_as_one_that_is_there(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    with a_run() as run:
        (run / "rollouts.index.jsonl").unlink()
        watch = RunWatch(run)
        left = {name: data.draw(pieces(content)) for name, content in files.items()}
        while left := {name: rest for name, rest in left.items() if rest}:
            name = data.draw(st.sampled_from(sorted(left)))
            with (run / name).open("ab") as file:
                file.write(left[name].pop(0))
            if data.draw(st.booleans()):
                watch.look(data.draw(st.sampled_from([1, 10, 100, 1 << 20])))
        assert seen(watch) == seen(RunWatch(run))


few_steps: Strategy = st.fixed_dictionaries(
    {"step": st.integers(0, 3)},
    optional=dict.fromkeys(METRICS[:3], st.one_of(st.floats(-9, 9, width=16), st.none())),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(few_steps, min_size=2, max_size=20), st.integers(1, 200))
def test_a_long_file_is_read_from_its_end_as_from_its_beginning(
    rows: list[dict[str, Any]], limit: int
) -> None:
    with a_run() as run:
        (run / "metrics.jsonl").write_bytes(b"".join(written(row) + b"\n" for row in rows))
        watch = RunWatch(run)
        while watch.look(limit).is_behind:
            pass
        assert seen(watch) == seen(RunWatch(run))


@settings(max_examples=20, deadline=None)
@given(contents, contents)
def test_files_that_are_replaced_are_read_anew(
    before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    """As a run does that goes back to a checkpoint."""
    with a_run() as run:
        for name, content in before.items():
            (run / name).write_bytes(content)
        watch = RunWatch(run)
        watch.look()
        for name, content in after.items():
            (run / f"{name}.new").write_bytes(content)
            (run / f"{name}.new").replace(run / name)
        assert seen(watch) == seen(RunWatch(run))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 4000), st.integers(0, 300))
def test_an_index_is_mended_after_a_kill_at_any_byte(lines: int, index: int) -> None:
    """What was written whole is found; what is written from then on is, too."""
    with a_run() as run:
        for name, size in (("rollouts.jsonl", lines), ("rollouts.index.jsonl", index)):
            path = run / name
            path.write_bytes(path.read_bytes()[:size])
        whole = (run / "rollouts.jsonl").read_bytes().count(b"\n")
        mend_index(run)
        writer = RolloutWriter(run)
        writer.write(7, step_rollouts(7))
        for file in writer.files:
            file.close()
        reader = RolloutReader(run)
        reader.look()
        found = [record for step in reader.steps for record in reader.read(step)]
        assert len(found) == whole + len(step_rollouts(7))
        assert sum(reader.count(step) for step in reader.steps) == len(found)


documents = st.one_of(
    st.binary(max_size=60),
    st.recursive(values, lambda inner: st.dictionaries(st.text(max_size=3), inner)).map(written),
    some(
        dict.fromkeys(("state", "reason", "pid", "host", "step", "total", "phase", "time"), values)
    ).map(written),
    st.integers(1, 200_000).map(lambda depth: b"[" * depth),
    st.integers(1, 200_000).map(lambda depth: b'{"a":' * depth),
)


def read_all(run: Path) -> str:
    return seen(RunWatch(run))


@pytest.mark.parametrize("read", [read_heartbeat, read_all])
@settings(max_examples=25, deadline=None)
@given(document=documents, name=st.sampled_from(["heartbeat.json", "config.json"]))
def test_no_document_stops_a_reader(
    read: Callable[[Path], object], document: bytes, name: str
) -> None:
    with a_run() as run:
        (run / name).write_bytes(document)
        assert read(run) == read(run)
