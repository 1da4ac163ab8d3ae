"""The hand-written corpus: what each answer means, rule by rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from geospot.parsing import parse_geo_response

CASES = Path(__file__).parent / "cases"


def _cases() -> list[Any]:
    return [
        pytest.param(json.loads(line), id=f"{path.stem}-{number}")
        for path in sorted(CASES.glob("*.jsonl"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    ]


@pytest.mark.parametrize("case", _cases())
def test_an_answer_is_read_as_written(case: dict[str, Any]) -> None:
    answer = parse_geo_response(case["text"], truncated=case.get("truncated", False))

    assert answer.outcome == case.get("outcome", "ok"), (case["text"], answer)
    if "at" in case:
        latitude, longitude = case["at"]
        assert answer.latitude is not None, case["text"]
        assert answer.longitude is not None, case["text"]
        assert abs(answer.latitude - latitude) < 1e-6, (case["text"], answer)
        assert abs(answer.longitude - longitude) < 1e-6, (case["text"], answer)
    else:
        assert (answer.latitude, answer.longitude) == (None, None)
    for field in ("note", "city", "region", "country"):
        if field in case:
            assert getattr(answer, field) == case[field], (case["text"], answer)
