"""`geospot report`: what stands on the page, whatever stands in the results."""

import json
import re
import shutil
import weakref
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geospot.data.progress import Progress, silent
from geospot.errors import UsageError
from geospot.evaluation.following import Answers
from geospot.report.page import write_report
from geospot.report.photos import Photos, read_photos
from geospot.report.sources import read_answers
from geospot.report.worldmap import world_map
from geospot_leaderboard.collect import Result
from tests.support.chromium import Chromium, has_chromium
from tests.support.evaluating import geospot

RECORDINGS = Path(__file__).parents[1] / "recordings"
RL, SFT, PRIOR = (RECORDINGS / "results" / name for name in ("rl", "sft", "prior"))
RUN = RECORDINGS / "runs" / "rl"

HOSTILE = (
    "</pre></script><script>document.title='run'; fetch('http://127.0.0.1:9/')</script>"
    "<img src=http://127.0.0.1:9/a onerror=\"document.title='run'\"><svg onload=alert(1)>"
    "\x1b[31m\u202e{{ 7 * 7 }}"
)


class Reader(HTMLParser):
    """Tags, their attributes, and the words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += f"{data} "

    @property
    def flat(self) -> str:
        return " ".join(self.words.split())


def page_of(out: Path, *folders: Path) -> Reader:
    write_report(folders, out, silent)
    return Reader(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result_page(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return page_of(tmp_path_factory.mktemp("result") / "page.html", RL)


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return page_of(tmp_path_factory.mktemp("run") / "page.html", RUN)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_copy(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def hostile_page(hostile: Path) -> Reader:
    return page_of(hostile.with_name("page.html"), hostile)


def hostile_copy(folder: Path) -> Path:
    """A result whose ids, texts, names and model are hostile."""
    copy = folder / "<b>result</b>"
    shutil.copytree(RL, copy)
    lines = (copy / "samples.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows):
        row["id"] = f"{number}{HOSTILE}"
        row["text"] = HOSTILE + row["text"]
        row["place"] = {"city": HOSTILE, "region": HOSTILE, "country": HOSTILE}
        row["labels"] = row["labels"] | {"city": HOSTILE, "country": HOSTILE}
    (copy / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("eval.json", "summary.json"):
        document = json.loads((copy / name).read_text())
        if name == "eval.json":
            document["backend"]["model"] = HOSTILE
            document["prompt"]["text"] = HOSTILE
            document["dataset"] |= {"spec": HOSTILE, "split": f"{HOSTILE}\ud800\0"}
        else:
            document["by_country"] = {HOSTILE: next(iter(document["by_country"].values()))}
        (copy / name).write_text(json.dumps(document))
    return copy


def test_a_result_is_shown_whole(result_page: Reader) -> None:
    page = result_page
    summary = json.loads((RL / "summary.json").read_text())
    low, high = summary["ci"]["all"]["geoscore"]
    assert f"{summary['all']['geoscore']:,.1f}" in page.flat
    assert f"{low:,.1f} – {high:,.1f}" in page.flat
    for heading in ("How far off", "Where", "By country", "Names against coordinates"):
        assert heading in page.flat
    for sort in ("The nearest", "The most typical", "The farthest"):
        assert sort in page.flat
    assert page.tags.count("svg") == 4
    russia = summary["by_country"]["RU"]
    assert f"Russia {russia['n']} {russia['geoscore']:,.0f} {russia['median_km']:,.0f}" in page.flat


def test_the_nearest_and_the_farthest_are_what_they_are(result_page: Reader) -> None:
    page = result_page
    rows = [json.loads(line) for line in (RL / "samples.jsonl").read_text().splitlines()]
    far = sorted(
        (row for row in rows if row["outcome"] == "ok"), key=lambda row: row["distance_km"]
    )
    nearest, rest = page.flat.split("The most typical")
    assert f"{far[0]['distance_km']:,.1f} km" in nearest
    assert far[0]["id"] in nearest
    _, farthest = rest.split("The farthest")
    assert f"{far[-1]['distance_km']:,.1f} km" in farthest
    assert far[-1]["text"].splitlines()[0] in farthest


def test_photos_come_along_without_metadata_and_only_in_the_page(result_page: Reader) -> None:
    page = result_page
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert len(sources) == 18  # three sorts of six; there are no failures
    assert all(re.match(r"data:image/(png|jpeg|webp);base64,", source) for source in sources)


def test_several_are_compared_by_the_leaderboards_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one result's answers are kept at a time, and no photos are looked for but those that are shown."""
    from geospot_leaderboard.compare import compare

    alive: list[list[bool]] = []
    seen: list[weakref.ref[np.ndarray[Any, Any]]] = []

    def read(result: Result, progress: Progress) -> Answers:
        alive.append([one() is not None for one in seen])
        answers = read_answers(result, progress)
        seen.append(weakref.ref(answers.distance_km_N))
        return answers

    looked_for: list[list[str]] = []

    def look(one: Result, ids: list[str], progress: Progress, *, fetch: bool) -> Photos:
        looked_for.append(ids)
        return read_photos(one, ids, progress, fetch=fetch)

    monkeypatch.setattr("geospot.report.page.read_answers", read)
    monkeypatch.setattr("geospot.report.page.read_photos", look)
    page = page_of(tmp_path / "page.html", RL, SFT, PRIOR)
    assert alive == [[], [False], [False, False]]
    assert [0 < len(set(ids)) < 40 for ids in looked_for] == [True] * 3
    found = compare(RL, PRIOR)
    assert "A and B compared" in page.flat
    assert found.verdict.replace("B is", "C is") in page.flat
    difference = found.geoscore
    assert difference.interval is not None
    assert f"{difference.interval.low:+,.1f} – {difference.interval.high:+,.1f}" in page.flat
    assert f"C is nearer on {found.wins}" in page.flat


