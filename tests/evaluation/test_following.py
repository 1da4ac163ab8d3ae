"""Answers read while they are written."""

import json
from pathlib import Path

import numpy as np
import pytest

from geospot.evaluation.following import OUTCOMES, Answers, AnswersTail, find_answers, read_answer
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.results import SAMPLES, ResultDirectory
from geospot.geo import HALF_CIRCUMFERENCE_KM
from geospot.outcomes import Outcome
from tests.support.result_dirs import answered, failed, write_result


def all_of(tail: AnswersTail, limit: int) -> Answers:
    answers = tail.look(limit)
    while answers.is_behind:
        answers = tail.look(limit)
    return answers


def some(count: int) -> list[SampleRecord]:
    return [
        answered(
            f"p{i}", (10.0, i / 10), (10.0 + i / 5, i / 10),
            labels={"country": "FR"}, place={"city": f"Città {i}"},
        )
        for i in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 300, 1 << 20])
def test_every_answer_is_read_once_whatever_the_limit(tmp_path: Path, limit: int) -> None:
    records = [*some(300), failed("x", (1.0, 2.0), Outcome.REFUSAL)]
    path = write_result(tmp_path / "r", records)
    answers = all_of(AnswersTail(path), limit)
    assert list(answers.ids) == [record.id for record in records]
    assert answers.distance_km_N.tolist() == [record.distance_km for record in records]
    assert answers.geoscore_N.tolist() == [record.geoscore for record in records]
    assert answers.answered_N.sum() == 300
    assert OUTCOMES[int(answers.outcome_N[-1])] == "refusal"
    assert answers.country(0) == "FR"
    assert answers.said[7] == "Città 7"
    assert answers.point(5, true=True) == (10.0, 0.5)
    assert np.isnan(answers.point(300, true=False)).all()


def test_what_comes_later_is_added_and_a_torn_line_waits(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r", some(3))
    tail = AnswersTail(path)
    first = tail.look()
    with (path / SAMPLES).open("ab") as file:
        line = json.dumps(answered("new", (0.0, 1.0), (0.0, 1.0)).to_json()).encode()
        file.write(line[:40])
        file.flush()
        assert len(tail.look()) == 3
        file.write(line[40:] + b"\n")
    later = tail.look()
    assert (len(first), len(later)) == (3, 4)
    assert later.ids[3] == "new"
    assert later.revision > first.revision


def test_an_answer_takes_the_place_of_the_error_before_it(tmp_path: Path) -> None:
    lost = failed("p1", (10.0, 0.1), Outcome.TRANSPORT_ERROR)
    path = write_result(tmp_path / "r", [some(1)[0], lost])
    tail = AnswersTail(path)
    assert OUTCOMES[int(tail.look().outcome_N[1])] == "transport_error"
    directory = ResultDirectory.reopen(path)
    directory.append(lost)
    directory.append(answered("p1", (10.0, 0.1), (10.0, 0.2)))
    directory.close()
    answers = tail.look()
    assert list(answers.ids) == ["p0", "p1"]
    assert OUTCOMES[int(answers.outcome_N[1])] == "ok"
    offset = int(answers.columns_N["offset"][1])
    record = read_answer(path, offset)
    assert record is not None
    assert record["outcome"] == "ok"


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r", some(5))
    tail = AnswersTail(path)
    assert len(tail.look()) == 5
    other = write_result(tmp_path / "other", some(2))
    (other / SAMPLES).replace(path / SAMPLES)
    assert list(tail.look().ids) == ["p0", "p1"]
    (path / SAMPLES).unlink()
    assert len(tail.look()) == 0


def test_lines_that_are_no_records_are_counted(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r", some(1))
    with (path / SAMPLES).open("ab") as file:
        file.write(b'nonsense\n[]\n{"id":3,"outcome":"ok"}\n{"id":"a","outcome":"odd"}\n')
        file.write(
            b'{"id":"b","outcome":"ok","distance_km":1e999,"draw":-1,"labels":[],"place":7}\n'
        )
    answers = AnswersTail(path).look()
    assert answers.passed_over == 4
    assert answers.ids[1] == "b"
    assert answers.distance_km_N[1] == HALF_CIRCUMFERENCE_KM


def test_the_answers_to_one_image_are_found(tmp_path: Path) -> None:
    odd = 'quote " and \\ and é'
    records = [
        answered("p1", (0.0, 0.0), (1.0, 1.0)),
        answered(odd, (0.0, 0.0), (1.0, 1.0), draw=0, text="one"),
        answered(odd, (0.0, 0.0), (1.0, 1.0), draw=1, text="two"),
        answered("p11", (0.0, 0.0), (1.0, 1.0)),
    ]
    path = write_result(tmp_path / "r", records, samples=2)
    assert [row["text"] for row in find_answers(path, odd)] == ["one", "two"]
    assert len(find_answers(path, "p1")) == 1
    assert find_answers(path, "nobody") == []
    assert find_answers(tmp_path / "nowhere", "p1") == []
