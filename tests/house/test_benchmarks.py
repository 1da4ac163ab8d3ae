"""The benchmarks still run: at tiny sizes, beside those of the peers that are installed already."""

import json
import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from PIL import Image

from benchmarks import evaluation, page, plots, records
from benchmarks.__main__ import MODULES
from benchmarks.environments import INSPECT, LMMS, PLACES, Pins, is_installed
from benchmarks.evaluation_stub import stub
from benchmarks.evaluation_task import IMAGES
from benchmarks.machine import Watch
from benchmarks.records import Figure, Record, Table
from geospot.prompts import FIVE_LINES


def _record(**more: Any) -> Record:
    figures = [
        Figure("rate", "1/s", (30.0, 20.0, 40.0), "them", (10.0, 10.0, 10.0), more_is_better=True),
        Figure("cost", "s", (2.0,), "them", (1.0,), size=10, axis="rows"),
        Figure("cost", "s", (4.0,), "them", (4.0,), size=100, axis="rows"),
        Figure("alone", "MB", (5.0,)),
    ]
    made = Record("scoring", "Scores", Table(figures, {"them": "1.0"}, "Notes."), _conditions())
    return replace(made, **more)


def _conditions() -> records.Conditions:
    return Watch("python -m benchmarks scoring").conditions()


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_can_be_imported(name: str) -> None:
    module: Any = import_module(f"benchmarks.{name}")
    assert module.NAME
    assert callable(module.main)


def test_a_ratio_above_one_is_better_for_us_whatever_the_unit() -> None:
    rate, dear, same, alone = _record().table.figures
    assert (rate.ratio, dear.ratio, same.ratio, alone.ratio) == (3.0, 0.5, 1.0, None)
    assert rate.ratios == [3.0, 2.0, 4.0]


def test_a_part_is_measured_again_without_losing_the_others(tmp_path: Path) -> None:
    other = _record(name="places", title="Places")
    records.save(_record(), tmp_path)
    records.save(other, tmp_path)
    records.save(_record(title="Scores again"), tmp_path)
    found = records.load(tmp_path, MODULES)
    assert [record.title for record in found] == ["Places", "Scores again"]
    assert found[0].table.figures[1].ratios == [0.5]


def test_the_page_says_what_was_measured_when_where_and_how_busy_it_was(tmp_path: Path) -> None:
    record = _record()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "scoring.svg").touch()
    text = page.markdown([record], tmp_path, ["scoring", "places", "demo"])
    assert "| rate |  | 1/s | 30 (20–40) | them | 10 (10–10) | 3 (2–4) |" in text
    assert "| Scores | cost, s | 10 rows | them | 0.5 |" in text
    assert "| alone |  | MB | 5 | – | – | – |" in text
    assert "**Without a record**, and so not on this page: `places`, `demo`." in text
    assert "Without a record" not in page.markdown([record], tmp_path, ["scoring"])
    for part in ("them 1.0", record.conditions.date, "Load average", "results/scoring.svg"):
        assert part in text


def test_the_readme_says_what_the_records_say() -> None:
    folder = Path(page.__file__).parent
    [evaluated, trained] = records.load(folder, ["evaluation", "trl_peer"])

    def median_of(who: str, task: str) -> float:
        found = [one for one in evaluated.table.figures if (one.task, one.size) == (task, 1000)]
        by_peer = {one.peer: one.theirs for one in found} | {evaluation.OURS: found[0].ours}
        return median(by_peer[who])

    names = {name: name for name in (evaluation.OURS, "inspect_ai", "lmms-eval")}
    names[evaluation.BARE] = "a bare loop over `AsyncOpenAI`"
    took = ", ".join(
        f"{name} {median_of(who, 'whole run'):.1f} s and {median_of(who, 'most memory'):.0f} MB"
        for who, name in names.items()
    )
    at_128 = [one for one in trained.table.figures if one.size == 128]
    [ratio] = [one.ratio for one in at_128 if one.task == "rollouts"]
    readme = " ".join((folder.parent / "README.md").read_text(encoding="utf-8").split())
    assert f"1,000 photos took {took}." in readme
    assert f"made {ratio:.1f} times as many rollouts a second as TRL's" in readme
    day = readme.partition("Measured on ")[2][:10]
    assert {evaluated.conditions.date[:10], trained.conditions.date[:10]} == {day}


