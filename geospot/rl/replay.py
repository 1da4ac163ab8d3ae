"""Photos that were answered badly, shown again: which, and when.

What a step shows depends on the order of photos and on figures of earlier steps that are surely on
record when it is prepared, and on nothing else. A run that goes on after a kill, told of those, shows
what it would have shown.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from geospot.config.learning import RLConfig
from geospot.learning.order import SampleOrder
from geospot.rl.tau import record_lag
from geospot.rl.types import TrajectoryGroup

REST_STEPS: Final = 5
"""So many steps, and the lag of the record, lie between two showings of a photo."""

MOST_REPLAYS: Final = 3
"""How often a photo is shown again until the order brings it by itself."""

NEVER: Final = -(1 << 31)


class HardReplay:
    """The photos of each step: fresh ones, as the order brings them, and hard ones from before.

    A photo is as hard as its newest answers were far off, on average over the group and with failures
    at half the circumference: unlike the reward, that doesn't change with tau. Those are shown again
    that are harder than the median photo on record, the hardest first, but none within `REST_STEPS`
    and the lag of its last showing, nor more than `MOST_REPLAYS` times between two fresh showings. So
    a step has at most `replayed_photos` of them, and the first ones none.

    Args:
        order: of the fresh photos.
        n: number of photos.
    """

    def __init__(self, config: RLConfig, order: SampleOrder, n: int) -> None:
        self._order = order
        self._fresh = config.fresh_photos
        self._replayed = config.replayed_photos
        self._lag = record_lag(config)
        self._record: dict[int, dict[int, float]] = {}
        self._next = 0
        """The step that is chosen next."""
        self._shown: dict[int, tuple[list[int], list[int]]] = {}
        """The newest steps that were chosen, as many as may not be on record yet."""
        self._recalled: dict[int, list[int]] = {}
        self._mean_km_N = np.full(n, np.nan)
        self._last_N = np.full(n, NEVER, dtype=np.int64)
        self._replays_N = np.zeros(n, dtype=np.int64)
        self._lock = threading.Lock()  # steps are prepared in threads

    def photos(self, step: int) -> tuple[list[int], list[int]]:
        """Numbers of the photos of a step: the fresh ones, and those shown again.

        What the steps up to `step` − lag were has to be known. What they showed is forgotten.
        """
        with self._lock:
            self._choose_up_to(step)
            return self._shown[step]

    def observe(self, step: int, groups: Sequence[TrajectoryGroup]) -> list[dict[str, Any]]:
        """Takes in what a finished step was; `groups` in the order of `photos`.

        Returns what `recall` needs, a row for each photo.
        """
        fresh, replayed = self.photos(step)
        rows = [
            {
                "sample_id": group.builder.group_id,
                "number": number,
                "mean_km": _mean_km(group),
                "replayed": place >= len(fresh),
            }
            for place, (number, group) in enumerate(zip((*fresh, *replayed), groups, strict=True))
        ]
        self.recall(step, rows)
        return rows

    def recall(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes in what an earlier process observed, step by step; what it showed isn't chosen anew."""
        known = {
            int(row["number"]): float(row["mean_km"]) for row in rows if row["mean_km"] is not None
        }
        with self._lock:
            self._record[step] = known
            if step >= self._next:
                self._recalled[step] = [int(row["number"]) for row in rows if row["replayed"]]
            if step == self._next:
                self._choose_up_to(step)

    def _choose_up_to(self, step: int) -> None:
        while self._next <= step:
            self._shown[self._next] = self._choose(self._next)
            self._shown.pop(self._next - self._lag, None)
            self._next += 1

    def _choose(self, step: int) -> tuple[list[int], list[int]]:
        """Called once a step, in their order."""
        for number, mean_km in self._record.pop(step - self._lag, {}).items():
            self._mean_km_N[number] = mean_km
        fresh = self._order.batch(step, self._fresh)
        self._last_N[fresh] = step
        self._replays_N[fresh] = 0
        recalled = self._recalled.pop(step, None)
        replayed = self._hardest(step) if recalled is None else recalled
        self._last_N[replayed] = step
        self._replays_N[replayed] += 1
        return fresh, replayed

    def _hardest(self, step: int) -> list[int]:
        mean_km_N = self._mean_km_N
        known = np.flatnonzero(~np.isnan(mean_km_N))
        if not known.size:
            return []
        hard = known[
            (mean_km_N[known] > np.median(mean_km_N[known]))
            & (self._last_N[known] < step - self._lag - REST_STEPS)
            & (self._replays_N[known] < MOST_REPLAYS)
        ]
        return hard[np.argsort(-mean_km_N[hard], kind="stable")][: self._replayed].tolist()


def _mean_km(group: TrajectoryGroup) -> float | None:
    """Mean distance of the final answers; None where none came back."""
    if not group.trajectories:
        return None
    return float(
        np.mean([one.transitions[-1].metrics["distance_km"] for one in group.trajectories])
    )
