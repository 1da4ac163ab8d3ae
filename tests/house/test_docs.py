"""What the pages show works as they show it."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from geospot.config.evaluation import EvalConfig
from tests.support.evaluating import geospot
from tests.support.photos import make_photo

ROOT = Path(__file__).parents[2]


def test_the_configuration_of_the_docs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    [(name, text)] = re.findall(r"<!-- config: (\S+) -->\n```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / name).write_text(text, encoding="utf-8")
    photos = tmp_path / "photos"
    photos.mkdir()
    names = [f"{number}.jpg" for number in range(7)]
    for photo in names:
        (photos / photo).write_bytes(make_photo(photo))
    rows = "".join(f"{photo},1.5,2.5\n" for photo in names)
    (photos / "metadata.csv").write_text(f"file_name,Breite,Länge\n{rows}", encoding="utf-8")

    monkeypatch.chdir(tmp_path)
    estimate = geospot("eval", "--config", name, "--dry-run")
    assert estimate.returncode == 0, estimate.stderr
    assert re.search(r"\b7\b.*photos", estimate.stdout), estimate.stdout
    assert not (tmp_path / "results").exists()

    # The command line wins over the file: nobody's server is asked now, and less of it.
    more = ("--backend", "constant", "--model", "1.5,2.5", "--limit", "3")
    done = geospot("eval", "--config", name, *more)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "results" / "some-vlm" / "eval.json").read_text())
    assert written["backend"]["name"] == "constant"
    assert written["dataset"]["n"] == 3
    assert written["config"]["max_tokens"] == tomllib.loads(text)["max-tokens"] == 1024
    assert {key.replace("-", "_") for key in tomllib.loads(text)} <= set(EvalConfig.model_fields)


def test_no_page_names_a_path_of_the_writers_machine() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"\.\./shared|/home/", text), page.name


def test_the_readme_says_where_the_program_is_before_it_uses_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "BIN := .venv/bin" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert readme.index("source .venv/bin/activate") < readme.index("geospot eval")


def test_score_writes_the_files_that_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    four = re.findall(r"^\| `(\w+\.jsonl?)` \|", page, re.MULTILINE)
    assert four == ["eval.json", "samples.jsonl", "events.jsonl", "summary.json"]
    assert "`score` writes all but `events.jsonl`" in page
    finished = tmp_path / "answers.csv"
    finished.write_text('id,text,true_latitude,true_longitude\na,"1.5, 2.5",1.5,2.5\n')
    monkeypatch.chdir(tmp_path)
    for command in (["score", str(finished), "--out", "out"], ["rescore", "out"]):
        done = geospot(*command)
        assert done.returncode == 0, done.stderr
        written = {path.name for path in (tmp_path / "out").iterdir()} - {".lock"}
        assert written == set(four) - {"events.jsonl"}
