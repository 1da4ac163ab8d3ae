"""Hard photos shown again: which, when, and that a killed run goes on with the same ones."""

from typing import Any

import pytest
from pydantic import ValidationError

from geospot.config.learning import RLConfig
from geospot.data import GeoSample
from geospot.evaluation.metrics import HEADLINE
from geospot.learning.order import SampleOrder
from geospot.rl.figures import step_figures
from geospot.rl.replay import MOST_REPLAYS, REST_STEPS, HardReplay
from geospot.rl.types import REPLAYED, TrajectoryGroup
from tests.support.approx import approx
from tests.support.geo_rollouts import group_of, located

DEGREE_KM = 111.19492664455873
LAG = 3
REST = LAG + REST_STEPS


def a_config(**more: Any) -> RLConfig:
    return RLConfig(batch_size=4, replay_hard=0.5, **more)


def a_replay(n: int = 40, **more: Any) -> HardReplay:
    return HardReplay(a_config(**more), SampleOrder(n, 0), n)


def groups_at(degrees_off: list[float]) -> list[TrajectoryGroup]:
    """A group for each, whose answers are so far off on average."""
    spot = GeoSample("spot", 0.0, 10.0, "spot")
    return [group_of(spot, [located(off, 10.0), located(off, 10.0)]) for off in degrees_off]


def play(replay: HardReplay, steps: int, hard: dict[int, float] | None = None) -> list[list[int]]:
    """So many steps as a run does them; who is shown again in each. Photos not in `hard` are 1° off."""
    again: list[list[int]] = []
    for step in range(steps):
        fresh, replayed = replay.photos(step)
        again.append(replayed)
        errors = [(hard or {}).get(number, 1.0) for number in (*fresh, *replayed)]
        replay.observe(step, groups_at(errors))
    return again


def test_the_hardest_come_again_after_a_rest_and_not_too_often() -> None:
    order = SampleOrder(40, 0)
    worst, bad, later = order.batch(0, 2)[0], order.batch(0, 2)[1], order.batch(1, 2)[0]
    again = play(a_replay(), 20, {worst: 60.0, bad: 30.0, later: 20.0})

    first = REST + 1
    assert again[:first] == [[]] * first
    assert again[first] == [worst, bad]  # by how far off, not by their order
    assert again[first + 1] == [later]
    assert again[first + 2 : first + REST + 1] == [[]] * (REST - 1)
    assert again[first + REST + 1] == [worst, bad]


def test_a_photo_comes_again_a_few_times_until_its_next_turn() -> None:
    order = SampleOrder(400, 0)
    worst = order.batch(0, 2)[0]
    again = play(a_replay(400), 80, {worst: 60.0})
    assert [step for step, shown in enumerate(again) if worst in shown] == [
        (REST + 1) * turn for turn in range(1, MOST_REPLAYS + 1)
    ]
    # 20 photos: an epoch is 10 steps, and with each the count begins anew.
    worst = SampleOrder(20, 0).batch(0, 2)[0]
    again = play(a_replay(20), 120, {worst: 60.0})
    assert sum(worst in shown for shown in again) > MOST_REPLAYS


def test_a_photo_that_is_answered_well_at_last_is_left_alone() -> None:
    replay, order = a_replay(400), SampleOrder(400, 0)
    worst, bad = order.batch(0, 2)
    errors = {worst: 60.0, bad: 30.0}
    shown: list[int] = []
    for step in range(30):
        fresh, replayed = replay.photos(step)
        shown += replayed
        errors[worst] = 0.1 if worst in shown else 60.0  # it is right when it is shown again
        replay.observe(step, groups_at([errors.get(number, 1.0) for number in (*fresh, *replayed)]))
    assert shown.count(worst) == 1
    assert shown.count(bad) > 1


def test_photos_alike_are_not_shown_again() -> None:
    assert play(a_replay(), 30) == [[]] * 30


