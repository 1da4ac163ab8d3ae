"""`geospot score`, `rescore`, `backends`, `doctor` and `demo`, run as a person runs them."""

import asyncio
import csv
import io
import json
import os
import shlex
import signal
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geospot.cli.demo import app as demo
from geospot.config.evaluation import EvalConfig
from geospot.data.sample import GeoSample
from geospot.demo import Demo, Scale, Unfinished
from geospot.evaluation.evaluate import Ending, Finished
from geospot.evaluation.results import read_records
from geospot.learning.display import SilentView
from geospot.outcomes import Outcome
from geospot.services import open_service
from tests.support.approx import approx
from tests.support.doc_commands import ROOT, shown
from tests.support.evaluating import Listener, begin_geospot, geospot, records, run, summary
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import Behaviour, VlmServer


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def answers(truth: list[GeoSample]) -> list[dict[str, object]]:
    """Right to within a degree of latitude, which is 111.19 km."""
    return [
        {"id": s.id, "latitude": s.latitude + 1.0, "longitude": s.longitude}
        for s in truth
        if s.latitude < 80
    ]


def test_ids_that_the_file_lacks_are_failures(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=10)
    rows = answers(truth)[:7]
    rows.append({"id": "123456789012345678", "latitude": 1.0, "longitude": 1.0})
    file = write_csv(tmp_path / "mine.csv", rows)
    done = geospot("score", file, "--dataset", tmp_path / "osv", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = summary(tmp_path / "out")
    assert found["n"] == 10
    assert (found["outcomes"]["ok"], found["outcomes"]["missing"]) == (7, 3)
    assert found["coverage"] == 0.7
    assert found["answered"]["median_km"] == approx(111.19, abs=0.01)
    assert found["all"]["acc_200km"] == 0.7
    assert found["complete"] is True
    assert "not selected: 1." in done.stderr


def test_a_file_of_other_ids_leaves_an_earlier_scoring_as_it_is(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=4)
    file = write_csv(tmp_path / "mine.csv", answers(truth))
    other = write_csv(tmp_path / "other.csv", [{"id": "x", "latitude": 1.0, "longitude": 1.0}])
    options = ("--dataset", tmp_path / "osv", "--out", tmp_path / "out")
    assert geospot("score", file, *options).returncode == 0
    before = summary(tmp_path / "out")
    done = geospot("score", other, *options)
    assert (done.returncode, "None of the ids" in done.stderr) == (2, True)
    assert summary(tmp_path / "out") == before
    assert list(tmp_path.glob("out.aside-*")) == []


def test_a_file_with_its_own_truth_is_marked_self_selected_and_not_ranked(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "text": "48.1, 11.5", "true_latitude": 48.1, "true_longitude": 11.5},
        {"id": "b", "text": "no idea", "true_latitude": 1, "true_longitude": 2},
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    done = geospot("score", file, "--out", tmp_path / "results" / "mine", "--model", "=HYPERLINK()")
    assert done.returncode == 0, done.stderr
    assert "itself chose the images" in done.stdout
    assert summary(tmp_path / "results" / "mine")["all"]["acc_1km"] == 0.5
    exported = geospot("leaderboard", "export", tmp_path / "results", "--csv", "-")
    row = next(csv.DictReader(io.StringIO(exported.stdout)))
    assert "self-selected" in row["rank"]
    assert row["model"] == "'=HYPERLINK()"


def test_scoring_gives_the_same_as_asking(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=12)
    texts = ["52.5, 13.4", "I can’t help with that.", "Lat: -33.9 Lon: 18.4", "", "a street"]
    with VlmServer(lambda a: Behaviour(text=texts[int(a.digest, 16) % 5])) as server:
        run(tmp_path / "osv", server.base_url, tmp_path / "asked")
    rows: list[dict[str, object]] = [
        {"id": record.id, "text": record.text}
        for record in read_records(tmp_path / "asked" / "samples.jsonl")
    ]
    file = write_csv(tmp_path / "mine.csv", rows)
    options = ("--dataset", tmp_path / "osv", "--out")
    scored = geospot("score", file, *options, tmp_path / "scored")
    replayed = geospot(
        *("eval", "--backend", "replay", "--model", file, "--limit", "all"),
        *(*options, tmp_path / "replayed"),
    )
    assert (scored.returncode, replayed.returncode) == (0, 0), scored.stderr + replayed.stderr
    asked = summary(tmp_path / "asked")
    for way in ("scored", "replayed"):
        found = summary(tmp_path / way)
        for key in ("fingerprint", "outcomes", "all", "answered", "ci", "admin", "said"):
            assert found[key] == asked[key], (way, key)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,text\n", "no rows"),
        ("name,text\na,b\n", "a column id, and text"),
        ("id,guess\na,b\n", "a column id, and text"),
        ("id,text,true_lat,true_lon\na,b,1,1\na,c,1,1\n", "a second answer"),
        ("id,text\na,b\n", "no true coordinates"),
        ("id,text,true_lat,true_lon\na,b,95,0\n", "not on the globe"),
        ("id,text,draw\na,b,x\n", "draw"),
    ],
)
def test_a_file_that_makes_no_sense_is_named_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text)
    done = geospot("score", file, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_rescore_reads_stored_texts_again_and_keeps_the_old_ones(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=6)
    with VlmServer() as server:
        first = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    lines = tmp_path / "out" / "samples.jsonl"
    spoiled = [json.loads(line) for line in lines.read_text().splitlines()]
    for row in spoiled[:4]:  # as an earlier parser might have read them
        row |= {"outcome": "unparsed", "latitude": None, "longitude": None, "geoscore": 0.0}
    lines.write_text("".join(json.dumps(row) + "\n" for row in spoiled))
    done = geospot("rescore", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "4 × unparsed → ok" in done.stdout
    assert {r.outcome for r in records(tmp_path / "out").values()} == {Outcome.OK}
    found = summary(tmp_path / "out")
    assert found["all"] == first.summary["all"]
    kept = next((tmp_path / "out").glob("samples.before-*.jsonl"))
    assert kept.read_text().count('"unparsed"') == 4
    lines.write_text(lines.read_text() + "no record\n")
    there = set((tmp_path / "out").iterdir())
    assert geospot("rescore", tmp_path / "out").returncode == 1
    assert set((tmp_path / "out").iterdir()) == there
    nothing = geospot("rescore", tmp_path / "osv")
    assert (nothing.returncode, "no result directory" in nothing.stderr) == (1, True)


def test_backends_lists_what_is_installed() -> None:
    listed = json.loads(geospot("backends", "--json").stdout)
    ours = {row["name"] for row in listed if row["distribution"] == "geospot-vlm"}
    assert ours == {"openai", "constant", "prior", "replay", "local", "tinker"}


def test_doctor_says_what_answers_and_never_a_key() -> None:
    with VlmServer() as server:
        good = geospot(
            *("doctor", "--json", "--base-url", server.base_url + "/models"),
            env={"HF_ENDPOINT": server.base_url, "OPENAI_API_KEY": "sk-planted-1"},
        )
    bad = geospot("doctor", "--offline", env={"TINKER_API_KEY": "planted-without-prefix"})
    facts = {(row["topic"], row["name"]): row for row in json.loads(good.stdout)}
    assert facts["reach", server.base_url + "/models"]["ok"] is True
    assert facts["key", "OPENAI_API_KEY"] == {
        "topic": "key",
        "name": "OPENAI_API_KEY",
        "text": "set",
        "ok": True,
    }
    assert "sk-planted-1" not in good.stdout
    assert bad.returncode == 1
    assert "Tinker keys start with tml-" in bad.stdout
    assert "planted-without-prefix" not in bad.stdout


def _demo_of_make() -> list[str]:
    """What `make demo`, as the README shows it, says behind `geospot demo`."""
    [line] = shown("make demo")
    words = [*shlex.split(line), "--dry-run", "--assume-old=.venv/.installed"]
    # The make that runs these tests would have this one say more.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    told = subprocess.run(
        words, cwd=ROOT, env=env, capture_output=True, text=True, check=True
    ).stdout
    program, command, *more = shlex.split(told)
    assert (Path(program).name, command) == ("geospot", "demo")
    return more


@pytest.mark.timeout(900)  # two trainings and five evaluations
def test_the_demo_trains_evaluates_and_ranks_and_goes_on_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, where both times share one engine; as a process of its own it is interrupted below."""
    monkeypatch.setenv("GEOSPOT_STATE_DIR", str(tmp_path / "state"))
    out = tmp_path / "demo"
    command = [
        *_demo_of_make(),
        "--out",
        str(out),
        "--limit",
        "6",
        "--sft-steps",
        "2",
        "--rl-steps",
        "1",
    ]
    with open_service("local"):
        done = CliRunner().invoke(demo, command, catch_exceptions=False)
        metrics = (out / "runs" / "rl" / "metrics.jsonl").read_bytes()
        again = CliRunner().invoke(demo, command, catch_exceptions=False)
    assert (done.exit_code, again.exit_code) == (0, 0)
    with (out / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    models = {row["model"] for row in rows if row["backend"] == "local"}
    assert models == {"geospot/tiny-vlm-scratch", "sft@final", "rl@final"}
    assert {row["backend"] for row in rows} == {"constant", "prior", "local"}
    assert len({row["fingerprint"] for row in rows}) == 1
    assert "Sampled answers to 6 held-out photos" in done.stdout
    rl_config = json.loads((out / "runs" / "rl" / "config.json").read_text())
    assert rl_config["load_checkpoint_path"] == str(out / "runs" / "sft")
    assert (out / "runs" / "rl" / "metrics.jsonl").read_bytes() == metrics
    assert again.stdout == done.stdout


@pytest.mark.timeout(900)
def test_the_demo_that_is_interrupted_ends_with_130_and_goes_on(tmp_path: Path) -> None:
    out, state = tmp_path / "demo", {"GEOSPOT_STATE_DIR": str(tmp_path / "state")}
    small = ("--limit", "4", "--rl-steps", "1", "--sft-steps")
    started = begin_geospot("demo", "--out", out, *small, "500", env=state)
    metrics = out / "runs" / "sft" / "metrics.jsonl"
    end = time.monotonic() + 240
    while not (metrics.is_file() and metrics.read_bytes()):
        assert started.poll() is None, started.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=240)
    assert started.returncode == 130, error
    assert "geospot: The demo was stopped by SIGINT. Start it again" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [("incomplete", 3, "lacks answers in "), ("interrupted", 130, "was interrupted")],
)
def test_the_demo_ends_as_its_evaluation_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: Ending, code: int, said: str
) -> None:
    async def evaluated(config: EvalConfig, view: object) -> Finished:
        del view
        return Finished(config.out or tmp_path, {}, {}, ending)

    monkeypatch.setattr("geospot.demo.evaluate", evaluated)
    monkeypatch.setattr("geospot.demo.open_service", _nothing)
    whole = Demo(tmp_path, Scale(1, 1, 2), 0, Listener(), SilentView())
    with pytest.raises(Unfinished, match=said) as caught:
        asyncio.run(whole.go())
    assert caught.value.exit_code == code


def _nothing(spec: str) -> nullcontext[None]:
    del spec
    return nullcontext()
