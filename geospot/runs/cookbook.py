"""Rollouts of tinker-cookbook's runs, read from `iteration_NNNNNN/train_rollout_summaries.jsonl`.

It keeps no histograms and no index, so both are built here while somebody watches: a few iterations at
every look, the newest first, each file read once.
"""

import math
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from geospot.geo import FloatArray
from geospot.runs.cookbook_records import distance_of, number, records, turns_of, whole
from geospot.runs.histograms import DISTANCE_EDGES_KM, REWARD_EDGES, spread
from geospot.runs.rollouts import RolloutRecord
from geospot.runs.spreads import SpreadsBuilder
from geospot.runs.summaries import read_summaries, summaries_path

_NAME: Final = re.compile(r"iteration_(\d{6,12})")
_AWAITED: Final = 8
"""Newest iterations whose summaries may still come."""

_GOOD: Final = 0.5
"""Reward from which the cookbook calls a group of equal rewards good, and not bad."""

_WIDEST: Final = 1e12
"""Range of rewards that bins of equal width are of use for."""

_Stamp = tuple[int, int, int]


class CookbookRollouts:
    """The iterations of one run, indexed as they appear. One thread at a time may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listed: int | None = None
        self._waiting: set[int] = set()
        self._without: set[int] = set()
        """Iterations that have no summaries, and won't get any: only evaluated, or not exported."""
        self._seen: dict[int, tuple[_Stamp, int]] = {}
        self._steps: list[int] = []
        self._edges: tuple[float, ...] | None = None

    @property
    def steps(self) -> Sequence[int]:
        """Steps whose rollouts can be read, ascending."""
        return self._steps

    @property
    def is_behind(self) -> bool:
        """Whether there are iterations that weren't looked into, beside those that may still come."""
        return len(self._waiting) > _AWAITED

    def count(self, step: int) -> int:
        """How many trajectories the step has."""
        return self._seen[step][1] if step in self._seen else 0

    def read(self, step: int) -> list[RolloutRecord]:
        """The step's records, group by group; a record a turn."""
        return records(step, read_summaries(self._folder, step))

    def look(
        self, builder: SpreadsBuilder, again: Iterable[int] = (), limit: int = 1 << 20
    ) -> bool:
        """Reads summaries that weren't read yet into the builder, until it has read `limit` bytes.

        Args:
            again: steps that the run has just finished; if it did them before, their file is another one.

        Returns:
            Whether there was anything.
        """
        self._list()
        self._waiting.update(step for step in again if step in self._seen or step in self._without)
        found: list[Mapping[str, Any]] = []
        for place, step in enumerate(sorted(self._waiting, reverse=True)):
            if limit <= 0:
                break
            stamp = _stamp(summaries_path(self._folder, step))
            if stamp is not None:
                self._waiting.discard(step)
                if step not in self._seen or self._seen[step][0] != stamp:
                    rows = read_summaries(self._folder, step)
                    limit -= stamp[2]
                    self._seen[step] = (stamp, len(rows))
                    found.append(self._histogram(builder, step, rows))
            elif place >= _AWAITED:
                self._waiting.discard(step)
                self._without.add(step)
        if found:
            builder.add(found)
            self._steps = sorted(self._seen)
        return bool(found)

    def _list(self) -> None:
        """Notes new iterations; the folder's own time tells whether there can be any."""
        changed = self._folder.stat().st_mtime_ns
        if changed != self._listed:
            with os.scandir(self._folder) as entries:
                names = [match for entry in entries if (match := _NAME.fullmatch(entry.name))]
            self._waiting |= {int(name[1]) for name in names} - self._seen.keys() - self._without
            self._listed = changed

    def _histogram(
        self, builder: SpreadsBuilder, step: int, rows: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """What `histograms.jsonl` would have of the step, had the run written one."""
        groups: dict[int, list[float]] = {}
        for row in rows:
            reward = number(row.get("total_reward"))
            if not math.isnan(reward):
                groups.setdefault(whole(row.get("group_idx")), []).append(reward)
        reward_N = np.array([reward for group in groups.values() for reward in group], np.float64)
        distance_km_N = np.array([distance_of(row, turns_of(row)[-1:]) for row in rows], np.float64)
        if self._edges is None and len(reward_N):
            self._edges = edges_for(reward_N)
            builder.add([{"reward_edges": list(self._edges)}])
        return {
            "step": step,
            "n": len(rows),
            "reward": asdict(spread(reward_N, self._edges or REWARD_EDGES)),
            "distance_km": asdict(spread(distance_km_N, DISTANCE_EDGES_KM)),
            "groups": _shares(list(groups.values())),
        }


def edges_for(reward_N: FloatArray) -> tuple[float, ...]:
    """Bins for rewards such as these: ours where they are from 0 to 1, else some forty round ones."""
    low, high = float(np.min(reward_N)), float(np.max(reward_N))
    if (low >= 0 and high <= 1) or high - low > _WIDEST:
        return REWARD_EDGES
    rough = max(high - low, 1.0) / 40
    power = 10.0 ** math.floor(math.log10(rough))
    width = next(power * nice for nice in (1.0, 2.0, 2.5, 5.0, 10.0) if power * nice >= rough)
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = tuple(
        float(f"{width * place:.12g}") for place in range(first, max(last, first + 1) + 1)
    )
    ascends = all(a < b for a, b in pairwise(edges))
    return edges if ascends else REWARD_EDGES


def _shares(groups: Sequence[Sequence[float]]) -> dict[str, float]:
    """Shares of groups by the cookbook's names."""
    if not groups:
        return {}
    kinds = [
        "mixed" if min(group) != max(group) else "all_good" if group[0] >= _GOOD else "all_bad"
        for group in groups
    ]
    names = ("mixed", "all_good", "all_bad")
    return {f"frac_{name}": kinds.count(name) / len(groups) for name in names}


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    is_file = stat.S_ISREG(status.st_mode)
    return (status.st_ino, status.st_mtime_ns, status.st_size) if is_file else None
