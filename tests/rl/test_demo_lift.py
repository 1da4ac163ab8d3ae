"""What `geospot demo` says that GRPO brought, by numbers worked out by hand."""

import math
from pathlib import Path

from geospot.demo import compare
from geospot.geo import HALF_CIRCUMFERENCE_KM
from tests.support.approx import approx
from tests.support.result_dirs import answered, failed, write_result

DEGREE_KM = math.pi * 6371.0 / 180.0
TRUTH = (10.0, 20.0)


def test_lift_pairs_photos_counts_failures_as_0_and_is_after_minus_before(tmp_path: Path) -> None:
    off = [answered(str(at), TRUTH, (10.0 + at, 20.0)) for at in range(6)]
    before = [failed("0", TRUTH), off[1], off[2], off[5]]
    after = [answered("1", TRUTH, TRUTH), off[2], answered("5", TRUTH, (11.0, 20.0)), off[0]]
    write_result(tmp_path / "before", before)
    write_result(tmp_path / "after", after)

    lift = compare(tmp_path / "before", tmp_path / "after")

    def worth(*degrees: float) -> float:
        return sum(math.exp(-one * DEGREE_KM / 2000) for one in degrees) / 4

    assert lift.before.reward == approx(worth(1, 2, 5))
    assert lift.after.reward == approx(worth(0, 0, 2, 1))
    assert lift.reward == approx(worth(0, 0, 2, 1) - worth(1, 2, 5))
    assert lift.before.median_km == approx(3.5 * DEGREE_KM)
    assert lift.after.median_km == approx(0.5 * DEGREE_KM)
    # No photo lost anything, none could gain more than 1.
    assert 0.0 <= lift.interval.low < lift.reward < lift.interval.high <= 1.0


def test_the_interval_is_of_pairs_however_much_photos_differ(tmp_path: Path) -> None:
    photos = [answered(str(at), TRUTH, (10.0 + 9 * at, 20.0)) for at in range(7)]
    for name in ("before", "after"):
        write_result(tmp_path / name, [failed("none", TRUTH), *photos])
    lift = compare(tmp_path / "before", tmp_path / "after")
    assert (lift.reward, lift.interval.low, lift.interval.high) == (0.0, 0.0, 0.0)


def test_failures_alone_are_worth_0_at_their_worst(tmp_path: Path) -> None:
    for name in ("before", "after"):
        write_result(tmp_path / name, [failed(str(at), TRUTH) for at in range(3)])
    lift = compare(tmp_path / "before", tmp_path / "after")
    assert lift.after.reward == 0.0
    assert lift.after.median_km == HALF_CIRCUMFERENCE_KM
