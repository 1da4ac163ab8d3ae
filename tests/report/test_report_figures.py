"""The figures and tables of a report show the numbers that stand in the result."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from geospot.data.progress import silent
from geospot.errors import ResultFormatError
from geospot.evaluation.following import Answers
from geospot.evaluation.metrics import ACCURACIES
from geospot.report import charts, tables, worldmap
from geospot.report.answers import EACH, chosen
from geospot.report.page import write_report
from geospot.report.sources import read_answers
from geospot_leaderboard.collect import Result, read_result
from geospot_leaderboard.references import references
from tests.support.approx import approx

_GONE: Final = object()
_OTHERS: Final[tuple[Any, ...]] = (None, "x", {}, [], float("inf"), _GONE)

RL = Path(__file__).parents[1] / "recordings" / "results" / "rl"


def read(folder: Path) -> tuple[Result, Answers]:
    """A result with its answers."""
    result = read_result(folder)
    return result, read_answers(result, silent)


def with_failures(copy: Path, count: int) -> Path:
    """A result whose first answers are failures."""
    shutil.copytree(RL, copy)
    rows = [json.loads(line) for line in (copy / "samples.jsonl").read_text().splitlines()]
    for row in rows[:count]:
        row |= {"outcome": "refusal", "latitude": None, "longitude": None, "distance_km": None}
    (copy / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


def test_the_curve_of_radii_goes_through_the_accuracies() -> None:
    result, answers = read(RL)
    share_K = charts.shares_within(result, answers)
    over_all = result.summary["all"]
    for name, radius_km in ACCURACIES.items():
        at = int(np.searchsorted(charts.RADIUS_KM, radius_km))
        assert share_K[at] == over_all[name]
    assert 0 < over_all["acc_750km"] < 1


def test_failures_lie_within_no_radius(tmp_path: Path) -> None:
    result, answers = read(with_failures(tmp_path / "copy", 4))
    assert charts.shares_within(result, answers)[-1] == 1 - 4 / result.summary["n"]


def test_bars_count_the_answers_of_their_distances_and_failures_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, answers = read(with_failures(tmp_path / "copy", 4))
    figures: list[Figure] = []

    def keep(figure: Figure, *_: Any) -> str:
        figures.append(figure)
        return ""

    monkeypatch.setattr(charts, "as_svg", keep)
    charts.error_histogram(answers, "h")
    bars = [one for one in figures[0].axes[0].patches if isinstance(one, Rectangle)]
    *counted, failed = bars
    assert failed.get_height() == 4
    assert failed.get_x() > 20_015  # no distance is so far
    distance_km_N = answers.distance_km_N[answers.answered_N]
    for bar in counted:
        low_km, high_km = bar.get_x(), bar.get_x() + bar.get_width()
        inside = (distance_km_N >= low_km * (1 - 1e-9)) & (distance_km_N < high_km * (1 - 1e-9))
        assert bar.get_height() == np.count_nonzero(inside)
    assert sum(bar.get_height() for bar in counted) == len(distance_km_N) == 36


def test_an_arc_over_the_date_line_goes_to_the_edges_of_the_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures: list[Figure] = []

    def keep(figure: Figure, *_: Any) -> str:
        figures.append(figure)
        return ""

    monkeypatch.setattr(worldmap, "as_svg", keep)
    places = {"true_latitude": 10.0, "true_longitude": 150.0, "latitude": 40.0, "longitude": -160.0}
    columns = {name: np.array([value]) for name, value in places.items()}
    columns |= {"distance_km": np.array([6000.0]), "outcome": np.zeros(1, np.uint8)}
    worldmap.world_map(Answers(columns_N=columns), np.array([0]), "m")
    _, arcs = figures[0].axes[0].collections
    assert isinstance(arcs, LineCollection)
    west, east = (np.asarray(line) for line in arcs.get_segments())
    assert west[0].tolist() == approx([150, 10])
    assert east[-1].tolist() == approx([-160, 40])
    assert (west[-1][0], east[0][0]) == (180, -180)
    assert west[-1][1] == approx(east[0][1])
    assert west[-2][1] < west[-1][1] < east[1][1]


def test_typical_answers_are_those_about_the_median(tmp_path: Path) -> None:
    _, answers = read(with_failures(tmp_path / "copy", 4))
    rows = chosen(answers)["The most typical (about the median)"]
    ordered_km = np.sort(answers.distance_km_N[answers.answered_N])
    assert sorted(answers.distance_km_N[rows]) == ordered_km[15:21].tolist()  # of 36
    assert len(rows) == EACH
    failures = chosen(answers)["Failures"].tolist()
    assert failures == np.flatnonzero(~answers.answered_N).tolist()


@pytest.mark.parametrize("split", ["test", "train"])
def test_published_results_stand_beside_those_on_their_own_split(
    tmp_path: Path, split: str
) -> None:
    copy, out = tmp_path / "copy", tmp_path / "page.html"
    shutil.copytree(RL, copy)
    manifest = json.loads((copy / "eval.json").read_text())
    manifest["dataset"] |= {"name": "osv5m", "split": split}
    (copy / "eval.json").write_text(json.dumps(manifest))
    write_report([copy], out, silent)
    page = out.read_text(encoding="utf-8")
    known = references("osv5m", "test")
    assert len(known) > 3
    shown = [f"<td>{one.geoscore:,.0f}</td><td>{one.mean_km:,.0f}</td>" in page for one in known]
    assert shown == [split == "test"] * len(known)
    assert (f"GeoScores of 1 results and {len(known)} works" in page) is (split == "test")
    assert ("Nothing is published for this data set" in page) is (split == "train")
    write_report([copy, RL], out, silent)  # on two data sets
    mixed = out.read_text(encoding="utf-8")
    assert "and 0 works" in mixed
    assert "stand beside results of one data set, and these are of 2." in mixed
    assert "Nothing is published" not in mixed


def places(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document something stands; of the countries one is like all."""
    inside: Any = value.items() if isinstance(value, dict) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if isinstance(value, list):
        inside = enumerate(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for name, one in list(inside)[: 1 if at[-1:] == ("by_country",) else None]:
        yield (*at, name)
        yield from places(one, (*at, name))


@pytest.mark.parametrize("name", ["eval.json", "summary.json"])
def test_whatever_stands_in_a_result_it_is_shown_or_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(RL, folder)
    whole = json.loads((folder / name).read_text())
    refused = shown = 0
    for place in places(whole):
        for other in _OTHERS:
            changed = copy.deepcopy(whole)
            at = changed
            for step in place[:-1]:
                at = at[step]
            if other is _GONE:
                del at[place[-1]]
            else:
                at[place[-1]] = other
            (folder / name).write_text(json.dumps(changed))
            try:
                one = read_result(folder)
            except ResultFormatError:
                refused += 1
                continue
            tables.overview([one])
            tables.headline(one)
            tables.all_facts(one)
            tables.countries(one)
            tables.names(one)
            charts.interval(one.summary, "median_km")
            shown += 1
    assert refused > 5
    assert shown > 100
