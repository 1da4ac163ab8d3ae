"""How long a server asks to be left alone: seconds, milliseconds, dates, and whose clock is heeded."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from geospot.retry_after import retry_after_s

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
"""What the server's clock says; ours says something else."""


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
    assert retry_after_s({"date": format_datetime(NOON, usegmt=True), **headers}) == seconds


def test_without_the_servers_clock_a_date_is_held_against_ours() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=600)
    waits_s = retry_after_s({"retry-after": format_datetime(soon, usegmt=True)})
    assert waits_s is not None
    assert 500 < waits_s <= 600


@pytest.mark.parametrize("text", ["1e400", "nan", "inf", ""])
def test_a_retry_after_that_is_no_finite_number_is_none(text: str) -> None:
    assert retry_after_s({"retry-after": text}) is None