def test_curves_are_what_was_measured_at_two_sizes_or_more(tmp_path: Path) -> None:
    records.save(_record(), tmp_path)
    saved = json.loads((tmp_path / "results" / "scoring.json").read_text())
    assert plots.panels(saved["table"]["figures"]) == {
        ("cost", "s", "rows"): {"geospot": {10: 2.0, 100: 4.0}, "them": {10: 1.0, 100: 4.0}}
    }


def test_what_hardly_differs_looks_alike_and_axes_have_numbers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra report isn't installed")
    figures = [
        Figure("sent", "kB", (83.8,), "them", (83.2,), size=250, axis="samples"),
        Figure("sent", "kB", (83.6,), "them", (83.2,), size=4000, axis="samples"),
    ]
    records.save(_record(table=Table(figures)), tmp_path)
    plots.draw(Path(sys.executable), [tmp_path / "results" / "scoring.json"])
    svg = (tmp_path / "results" / "scoring.svg").read_text()
    axes = svg.partition('id="axes_1"')[2].partition('id="legend_1"')[0]
    texts = [re.sub(r"<[^>]*>", "", one) for one in re.findall(r"<text[^>]*>.*?</text>", axes)]
    assert texts == ["250", "4,000", "samples", "50", "100", "200", "kB", "sent"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Inputs of the evaluation, small ones."""
    (tmp_path / "prompt.txt").write_text(FIVE_LINES)
    for number in range(IMAGES):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(tmp_path / f"{number:03d}.jpg")
    return tmp_path


def test_evaluation_asks_the_same_as_the_others(photos: Path) -> None:
    who = evaluation.sides(install=False)[0][:2]
    with stub(0.0) as port:
        runs = evaluation.turns(who, photos, port, 200, 1)
    assert set(runs) == {evaluation.OURS, evaluation.BARE}
    assert "the same prompt and one JPEG a request" in evaluation.same_work(runs)
    for figure in evaluation.figures(runs, 200):
        assert figure.ratio is not None
        assert 0.01 < figure.ratio < 100


def test_an_evaluation_that_asks_too_little_is_no_measurement(tmp_path: Path) -> None:
    lazy = evaluation.Side("lazy", (sys.executable, "-c", "print('{\"peak_mb\": 1.0}')"))
    with stub(0.0) as port, pytest.raises(RuntimeError, match="lazy: 0 answers for 20 samples"):
        evaluation.measure(lazy, tmp_path, port, 20)


@pytest.mark.parametrize("pins", [INSPECT, LMMS], ids=lambda pins: pins.name)
def test_a_peer_evaluates(pins: Pins, photos: Path) -> None:
    if not is_installed(pins):
        pytest.skip(f"{pins.name} isn't installed: python -m benchmarks evaluation installs it")
    who, _ = evaluation.sides(install=False)
    (side,) = (one for one in who if one.name == pins.name)
    with stub(0.0) as port:
        run = evaluation.measure(side, photos, port, 80)
    assert len(run.seen.moments_s) == 80


def test_places_and_scores_are_compared() -> None:
    if not is_installed(PLACES):
        pytest.skip("geopy and haversine aren't installed: python -m benchmarks places does it")
    for name in ("places", "scoring"):
        module: Any = import_module(f"benchmarks.{name}")
        table: Table = module.main(True)
        assert {figure.peer for figure in table.figures} >= {"plain loop"}
        assert all(figure.ratio for figure in table.figures)
