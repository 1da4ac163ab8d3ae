"""Published results on whole test sets, shown beside measured rows but never ranked with them."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Reference:
    """One published row. Accuracies are fractions; None where nothing was published."""

    model: str
    dataset: str
    split: str
    n: int
    geoscore: float
    mean_km: float
    country_acc: float | None
    region_acc: float | None
    sub_region_acc: float | None
    city_acc: float | None
    source: str
    read_at_source: bool
    """False: taken from a later paper's or notice's table, not from the publication itself."""
    note: str


def references(dataset: str, split: str) -> list[Reference]:
    """Published results for this data set and split, best first."""
    rows = [row for row in _all_references() if (row.dataset, row.split) == (dataset, split)]
    return sorted(rows, key=lambda row: -row.geoscore)


@cache
def _all_references() -> tuple[Reference, ...]:
    table = files("geospot_leaderboard").joinpath("references.csv").read_text(encoding="utf-8")
    return tuple(_reference(row) for row in csv.DictReader(table.splitlines()))


def _reference(row: dict[str, str]) -> Reference:
    def fraction(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Reference(
        model=row["model"],
        dataset=row["dataset"],
        split=row["split"],
        n=int(row["n"]),
        geoscore=float(row["geoscore"]),
        mean_km=float(row["mean_km"]),
        country_acc=fraction("country_acc"),
        region_acc=fraction("region_acc"),
        sub_region_acc=fraction("sub_region_acc"),
        city_acc=fraction("city_acc"),
        source=row["source"],
        read_at_source=row["read_at_source"] == "yes",
        note=row["note"],
    )
