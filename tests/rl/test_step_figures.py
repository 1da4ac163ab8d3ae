"""The figures of a step: comparable whatever the reward is, failures at their worst."""

import math

import pytest

from geospot.data import GeoSample
from geospot.evaluation.metrics import HEADLINE
from geospot.geo import HALF_CIRCUMFERENCE_KM, geoscore
from geospot.rl.figures import OUTCOMES, reported_reward, step_figures
from geospot.rl.geo_reward import GeoReward
from geospot.rl.types import TrajectoryGroup
from tests.support.approx import approx
from tests.support.geo_rollouts import group_of, located

AT_ZERO = GeoSample("zero", 0.0, 10.0, "zero")
NORTH = GeoSample("north", 60.0, 10.0, "north")
DEGREE_KM = math.pi * 6371.0 / 180.0


def a_step(reward: GeoReward | None = None) -> list[TrajectoryGroup]:
    """Errors of 0, 0 and 10 degrees and a refusal; then one of 1 degree and one lost rollout."""
    reward = reward or GeoReward((1000.0,))
    good, off = located(0.0, 10.0), located(10.0, 10.0)
    return [
        group_of(AT_ZERO, [good, good, off, "I can't help with that."], reward=reward),
        group_of(NORTH, [located(61.0, 10.0)], reward=reward, lost=1),
    ]


def test_failures_count_as_0_in_the_reported_reward_and_at_their_cost_in_the_raw_one() -> None:
    figures = step_figures(a_step())
    earned = 2.0 + math.exp(-10 * DEGREE_KM / 1000) + math.exp(-DEGREE_KM / 1000)

    assert figures["env/all/reward/total"] == approx(earned / 5)
    assert figures["env/all/reward/raw"] == approx((earned - 0.1) / 5)


def test_figures_at_a_fixed_scale_have_failures_at_their_worst() -> None:
    figures = step_figures(a_step())

    scores = [5000.0, 5000.0, geoscore(10 * DEGREE_KM), 0.0, geoscore(DEGREE_KM)]
    assert figures["geo/geoscore"] == approx(sum(scores) / 5)
    assert figures["geo/median_km"] == approx(DEGREE_KM)
    assert figures["geo/mean_km"] == approx((11 * DEGREE_KM + HALF_CIRCUMFERENCE_KM) / 5)
    assert figures["geo/acc_25km"] == 0.4
    assert figures["geo/acc_200km"] == 0.6
    assert figures["geo/acc_2500km"] == 0.8
    assert figures["geo/answered"] == 0.8


def test_figures_at_a_fixed_scale_do_not_depend_on_the_reward() -> None:
    coarse = step_figures(a_step())
    fine = step_figures(a_step(GeoReward((1.0, 25.0), format_coef=2.0)))

    assert coarse["env/all/reward/total"] != fine["env/all/reward/total"]
    kept = [key for key in coarse if key.startswith(("geo/", "outcome/", "collapse/"))]
    assert {f"geo/{name}" for name in HEADLINE} < set(kept)
    assert {key: fine[key] for key in kept} == {key: coarse[key] for key in kept}


def test_outcomes_are_counted_also_those_that_did_not_happen() -> None:
    figures = step_figures(a_step())
    counts = {outcome: figures[f"outcome/{outcome}"] for outcome in OUTCOMES}
    assert counts == {"ok": 4, "refusal": 1, "unparsed": 0, "place_only": 0, "out_of_range": 0}


def test_groups_are_mixed_all_good_or_all_bad() -> None:
    near, far = located(0.0, 10.0), located(80.0, 10.0)
    groups = [
        group_of(AT_ZERO, [near, near]),
        group_of(AT_ZERO, [near, far]),
        group_of(AT_ZERO, [far, far]),
        group_of(AT_ZERO, ["", "no"]),
        group_of(AT_ZERO, [], lost=2),
    ]
    figures = step_figures(groups)
    shares = [figures[f"env/all/by_group/frac_{kind}"] for kind in ("mixed", "all_good", "all_bad")]
    assert shares == [0.25, 0.25, 0.5]


def test_rewards_that_give_no_gradient_are_alike() -> None:
    """At tau 25 km answers some thousand km off earn 1e-40 to 1e-190: nothing, and never the same."""
    small = GeoReward((25.0,))
    far = [located(latitude, 10.0) for latitude in (25.0, 40.0, 60.0, 80.0)]
    groups = [group_of(AT_ZERO, far, reward=small), group_of(AT_ZERO, ["no"] * 4, reward=small)]
    assert len(set(groups[0].rewards_G)) == 4
    assert step_figures(groups, 1e-4)["env/all/by_group/frac_mixed"] == 0.0
    assert step_figures(groups, 1e-4)["env/all/by_group/frac_all_bad"] == 1.0
    assert step_figures(groups)["env/all/by_group/frac_mixed"] == 0.5


def test_metrics_are_means_over_the_rollouts_that_have_them() -> None:
    reward = GeoReward((1000.0,), {"coord": 1.0, "country": 1.0})
    labelled = GeoSample("fr", 0.0, 10.0, "fr", country="FR")
    text = located(0.0, 10.0)
    figures = step_figures(
        [
            group_of(labelled, [f"Country: France\n{text}", text], reward=reward),
            group_of(AT_ZERO, [text, text], reward=reward),
        ]
    )
    assert figures["env/all/reward/country"] == 0.5
    assert figures["env/all/reward/coord"] == 1.0
    assert figures["env/all/answered"] == 1.0
    assert figures["env/all/distance_km"] == 0.0
    assert figures["env/all/ac_tokens_per_turn"] == 2.0
    assert figures["env/all/total_ob_tokens"] == 12.0
    assert figures["env/all/total_episodes"] == 4.0


def test_tags_of_some_groups_have_figures_of_their_own() -> None:
    near, far = located(0.0, 10.0), located(80.0, 10.0)
    groups = [
        group_of(AT_ZERO, [near, near], tags=("all of them", "north")),
        group_of(AT_ZERO, [far, far], tags=("all of them",)),
    ]
    figures = step_figures(groups)
    assert figures["env/north/geoscore"] == 5000.0
    assert figures["env/all/geoscore"] < 5000.0
    assert not any(key.startswith("env/all of them/") for key in figures)


def test_a_step_whose_rollouts_were_all_lost_has_no_figures() -> None:
    assert step_figures([group_of(AT_ZERO, [], lost=4)]) == {}
    assert step_figures([]) == {}


def test_a_step_of_failures_alone_has_figures_and_no_variety() -> None:
    figures = step_figures([group_of(AT_ZERO, ["", "no"])])
    assert figures["env/all/reward/total"] == 0.0
    assert figures["geo/median_km"] == HALF_CIRCUMFERENCE_KM
    assert figures["geo/geoscore"] == 0.0
    assert not any(key.startswith("collapse/") for key in figures)


@pytest.mark.parametrize(("text", "reported"), [("no idea", 0.0), (located(0.0, 10.0), 1.0)])
def test_reported_reward(text: str, reported: float) -> None:
    assert reported_reward(group_of(AT_ZERO, [text]).trajectories[0]) == reported


def test_every_figure_is_a_finite_number() -> None:
    assert all(math.isfinite(value) for value in step_figures(a_step()).values())
