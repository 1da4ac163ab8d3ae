"""CSV and Markdown, also when names are hostile."""

import csv
import io
import subprocess
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from geospot_leaderboard.collect import Broken, collect
from geospot_leaderboard.export import to_csv, to_markdown
from geospot_leaderboard.ranking import rank
from geospot_leaderboard.show import as_renderable
from tests.support.evaluating import geospot
from tests.support.result_dirs import answered, failed, write_result

BERN = (46.94809, 7.44744)
COLUMNS = (
    "rank,model,backend,dataset,split,n,coverage,geoscore,geoscore_ci_low,geoscore_ci_high,"
    "geoscore_answered,median_km,mean_km_answered,acc_1km,acc_25km,acc_200km,acc_750km,acc_2500km,"
    "country_acc,region_acc,sub_region_acc,city_acc,refusals,unparsed,transport_errors,cost_usd,"
    "tokens_in,tokens_out,prompt_sha,fingerprint,date,geospot_version"
)


def _two(path: Path, model: str = "some-vlm", **more: Any) -> None:
    labels = {"country": "CH"}
    records = [answered("1", BERN, BERN, labels=labels), failed("2", BERN, labels=labels)]
    write_result(path, records, model=model, **more)


def _rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(rank(collect(folder).results)))))


def test_columns_are_exactly_these_in_this_order(tmp_path: Path) -> None:
    _two(tmp_path / "a")
    assert to_csv(rank(collect(tmp_path).results)).splitlines()[0] == COLUMNS


def test_values_of_a_row(tmp_path: Path) -> None:
    _two(tmp_path / "a")
    (row,) = _rows(tmp_path)
    assert row["rank"] == "1"
    assert (row["model"], row["backend"]) == ("some-vlm", "openai")
    assert (row["dataset"], row["split"], row["n"]) == ("osv5m", "test", "2")
    assert float(row["coverage"]) == 0.5
    assert float(row["geoscore"]) == 2500.0
    assert float(row["geoscore_answered"]) == 5000.0
    assert float(row["geoscore_ci_low"]) == 0.0
    assert float(row["geoscore_ci_high"]) == 5000.0
    assert float(row["median_km"]) == round(20015.0868 / 2, 3)
    assert float(row["mean_km_answered"]) == 0.0
    assert float(row["acc_1km"]) == float(row["country_acc"]) == 0.5
    assert row["city_acc"] == ""  # the data set has no such labels
    assert (row["refusals"], row["unparsed"], row["transport_errors"]) == ("1", "0", "0")
    assert row["cost_usd"] == ""  # prices weren't given
    assert row["fingerprint"] == "f" * 64
    assert row["date"] == "2026-11-22T12:00:00+00:00"
    assert row["geospot_version"] == "0.1.0"


def test_an_unranked_row_says_why(tmp_path: Path) -> None:
    write_result(tmp_path / "a", [answered("1", BERN, BERN)], n=2, self_selected=True)
    (row,) = _rows(tmp_path)
    assert row["rank"] == "unranked: incomplete, self-selected"


@pytest.mark.parametrize(
    "name",
    [
        "=1+2",
        "+cmd|' /C calc'!A0",
        "-2+3+cmd",
        "@SUM(1)",
        "\t=1+2",
        "\r=1+2",
        "\n=1+2",
        " =1+2",
        "\u200b=1+2",
        "|calc",
        "＝1+2",
        "＋1+2",
        "－1+2",
        "＠SUM(1)",
        "\u3000＝1+2",
        "-inf",
    ],
)
def test_no_cell_is_a_formula(tmp_path: Path, name: str) -> None:
    _two(tmp_path / "a", model=name, prompt_sha=name)
    text = to_csv(rank(collect(tmp_path).results))
    assert len(text.splitlines()) == 2  # no line break gets in
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            assert not cell.strip().startswith(tuple("=+-@\t\r\n|＝＋－＠"))


def test_a_comma_or_quote_in_a_name_stays_in_its_cell(tmp_path: Path) -> None:
    _two(tmp_path / "a", model='a,"b"')
    (row,) = _rows(tmp_path)
    assert row["model"] == 'a,"b"'
    assert row["backend"] == "openai"


def test_ranks_of_each_fingerprint_in_one_file(tmp_path: Path) -> None:
    _two(tmp_path / "a")
    _two(tmp_path / "b", fingerprint="9" * 64)
    assert [(row["rank"], row["fingerprint"][0]) for row in _rows(tmp_path)] == [
        ("1", "9"),
        ("1", "f"),
    ]


def test_markdown_keeps_hostile_names_in_their_cell(tmp_path: Path) -> None:
    name = "a|b [x](http://evil.example) <img src=x> `code` **bold** \x1b[31m\u202e\n# head"
    _two(tmp_path / "a", model=name)
    markdown = to_markdown(
        rank(collect(tmp_path).results), [Broken(Path("x"), "x|y is <b>torn</b>.", "Mend it.")]
    )
    (line,) = [line for line in markdown.splitlines() if "evil.example" in line]
    unescaped_pipes = line.replace("\\|", "").count("|")
    header = next(line for line in markdown.splitlines() if line.startswith("| rank"))
    assert unescaped_pipes == header.count("|")
    for raw in ("[x](", "<img", "<b>", " `code`", "**bold**", "\x1b", "\u202e"):
        assert raw not in markdown
    assert "x\\|y" in markdown


def test_published_results_stand_apart_once_and_only_beside_osv5m(tmp_path: Path) -> None:
    _two(tmp_path / "a")
    _two(tmp_path / "b", fingerprint="9" * 64)
    groups = rank(collect(tmp_path).results)
    markdown = to_markdown(groups)
    assert markdown.count("OSV-5M hybrid") == 1
    assert markdown.index("## Published") > markdown.index("some-vlm")
    assert "hybrid" not in to_csv(groups)
    _two(tmp_path / "world" / "c", dataset="world")
    only_world = rank(collect(tmp_path / "world").results)
    assert "hybrid" not in to_markdown(only_world)


def test_terminal_shows_the_same_rows_and_what_is_broken(tmp_path: Path) -> None:
    _two(tmp_path / "a", model="m\x1b[2J[red]x")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=220)
    console.print(
        as_renderable(
            rank(collect(tmp_path).results), [Broken(Path("bad"), "bad is torn\x07.", "Mend it.")]
        )
    )
    text = out.getvalue()
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "[red]x" in text
    assert "2,500.0" in text
    assert "bad is torn" in text
    assert "HierLoc" in text


def _geospot(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    with chdir(cwd):
        return geospot("leaderboard", *arguments)


def test_command_exports_shows_and_compares(tmp_path: Path) -> None:
    _two(tmp_path / "results" / "a")
    _two(tmp_path / "results" / "b", model="other")
    (tmp_path / "results" / "c").mkdir()
    (tmp_path / "results" / "c" / "eval.json").write_text("{")
    exported = _geospot("export", "results", "--csv", "t.csv", "--markdown", "-", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith(COLUMNS + "\n")
    assert exported.stdout.startswith("# Leaderboard")
    assert "results/c" in exported.stderr
    shown = _geospot("show", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "other" in shown.stdout
    compared = _geospot("compare", "results/a", "results/b", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert "not significant" in compared.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "nowhere"], "There is no folder nowhere."),
        (["export", "."], "Nothing to write."),
        (["export", ".", "--csv", "t.csv"], "There is no result in ."),
        (["compare", "x", "y"], "There is no folder x."),
    ],
)
def test_command_says_what_is_wrong(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = _geospot(*arguments, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
