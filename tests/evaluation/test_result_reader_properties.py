"""What holds of every result directory: cut anywhere it goes on, and no line in it stops a reader
otherwise than with a sentence."""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.errors import ResultFormatError
from geospot.evaluation.following import AnswersTail, ResultFiles, find_answers, read_answer
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.results import ResultDirectory, read_records
from geospot.outcomes import Outcome
from geospot_leaderboard.collect import collect
from tests.support.result_dirs import answered, failed, write_result

Strategy = st.SearchStrategy[Any]
Key = tuple[str, int]

values: Strategy = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(),
        st.integers(-3, 3),
        st.sampled_from([10**400, "ok", "a", *Outcome]),
        st.text(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=4,
)
KEYS = tuple(SampleRecord.__slots__)
texts = st.text(max_size=20)


def record(
    id_: str, draw: int, outcome: Outcome, text: str, point: tuple[float, float]
) -> SampleRecord:
    if outcome is Outcome.OK:
        return answered(id_, (10.0, 20.0), point, text=text, draw=draw)
    return failed(id_, (10.0, 20.0), outcome, text=text, draw=draw)


records = st.builds(
    record,
    st.sampled_from(["a", "b", "c", "\u6771", "\ud800", 'q"\n']),
    st.integers(0, 1),
    st.sampled_from([Outcome.OK, Outcome.REFUSAL, *[Outcome.TRANSPORT_ERROR] * 2]),
    st.one_of(texts, st.just("\ud800\x1b[31m\u2028")),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
)


@contextmanager
def a_result() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="geospot-result-") as folder:
        yield write_result(Path(folder) / "result", [])


def settled(rows: list[SampleRecord]) -> list[SampleRecord]:
    """What an evaluation asks: nothing twice but what failed in transport."""
    done: set[Key] = set()
    kept: list[SampleRecord] = []
    for row in rows:
        if (row.id, row.draw) not in done:
            kept.append(row)
        if row.outcome is not Outcome.TRANSPORT_ERROR:
            done.add((row.id, row.draw))
    return kept


def latest(rows: list[SampleRecord]) -> dict[Key, SampleRecord]:
    return {(row.id, row.draw): row for row in rows}


def append(result: Path, rows: list[SampleRecord]) -> None:
    directory = ResultDirectory.reopen(result)
    for row in rows:
        directory.append(row)
    directory.close()


@settings(max_examples=100, deadline=None)
@given(st.lists(records, min_size=1, max_size=12).map(settled), st.floats(0, 1))
def test_a_kill_at_any_byte_loses_at_most_the_line_that_was_being_written(
    rows: list[SampleRecord], share: float
) -> None:
    with a_result() as result:
        path = result / "samples.jsonl"
        append(result, rows)
        whole = path.read_bytes()
        path.write_bytes(whole[: round(share * len(whole))])
        lines = path.read_bytes().count(b"\n")
        assert latest(list(read_records(path))) == latest(rows[:lines])
        append(result, rows[lines:])
        assert path.read_bytes() == whole
        assert latest(list(read_records(path))) == latest(rows)
        assert len(list(read_records(path))) == len(latest(rows))


@settings(max_examples=60, deadline=None)
@given(st.lists(records, min_size=1, max_size=12).map(settled), st.data())
def test_answers_that_come_one_after_the_other_are_those_that_are_there(
    rows: list[SampleRecord], data: st.DataObject
) -> None:
    with a_result() as result:
        path, tail = result / "samples.jsonl", AnswersTail(result)
        append(result, rows)
        whole = path.read_bytes()
        path.write_bytes(b"")
        while rest := whole[path.stat().st_size :]:
            with path.open("ab") as file:
                file.write(rest[: data.draw(st.integers(1, len(rest)))])
            tail.look(data.draw(st.sampled_from([1, 50, 1 << 19])))
        while (found := tail.look(50)).is_behind:
            pass
        due = latest(rows)
        assert list(found.ids) == [id_ for id_, _ in due]
        for place, ((id_, draw), row) in enumerate(due.items()):
            offset = int(found.columns_N["offset"][place])
            assert (read_answer(result, offset) or {})["text"] == row.text
            assert int(found.columns_N["draw"][place]) == draw
            assert found.distance_km_N[place] == row.distance_km
            assert any(one.get("text") == row.text for one in find_answers(result, id_))
        assert not found.passed_over


def broken_line(row: SampleRecord, key: str, value: Any, *, leaves: bool) -> bytes:
    changed = row.to_json() | {key: value}
    if leaves:
        del changed[key]
    return json.dumps(changed).encode()


lines = st.one_of(
    st.builds(broken_line, records, st.sampled_from(KEYS), values, leaves=st.booleans()),
    records.map(lambda row: json.dumps(row.to_json()).encode()),
    values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from([b"[" * 200_000, b'{"id":' * 100_000]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(lines, max_size=6))
def test_no_line_stops_a_reader_without_a_sentence(content: list[bytes]) -> None:
    with a_result() as result:
        (result / "samples.jsonl").write_bytes(b"\n".join([*content, b""]))
        found = AnswersTail(result).look()
        assert len(found) + found.passed_over <= len(content)
        for id_ in found.ids:
            assert find_answers(result, id_)
        rows: list[SampleRecord] = []
        with suppress(ResultFormatError):
            rows += read_records(result / "samples.jsonl")
        for row in rows:  # whatever is let through can be written and read again
            assert SampleRecord.from_json(json.loads(json.dumps(row.to_json()))).id == row.id
            replace(row, text=row.text + "x")


documents = st.one_of(
    st.binary(max_size=40),
    values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(["format", "n", "all", "ci", "backend", "dataset", "prompt", "outcomes"]),
        values,
    ).map(lambda value: json.dumps(value).encode()),
    st.just(b"[" * 200_000),
)


@settings(max_examples=100, deadline=None)
@given(documents, st.sampled_from(["eval.json", "summary.json"]))
def test_no_document_stops_the_ranking(document: bytes, name: str) -> None:
    with a_result() as result:
        (result / name).write_bytes(document)
        found = collect(result.parent)
        assert len(found.results) + len(found.broken) == 1
        files = ResultFiles(result)
        files.look()
        assert isinstance(files.manifest, dict)
