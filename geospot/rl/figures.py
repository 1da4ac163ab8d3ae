"""The figures of a step: tinker-cookbook's, and those at a fixed scale by which runs compare.

Whatever tau and coefficients a run has, `geo/*` means the same: GeoScore, distances and accuracies
over all rollouts that came back, a failure at its worst, as in an evaluation (docs/metrics.md).
Rollouts lost to service or network are no answers, and count elsewhere. Photos that are shown again
because they are hard are left out: with them the figures would tell how many those are.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from geospot.evaluation.metrics import score_distances
from geospot.outcomes import Outcome
from geospot.rl.advantages import is_informative
from geospot.rl.collapse import answers_of, collapse_figures
from geospot.rl.types import Trajectory, TrajectoryGroup, Transition

OUTCOMES: Final = (
    Outcome.OK,
    Outcome.REFUSAL,
    Outcome.UNPARSED,
    Outcome.PLACE_ONLY,
    Outcome.OUT_OF_RANGE,
)
"""What can become of a rollout that came back."""

_GOOD: Final = 0.5  # tinker-cookbook's threshold of a good group


def step_figures(groups: Sequence[TrajectoryGroup], min_range: float = 0.0) -> dict[str, float]:
    """All figures of the rollouts of a step that came back; empty where none did.

    Keys: `env/all/*` with tinker-cookbook's names, and `env/<tag>/*` for tags of some of the groups;
    `env/all/reward/total` counts a failure as 0, `env/all/reward/raw` at what it costs. `geo/*` at a
    fixed scale, over fresh photos; `outcome/*` are counts; `collapse/*` say how varied the answers
    are.

    Args:
        min_range: groups whose rewards lie no farther apart are all alike, as for the gradient.
    """
    returned = [group for group in groups if group.trajectories]
    if not returned:
        return {}
    figures = _env_figures("env/all", returned, min_range)
    for tag in sorted({tag for group in returned for tag in group.builder.logging_tags()}):
        tagged = [group for group in returned if tag in group.builder.logging_tags()]
        if len(tagged) < len(returned):
            figures |= _env_figures(f"env/{tag}", tagged, min_range)
    final = final_transitions(returned)
    outcomes = Counter(str(one.logs.get("outcome")) for one in final)
    if any("distance_km" in one.metrics for one in final):
        figures |= {f"outcome/{outcome}": float(outcomes[str(outcome)]) for outcome in OUTCOMES}
    figures |= _geo_figures(final_transitions(fresh_groups(returned)))
    return figures | collapse_figures(answers_of(returned))


def fresh_groups(groups: Sequence[TrajectoryGroup]) -> list[TrajectoryGroup]:
    """Those whose photo wasn't chosen for how badly it was answered."""
    return [group for group in groups if not group.builder.is_replayed]


def final_transitions(groups: Sequence[TrajectoryGroup]) -> list[Transition]:
    """The last turn of each rollout that came back."""
    return [one.transitions[-1] for group in groups for one in group.trajectories]


def reported_reward(trajectory: Trajectory) -> float:
    """The reward as it is reported: 0 where the final answer is a failure."""
    answered = trajectory.transitions[-1].metrics.get("answered", 1.0)
    return trajectory.reward if answered else 0.0


def _env_figures(
    prefix: str, groups: Sequence[TrajectoryGroup], min_range: float
) -> dict[str, float]:
    trajectories = [trajectory for group in groups for trajectory in group.trajectories]
    transitions = [one for trajectory in trajectories for one in trajectory.transitions]
    sampled_tokens = sum(len(one.action) for one in transitions)
    prompt_tokens = sum(one.observation.length for one in transitions)
    figures = {
        "reward/total": _mean([reported_reward(trajectory) for trajectory in trajectories]),
        "reward/raw": _mean([trajectory.reward for trajectory in trajectories]),
        "ac_tokens_per_turn": sampled_tokens / len(transitions),
        "ob_tokens_per_turn": prompt_tokens / len(transitions),
        "turns_per_episode": len(transitions) / len(trajectories),
        "total_episodes": float(len(trajectories)),
        "total_turns": float(len(transitions)),
        "total_ac_tokens": float(sampled_tokens),
        "total_ob_tokens": float(prompt_tokens),
    }
    for name in sorted({name for one in transitions for name in one.metrics}):
        figures[name] = _mean([one.metrics[name] for one in transitions if name in one.metrics])
    figures |= _group_shares(groups, min_range)
    return {f"{prefix}/{name}": value for name, value in figures.items()}


def _group_shares(groups: Sequence[TrajectoryGroup], min_range: float) -> dict[str, float]:
    """Shares of the groups whose rewards differ, or are all alike and good, or all alike and bad.

    tinker-cookbook calls rewards alike that are equal, as those of a game are. Distances never are: with
    a small tau, answers thousands of km off have rewards of 1e-50 and 1e-60, and teach nothing.
    """
    kinds: Counter[str] = Counter()
    for group in groups:
        rewards_G = group.rewards_G
        if is_informative(rewards_G, min_range):
            kinds["mixed"] += 1
        else:
            kinds["all_good" if rewards_G[0] >= _GOOD else "all_bad"] += 1
    names = ("mixed", "all_good", "all_bad")
    return {f"by_group/frac_{name}": kinds[name] / len(groups) for name in names}


def _geo_figures(final: Sequence[Transition]) -> dict[str, float]:
    """Headline figures of the final answers."""
    located = [one.metrics for one in final if "distance_km" in one.metrics]
    if not located:
        return {}
    scores = score_distances(
        [metrics["distance_km"] for metrics in located],
        [bool(metrics["answered"]) for metrics in located],
    )
    figures = {
        f"geo/{name}": value for name, value in scores.over_all().items() if value is not None
    }
    return figures | {"geo/answered": scores.coverage}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
