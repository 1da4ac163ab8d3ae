"""A drill calls gone what is gone, and not what a run has set aside."""

from pathlib import Path

import pytest

from tests.drills.errands import gone, kept

OLD = b"one\ntwo\nthree\nfour\n"


@pytest.mark.parametrize(
    ("now", "moved", "is_gone"),
    [
        (OLD + b"five\n", {}, False),
        (b"one\ntwo\n", {}, True),
        (b"one\ntwo\n", {"000002": b"three\n"}, True),
        (b"one\ntwo\nanother\n", {"000002": OLD}, False),  # moved whole
        (b"one\ntwo\nanother\n", {"000002": b"three\nfour\nfi"}, False),  # its end alone
        (b"one\ntwo\nthree\nanother\n", {"000002": b"three\nfour\n"}, False),  # and done alike
        (b"one\nanother\n", {"000002": b"three\nfour\n"}, True),  # the second is nowhere
    ],
)
def test_what_was_set_aside_is_not_gone(
    tmp_path: Path, now: bytes, moved: dict[str, bytes], is_gone: bool
) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    path.write_bytes(OLD)
    before = kept(tmp_path)
    path.write_bytes(now)
    for step, data in moved.items():
        path.with_name(f"metrics.jsonl.pre_resume_{step}").write_bytes(data)
    assert any(gone(before)) == is_gone
