"""What an HTTP failure means for a run."""

import pytest

from geospot_backends.http_faults import (
    is_content_filter,
    is_image_problem,
    is_out_of_credit,
    status_fault,
)


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
