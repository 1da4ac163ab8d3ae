"""What an HTTP failure means for a run."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from geospot_backends.http_faults import (
    is_content_filter,
    is_image_problem,
    is_out_of_credit,
    retry_after_s,
    status_fault,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": format_datetime(NOON.replace(second=42), usegmt=True)}, 42.0),
        ({"retry-after": format_datetime(NOON.replace(hour=11), usegmt=True)}, 0.0),
    ],
)
def test_retry_after_in_seconds_milliseconds_and_dates(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers, now_s=NOON.timestamp()) == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "rate_limit"),
        (503, "rate_limit"),
        (529, "rate_limit"),
        (500, "transient"),
        (502, "transient"),
        (504, "transient"),
        (408, "transient"),
        (400, "permanent"),
        (404, "permanent"),
    ],
)
def test_each_status_is_of_one_kind(status: int, kind: str) -> None:
    fault = status_fault(status, {}, "m")
    assert fault.kind == kind
    assert fault.label == str(status)


def test_a_filter_is_known_by_its_code_not_by_a_word_in_a_message() -> None:
    azure = {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    router = {"error": {"code": 403, "metadata": {"reasons": ["x"], "flagged_input": "…"}}}
    assert is_content_filter(400, {"error": {"code": "content_filter", "message": "blocked"}})
    assert is_content_filter(400, {"code": "content_policy_violation"})
    assert is_content_filter(400, azure)
    assert is_content_filter(403, router)
    assert not is_content_filter(500, azure)
    for message in ('Unknown name "safety_settings"', "see our content policy", "moderation: off?"):
        assert not is_content_filter(400, {"error": {"message": message, "code": 400}})


def test_credit_is_out_only_if_the_code_says_so_and_no_time_is_named() -> None:
    quota = {"error": {"code": "insufficient_quota"}}
    billing_link = {"error": {"code": "rate_limit_exceeded", "message": "see /account/billing"}}
    assert is_out_of_credit(429, {}, quota)
    assert not is_out_of_credit(429, {"retry-after": "1"}, quota)
    assert not is_out_of_credit(429, {}, billing_link)
    assert is_out_of_credit(402, {}, None)


def test_images_are_told_from_parameters() -> None:
    assert is_image_problem(400, {"code": "image_parse_error"})
    assert is_image_problem(400, {"error": {"message": "cannot identify image file <…>"}})
    assert is_image_problem(413, None)
    assert not is_image_problem(400, {"message": "max_tokens is too large"})
    assert not is_image_problem(400, {"message": "unknown parameter image_detail"})


@pytest.mark.parametrize("text", ["1e400", "nan", "inf", ""])
def test_a_retry_after_that_is_no_finite_number_is_none(text: str) -> None:
    assert retry_after_s({"retry-after": text}) is None
