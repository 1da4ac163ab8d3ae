"""`truth_sha` is what it has always been, since a result is resumed and ranked by it."""

import hashlib

from geospot.data.sample import GeoSample, SampleTable
from geospot.evaluation.manifest import truth_sha


def test_the_truth_hash_is_that_of_the_sorted_lines() -> None:
    places = [
        (1.0, 2.0),
        (-0.0, 1e-05),
        (48.856614, -180.0),
        (5e-324, 0.1),
        (89.99999999999999, 7.1),
    ]
    ids = ["a", "a,1", "a b", "", "Zürich-北", "\uffff", "\U0001f600", "00123", "x:y"]
    samples = [
        GeoSample(f"{name}{number or ''}", *places[(row + number) % 5], "x.jpg")
        for row, name in enumerate(ids)
        for number in range(300)
    ]
    lines = sorted(f"{s.id},{s.latitude!r},{s.longitude!r}" for s in samples)
    expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()

    assert truth_sha(samples) == truth_sha(reversed(samples)) == expected
    assert truth_sha(SampleTable.from_samples(samples)) == expected
    assert truth_sha([]) == hashlib.sha256(b"").hexdigest()


def test_the_truth_hash_of_two_samples_is_pinned() -> None:
    """Computed with `printf` and `sha256sum` in a shell."""
    samples = [GeoSample("b", 48.85, -2.0, ""), GeoSample("a", -0.5, 1e-05, "")]
    assert truth_sha(samples) == "1807aecae120fa0d22aa240ceaeaed06ebf42291cd3a43d34e19d70be254433b"
