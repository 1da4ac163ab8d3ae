"""`histograms.jsonl`: how rewards and distances were spread over a step's rollouts.

The bins are the same for every step and every run, so that a heat map over steps needs no second look at
the rollouts and runs can be laid side by side. A first row declares them, for readers of other
languages and of later versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from geospot.durable import LineFile
from geospot.runs.rewind import rewind_rows
from geospot.runs.tail import StepTail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HISTOGRAMS: Final = "histograms.jsonl"
SCHEMA_VERSION: Final = 1

REWARD_EDGES: Final = tuple(round(0.025 * i, 3) for i in range(41))
"""0 to 1 in steps of 0.025. Failures, whose reward is negative, fall below the first edge."""

DISTANCE_EDGES_KM: Final = (
    *(0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 750.0),
    *(1000.0, 1500.0, 2000.0, 2500.0, 3500.0, 5000.0, 7500.0, 10000.0, 12500.0, 15000.0, 20015.0),
)
"""The accuracy radii are among them. Failures, at half the circumference, fall beyond the last edge."""

QUANTILES: Final = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)


Quantity = Literal["reward", "distance_km"]


@dataclass(frozen=True, slots=True)
class Spread:
    """One quantity over a step's N rollouts.

    `counts` has one number more than there are edges: below the first edge, then between each pair
    (the lower edge included, and at the end the last edge too), then above the last. `quantiles` are
    those of QUANTILES, None where there were no rollouts.
    """

    counts: list[int]
    quantiles: list[float | None]
    mean: float | None


class HistogramWriter:
    """Appends one row a step, after a first one that declares the bins."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTOGRAMS
        self.file = LineFile(self._path)

    def rewind(self, step: int) -> int:
        """Sets the rows of `step` and later aside, and declares the bins of a new file."""
        gone = rewind_rows(self._path, step)
        if not self._path.is_file() or not self._path.stat().st_size:
            self.file.append(declaration())
        return gone

    def write(
        self,
        step: int,
        reward_N: "NDArray[np.floating[Any]]",
        distance_km_N: "NDArray[np.floating[Any]]",
        groups: Mapping[str, float],
    ) -> None:
        """Appends the step's row; `groups` are shares of the groups by name, such as frac_mixed."""
        reward = spread(reward_N, REWARD_EDGES)
        distance_km = spread(distance_km_N, DISTANCE_EDGES_KM)
        self.file.append(
            {
                "step": step,
                "n": len(reward_N),
                "reward": _row(reward),
                "distance_km": _row(distance_km),
                "groups": dict(groups),
            }
        )


class HistogramReader:
    """Histograms of a run that may still be going on."""

    def __init__(self, folder: Path) -> None:
        self._tail = StepTail(folder / HISTOGRAMS)

    def look(self) -> bool:
        """Reads what is new; whether anything was."""
        return self._tail.look()

    @property
    def steps(self) -> list[int]:
        """Steps that have a row, ascending."""
        return list(self._tail.rows)

    def edges(self, quantity: Quantity) -> tuple[float, ...]:
        """The edges that the file declares, ours where it declares none."""
        declared = self._tail.loose.get(f"{quantity}_edges")
        if isinstance(declared, list):
            return tuple(float(edge) for edge in cast(list[float], declared))
        return REWARD_EDGES if quantity == "reward" else DISTANCE_EDGES_KM

    def spread(self, step: int, quantity: Quantity) -> Spread | None:
        """How the quantity was spread at that step, None where the file doesn't say."""
        row: Any = self._tail.rows.get(step, {}).get(quantity)
        try:
            counts: list[int] = list(row["counts"])
            quantiles: list[float | None] = list(row["quantiles"])
            return Spread(counts, quantiles, row["mean"])
        except (KeyError, TypeError):
            return None

    def groups(self, step: int) -> dict[str, float]:
        """Shares of the step's groups by name."""
        shares = self._tail.rows.get(step, {}).get("groups")
        return dict(cast(dict[str, float], shares)) if isinstance(shares, dict) else {}


def declaration() -> dict[str, Any]:
    """The first row of a file: its bins."""
    return {
        "schema_version": SCHEMA_VERSION,
        "reward_edges": REWARD_EDGES,
        "distance_km_edges": DISTANCE_EDGES_KM,
        "quantiles": QUANTILES,
    }


def spread(value_N: "NDArray[np.floating[Any]]", edges: tuple[float, ...]) -> Spread:
    """Counts, quantiles (linear interpolation) and mean of the values; NaN are left out."""
    import numpy as np

    values = np.asarray(value_N, dtype=np.float64)
    values = values[~np.isnan(values)]
    places = np.searchsorted(edges, values, side="right")
    places[values == edges[-1]] -= 1
    counts = np.bincount(places, minlength=len(edges) + 1)
    if not values.size:
        return Spread(counts.tolist(), [None] * len(QUANTILES), None)
    quantiles = [float(q) for q in np.quantile(values, QUANTILES)]
    return Spread(counts.tolist(), [_short(q) for q in quantiles], _short(float(values.mean())))


def _row(spread: Spread) -> dict[str, Any]:
    return {"counts": spread.counts, "quantiles": spread.quantiles, "mean": spread.mean}


def _short(value: float) -> float:
    """Seven significant digits: to 2 m at the antipode, and a third of the bytes."""
    return float(f"{value:.7g}")
