"""The leaderboard as a terminal of some width shows it."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from geospot.outcomes import Outcome
from geospot_leaderboard.collect import collect
from geospot_leaderboard.export import to_csv, to_markdown
from geospot_leaderboard.ranking import rank
from geospot_leaderboard.show import as_renderable, wrapped
from tests.support.result_dirs import answered, failed, write_result

BERN = (46.94809, 7.44744)


def _write(path: Path, degrees: float = 1.0, **more: Any) -> Path:
    records = [answered(str(i), BERN, (BERN[0] - degrees, BERN[1])) for i in range(30)]
    return write_result(path, [*records, failed("f", BERN)], **more)


def _shown(folder: Path, width: int) -> list[str]:
    found = collect(folder)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=width)
    console.print(as_renderable(rank(found.results), found.broken))
    return out.getvalue().splitlines()


def test_columns_come_with_the_width_and_the_first_ones_always(tmp_path: Path) -> None:
    _write(tmp_path / "a", model="Qwen/Qwen2.5-VL-72B-Instruct")
    headings = {
        width: next(line for line in _shown(tmp_path, width) if line.startswith("rank"))
        for width in (80, 120, 200)
    }
    for heading in ("rank", "model", "GeoScore (95%)", "coverage", "median km"):
        assert all(heading in line for line in headings.values())
    assert "<25 km" not in headings[80]
    assert "<25 km" in headings[120]
    assert "region" not in headings[120]
    for heading in ("answered", "<1 km", "<2500 km", "country", "region", "cost"):
        assert heading in headings[200]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_longer_than_the_terminal_and_no_figure_is_torn(
    tmp_path: Path, width: int
) -> None:
    _write(tmp_path / "a", model="Qwen/Qwen2.5-VL-72B-Instruct")
    _write(tmp_path / "b", 2.0, model="an-organisation/" + "long-name-" * 9)
    _write(tmp_path / "c", 3.0, model="東京" * 40, canary={"asked": True, "passed": False})
    lines = _shown(tmp_path, width)
    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    (heading,) = [line for line in lines if line.startswith("rank  model")]
    (best,) = [line for line in lines if line.lstrip().startswith("1  openai/")]
    assert "4,491.4 (4," in best
    assert best.count("%") == heading.count("coverage") + heading.count("<")
    assert "Instruct" in text
    assert "…" not in best


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("openai/gpt", ["openai/gpt"]),
        ("temperature 0.7, address default", ["temperature", "0.7, address", "default"]),
        ("five-lines prompt", ["five-lines", "prompt"]),
        ("openai/Qwen2.5-VL-72B", ["openai/", "Qwen2.5-VL-", "72B"]),
        ("x" * 30, ["x" * 12, "x" * 12, "x" * 6]),
    ],
)
def test_lines_break_between_words_then_between_parts(text: str, lines: list[str]) -> None:
    assert wrapped(text, 12).splitlines() == lines


def test_results_of_one_model_are_told_apart_everywhere(tmp_path: Path) -> None:
    _write(tmp_path / "cold", config={"temperature": 0.0}, base_url="http://one.example/v1")
    _write(tmp_path / "deep" / "warm", 2.0, config={"temperature": 0.7}, n=50)
    _write(tmp_path / "lone", 3.0, model="another")
    groups = rank(collect(tmp_path).results)
    markdown, screen = to_markdown(groups), "\n".join(_shown(tmp_path, 200))
    for text in (markdown, screen):
        assert "cold: temperature 0, address http://one.example/v1" in text
        assert "deep/warm: temperature 0.7, address default" in text
        assert "openai/some-vlm (deep/warm): Incomplete" in text  # the note
        assert "prompt" not in text  # the same in both
        assert "lone" not in text  # one of its kind needs no directory
    assert "temperature" not in to_csv(groups).splitlines()[0]


def test_prompts_of_one_name_are_told_apart_by_their_hash(tmp_path: Path) -> None:
    _write(tmp_path / "a", prompt_sha="1" * 64)
    _write(tmp_path / "b", 2.0, prompt_sha="2" * 64)
    markdown = to_markdown(rank(collect(tmp_path).results))
    assert "a: prompt five-lines 11111111" in markdown
    assert "b: prompt five-lines 22222222" in markdown


def test_a_run_that_was_stopped_is_listed_once_with_what_to_do(tmp_path: Path) -> None:
    _write(tmp_path / "good")
    (_write(tmp_path / "r" / "429") / "summary.json").unlink()
    found = collect(tmp_path)
    markdown = to_markdown(rank(found.results), found.broken)
    for text in (markdown, "\n".join(_shown(tmp_path, 600))):
        assert text.count("429 has") == 1
        assert text.count("429") == 1
        assert "hasn't ended. Run the same command again" in text


def test_small_costs_keep_their_digits(tmp_path: Path) -> None:
    path = _write(tmp_path / "a")
    summary = (path / "summary.json").read_text()
    (path / "summary.json").write_text(summary.replace('"cost_usd": null', '"cost_usd": 0.0019'))
    assert "| $0.0019 |" in to_markdown(rank(collect(tmp_path).results))
    assert "$0.0019" in "\n".join(_shown(tmp_path, 200))


def test_a_summary_whose_figures_are_no_numbers_is_said_to_be_broken(tmp_path: Path) -> None:
    _write(tmp_path / "good")
    path = _write(tmp_path / "bad") / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n": 10**400}))
    found = collect(tmp_path)
    assert len(found.results) == 1
    assert "has no images" in str(found.broken[0])


def test_why_a_row_has_no_rank_is_said_under_the_table(tmp_path: Path) -> None:
    write_result(tmp_path / "a", [failed("1", BERN, Outcome.TRANSPORT_ERROR)])
    lines = _shown(tmp_path, 80)
    assert any(line.strip().startswith("–") for line in lines)
    assert any(
        line.startswith("! openai/some-vlm: Incomplete: 0 not asked, 1 lost") for line in lines
    )


@pytest.mark.parametrize("command", ["show .", "compare a b", "export . --csv - --markdown -"])
def test_a_pipe_that_is_not_utf_8_gets_the_result(tmp_path: Path, command: str) -> None:
    _write(tmp_path / "a", model="Łódź")
    _write(tmp_path / "b", 2.0)
    done = subprocess.run(
        [sys.executable, "-m", "geospot", "leaderboard", *command.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    if command.startswith("export"):  # as into a file, which is always UTF-8
        assert "openai/Łódź" in done.stdout.decode("utf-8")
    else:
        assert "openai/?ód?" in done.stdout.decode("latin-1")