def test_a_photo_is_never_fresh_and_shown_again_in_one_step() -> None:
    replay = a_replay(24)
    for step in range(60):
        fresh, replayed = replay.photos(step)
        assert not set(fresh) & set(replayed)
        replay.observe(step, groups_at([float(number) for number in (*fresh, *replayed)]))


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_is_shown_does_not_depend_on_when_it_is_asked(ahead: int) -> None:
    """Asked at once, or as early as a step that is prepared ahead: the same."""
    early, late = (a_replay(24, max_steps_off_policy=ahead) for _ in range(2))
    lag = LAG + ahead
    for step in range(50):
        early.photos(step + lag - 1)
        assert early.photos(step) == late.photos(step)
        for replay in (early, late):
            fresh, replayed = replay.photos(step)
            errors = [float(7 * number % 24) for number in (*fresh, *replayed)]
            replay.observe(step, groups_at(errors))


def test_told_of_the_record_it_goes_on_as_if_nothing_had_been() -> None:
    whole = a_replay(60)
    shown: list[tuple[list[int], list[int]]] = []
    rows: list[list[dict[str, Any]]] = []
    for step in range(40):
        shown.append(whole.photos(step))
        errors = [float(5 * number % 60 + step % 3) for part in shown[step] for number in part]
        rows.append(whole.observe(step, groups_at(errors)))
    resumed = a_replay(60)
    for step in range(25):
        resumed.recall(step, rows[step])
    assert all(shown[step][1] for step in range(25, 28))
    for step in range(25, 28):
        assert resumed.photos(step) == shown[step]


def test_what_was_shown_is_taken_from_the_record() -> None:
    resumed = a_replay()
    fresh = SampleOrder(40, 0).batch(0, 2)
    rows = [{"number": number, "mean_km": 5.0, "replayed": number == 17} for number in (*fresh, 17)]
    resumed.recall(0, rows)
    assert resumed.photos(0) == (fresh, [17])
    assert resumed.photos(1)[1] == []


def test_a_lost_group_says_nothing_of_its_photo() -> None:
    spot = GeoSample("spot", 0.0, 10.0, "spot")
    replay = a_replay()
    rows = replay.observe(0, [group_of(spot, [], lost=2), *groups_at([2.0])])
    assert [row["mean_km"] for row in rows] == [None, approx(2 * DEGREE_KM)]
    assert [row["number"] for row in rows] == SampleOrder(40, 0).batch(0, 2)


def test_figures_at_a_fixed_scale_leave_them_out() -> None:
    spot = GeoSample("spot", 0.0, 10.0, "spot")
    fresh = group_of(spot, [located(1.0, 10.0), "no idea"], tags=("fresh",))
    again = group_of(spot, [located(50.0, 10.0), located(60.0, 10.0)], tags=(REPLAYED,))

    alone, both = step_figures([fresh]), step_figures([fresh, again])

    assert {f"geo/{name}" for name in HEADLINE} < both.keys()
    fixed = [key for key in alone if key.startswith("geo/")]
    assert {key: both[key] for key in fixed} == {key: alone[key] for key in fixed}
    assert both["env/replayed/distance_km"] == approx(55 * DEGREE_KM)
    assert both["env/fresh/answered"] == 0.5
    assert both["outcome/ok"] == 3
    assert both["env/all/total_episodes"] == 4


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(ValidationError):
        RLConfig(batch_size=4, replay_hard=share)


def test_a_long_run_keeps_no_more_of_its_steps_than_a_short_one() -> None:
    def kept(replay: HardReplay) -> int:
        parts: list[Any] = [part for part in vars(replay).values() if isinstance(part, dict)]
        return sum(len(part) for part in parts)

    played, recalled = a_replay(), a_replay()
    sizes: list[tuple[int, int]] = []
    for step in range(400):
        fresh, replayed = played.photos(step)
        errors = [float(number) for number in (*fresh, *replayed)]
        recalled.recall(step, played.observe(step, groups_at(errors)))
        sizes.append((kept(played), kept(recalled)))
    assert sizes[-1] == sizes[100]