def test_other_images_are_never_compared_without_a_word(tmp_path: Path) -> None:
    page = page_of(tmp_path / "page.html", RL, RUN / "evals" / "step-000000")
    assert "They were asked different sets of images" in page.flat


def test_flaws_stand_at_the_result(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(RL, copy)
    summary = json.loads((copy / "summary.json").read_text())
    summary |= {"complete": False, "not_asked": 7, "canary": {"asked": True, "passed": False}}
    (copy / "summary.json").write_text(json.dumps(summary))
    page = page_of(tmp_path / "page.html", copy)
    assert "Incomplete: 7 not asked" in page.flat
    assert "The canary failed" in page.flat
    third = page_of(tmp_path / "third.html", RL, SFT, copy)
    assert "C is incomplete: what it lacks" in third.flat
    assert "C: The canary failed" in third.flat


def test_failures_are_shown_and_counted(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(RL, copy)
    rows = [json.loads(line) for line in (copy / "samples.jsonl").read_text().splitlines()]
    for row in rows[:3]:
        row |= {"outcome": "refusal", "latitude": None, "longitude": None, "text": "I won't say."}
        row |= {"distance_km": None, "geoscore": 0.0}
    (copy / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = page_of(tmp_path / "page.html", copy)
    assert "3 failed" in page.flat
    assert page.flat.count("refusal taken at") == 3
    assert "I won't say." in page.flat


def test_a_run_shows_its_curves_and_its_first_and_last_evaluation(run_page: Reader) -> None:
    page = run_page
    assert "Reward" in page.flat
    assert "Median distance (km)" in page.flat
    assert "12 of 12" in page.flat
    assert "rl/step-000000" in page.flat
    assert "rl/step-000006" not in page.flat
    assert "rl/step-000012" in page.flat


def test_a_run_shows_the_course_of_its_evaluations_with_intervals(run_page: Reader) -> None:
    page = run_page
    for step in (0, 6, 12):
        summary = json.loads((RUN / "evals" / f"step-{step:06d}" / "summary.json").read_text())
        over_all, intervals = summary["all"], summary["ci"]["all"]
        words = [f"{step}"]
        for figure in ("geoscore", "median_km"):
            low, high = intervals[figure]
            words += [f"{over_all[figure]:,.0f}", f"{low:,.0f} – {high:,.0f}"]
        words += [f"{over_all['acc_25km']:.1%}", f"{over_all['acc_750km']:.1%}"]
        assert " ".join(words) in page.flat
    labels = [value for _, name, value in page.attributes if name == "aria-label"]
    assert "GeoScore and median distance of evaluations over the steps" in labels
    course = page.words.partition("Evaluations on the way")[2].partition("Bars are 95%")[0]
    _, distances = course.split("Median distance (km)")[0].rsplit("step", 1)
    assert re.search(
        r"\b[1-9]0\b", distances
    )  # its axis has numbers, though no power of ten is on it


def test_evaluations_that_were_set_aside_are_no_part_of_the_course(tmp_path: Path) -> None:
    """One is left: a row without a curve."""
    copy = tmp_path / "run"
    shutil.copytree(RUN, copy)
    for step in (6, 12):
        later = copy / "evals" / f"step-{step:06d}"
        later.rename(later.with_name(f"{later.name}.aside-before-resume-000000"))
    page = page_of(tmp_path / "page.html", copy)
    assert "run/step-000000" in page.flat
    assert "step-000006" not in page.flat
    assert "step-000012" not in page.flat
    assert "Evaluations on the way" in page.flat
    assert "of evaluations over the steps" not in str(page.attributes)


def test_how_far_off_an_arc_is_shows_without_colour() -> None:
    """Each class has dashes of its own, and a mark of its own shape."""
    drawn = [arc_and_mark(km) for km in (10, 100, 500, 1500, 5000)]
    assert len({arc for arc, _ in drawn}) == len({mark for _, mark in drawn}) == len(drawn)


def arc_and_mark(distance_km: float) -> tuple[str, str]:
    """The dashes and the shape with which the map draws one answer that is so far off."""
    places = {"true_latitude": 0.0, "true_longitude": 0.0, "latitude": 0.0}
    places |= {"longitude": distance_km / 111.195}
    columns: dict[str, np.ndarray[Any, Any]] = {
        name: np.array([value]) for name, value in places.items()
    }
    columns |= {"distance_km": np.array([float(distance_km)]), "outcome": np.zeros(1, np.uint8)}
    svg = world_map(Answers(columns_N=columns), np.array([0]), "m")
    arc, mark = svg.partition('id="m-LineCollection_2"')[2].split("<defs>")[:2]
    dashes = re.search(r"stroke-dasharray: [^;]*", arc)
    shape = re.search(r'<path id="[^"]*" d="([^"]*)"', mark)
    assert shape is not None
    return dashes[0] if dashes else "solid", shape[1]


def test_what_is_hostile_stays_words(hostile_page: Reader) -> None:
    page = hostile_page
    assert "script" not in page.tags
    assert not [one for one in page.attributes if one[1].startswith("on")]
    assert "<script>document.title" in page.words
    assert "\x1b" not in page.words
    assert "\u202e" not in page.words
    assert "{{ 7 * 7 }}" in page.words
    addresses = [
        value
        for _, name, value in page.attributes
        if name in ("src", "href", "xlink:href", "action") or "url(" in value
    ]
    assert all(re.match(r"data:|#|.*url\(#", value) for value in addresses), addresses


def test_a_photo_that_cant_be_had_is_said(
    tmp_path: Path, hostile: Path, hostile_page: Reader
) -> None:
    assert "Without photos: they aren't on this machine" in hostile_page.flat
    assert "img" not in hostile_page.tags
    out = tmp_path / "asked.html"
    write_report([hostile], out, silent, fetch_photos=True)
    assert "Without photos: There is no data set" in Reader(out.read_text(encoding="utf-8")).flat


def test_a_configuration_of_another_shape_ends_no_report(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(RL, copy)
    manifest = json.loads((copy / "eval.json").read_text())
    (copy / "eval.json").write_text(json.dumps(manifest | {"config": [1]}))
    assert "How far off" in page_of(tmp_path / "page.html", copy).flat


def test_what_is_neither_a_result_nor_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a result nor a run"):
        write_report([tmp_path], tmp_path / "page.html", silent)
    with pytest.raises(UsageError, match="There is no folder"):
        write_report([tmp_path / "none"], tmp_path / "page.html", silent)
    assert not (tmp_path / "page.html").exists()


def test_the_command_writes_the_page_in_place_of_an_older_one(tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    out.parent.mkdir()
    out.write_text("older")
    done = geospot("report", RL, "--html", out)
    assert done.returncode == 0, done.stderr
    assert "Wrote " in done.stdout
    assert out.read_text().startswith("<!doctype html>")
    wrong = geospot("report", tmp_path / "none", "--html", out)
    assert wrong.returncode == 2
    assert "There is no folder" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.skipif(not has_chromium(), reason="chromium is not installed")
def test_a_browser_draws_it_silently_and_asks_for_nothing(tmp_path: Path, hostile: Path) -> None:
    out = tmp_path / "page.html"
    write_report([RL, hostile, RUN], out, silent)
    with Chromium(tmp_path) as browser:
        browser.open(out)
        sizes = browser.value_of(
            "[...document.querySelectorAll('svg')].map(svg => {"
            " const box = svg.getBoundingClientRect(); return [box.width, box.height] })"
        )
        photos = browser.value_of(
            "Promise.all([...document.images].map(async image => { image.loading = 'eager';"
            " await image.decode(); return image.src.startsWith('data:') && image.naturalWidth > 0 }))"
        )
        lines = browser.value_of("document.querySelectorAll('svg path').length")
        wide = browser.value_of("document.documentElement.scrollWidth <= window.innerWidth")
        title = browser.value_of("document.title")
        assert browser.requests() == [out.as_uri()]
        assert browser.complaints() == []
    assert len(sizes) >= 8
    assert all(width > 200 and height > 30 for width, height in sizes)
    assert photos
    assert all(photos)
    assert lines > 100
    assert wide
    assert title != "run"
    assert "geospot report" in title
