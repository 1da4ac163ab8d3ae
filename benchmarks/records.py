"""What a benchmark measured: lines of one form for all, kept as JSON, one file a benchmark."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One piece of work, by us and by one other, round by round.

    Attributes:
        task: what was done.
        unit: of `ours` and `theirs`.
        ours: one value a round.
        peer: who did the same work; empty where there is nobody.
        theirs: one value a round, taken in turns with ours.
        more_is_better: for rates; a cost is better if it is less.
        size: how much work it was, where the task was measured at several sizes.
        axis: what `size` counts.
    """

    task: str
    unit: str
    ours: Sequence[float]
    peer: str = ""
    theirs: Sequence[float] = ()
    more_is_better: bool = False
    size: float | None = None
    axis: str = ""

    @property
    def ratios(self) -> list[float]:
        """How many times better we are in each round: below 1 the other is better."""
        if len(self.ours) != len(self.theirs):
            return []
        pairs = zip(self.ours, self.theirs, strict=True)
        return [a / b if self.more_is_better else b / a for a, b in pairs]

    @property
    def ratio(self) -> float | None:
        """The median of the ratios; None where there is no peer."""
        return statistics.median(self.ratios) if self.ratios else None


@dataclass(frozen=True, slots=True)
class Table:
    """What a benchmark's `main` returns.

    Attributes:
        figures: the lines.
        versions: of the packages that were measured, by name.
        notes: Markdown; what the lines mean, and what isn't a ratio.
    """

    figures: Sequence[Figure] = ()
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """When, where and how busy: see `benchmarks.machine`."""

    date: str
    machine: str
    commit: str
    command: str
    seconds: float
    load_before: float
    load_after: float
    steal: float
    """Share of processor time that the host gave to others."""
    others: float
    """Cores that processes other than the benchmark's own kept busy, on average."""


@dataclass(frozen=True, slots=True)
class Record:
    """A table and the conditions under which it was measured."""

    name: str
    title: str
    table: Table
    conditions: Conditions


def save(record: Record, folder: Path) -> None:
    """Writes the record into `results/NAME.json` of this folder."""
    path = folder / FOLDER / f"{record.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(asdict(record)), indent=1, ensure_ascii=False) + "\n")


def load(folder: Path, names: Sequence[str]) -> list[Record]:
    """The records that there are, in this order."""
    paths = [folder / FOLDER / f"{name}.json" for name in names]
    return [_record(json.loads(path.read_text())) for path in paths if path.exists()]


def _record(found: dict[str, Any]) -> Record:
    table = found["table"]
    figures = [Figure(**figure) for figure in table.pop("figures")]
    return Record(
        name=found["name"],
        title=found["title"],
        table=Table(figures, **table),
        conditions=Conditions(**found["conditions"]),
    )


def _rounded(value: Any) -> Any:
    """Five digits of every number: more is noise, and makes every difference hard to read."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
    return value
