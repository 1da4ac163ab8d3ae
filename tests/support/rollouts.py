"""Rollouts for run directories."""

from geospot.outcomes import Outcome
from geospot.runs.rollouts import RolloutRecord

HOSTILE_TEXT = 'Latitude: 48.1\u2028"}\n{"step": 99}\x85\ud800 \x1b[31m 東京'
"""Line ends that only some readers see, half a surrogate pair, an escape sequence, a forged row."""


def rollout(step: int, group: int = 0, index: int = 0, **more: object) -> RolloutRecord:
    """A rollout that tells which it is."""
    given: dict[str, object] = {
        "step": step,
        "group": group,
        "index": index,
        "sample_id": f"photo-{group}",
        "true_latitude": 48.0,
        "true_longitude": 11.0,
        "outcome": Outcome.OK,
        "reward": 0.25 * index,
        "distance_km": 100.0 + index,
        "text": HOSTILE_TEXT,
        "latitude": 48.1,
        "longitude": 11.2,
        "labels": {"country": "DE"},
        "place": {"city": "München"},
        "terms": {"reward/coord": 0.25 * index},
        "advantage": 0.1,
        "tokens": [1, 2, 3],
        "logprobs": [-0.5, -0.25, -0.125],
        "prompt_tokens": 77,
        "sampler_step": step,
    }
    return RolloutRecord(**(given | more))  # pyright: ignore[reportArgumentType]


def step_rollouts(step: int, groups: int = 2, size: int = 2) -> list[RolloutRecord]:
    """All rollouts of one step."""
    return [rollout(step, group, index) for group in range(groups) for index in range(size)]
