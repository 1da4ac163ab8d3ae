"""The result on one screen, and the warnings that go with it."""

import io
import os
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from geospot.evaluation.report import as_text, dollars, show
from geospot.evaluation.standing import flaws
from geospot.evaluation.summary import summarise
from geospot.outcomes import Outcome
from tests.support.result_dirs import answered, failed

BERN = (46.94809, 7.44744)
HOSTILE = "vlm\x1b[2J[red]\u202e\n"


def _manifest(**more: Any) -> dict[str, Any]:
    return {
        "backend": {"name": "openai", "model": HOSTILE},
        "dataset": {"name": "osv5m", "split": "test"},
    } | more


def _summary(n: int = 40, failures: int = 10, **more: Any) -> dict[str, Any]:
    good = [answered(str(i), BERN, (46.0, 7.0 + i / 10)) for i in range(n - failures)]
    bad = [failed(f"f{i}", BERN) for i in range(failures)]
    return summarise([*good, *bad], n=n, fingerprint="f", resamples=40) | more


def test_plain_text_shows_all_answered_and_coverage() -> None:
    summary = _summary()
    text = as_text(_manifest(), summary)
    assert f"{summary['all']['geoscore']:,.1f}" in text
    assert f"{summary['answered']['geoscore']:,.1f}" in text
    assert "coverage: 75.0%" in text
    assert "refusal 10" in text
    assert "WARNING" not in text


def test_hostile_names_reach_neither_terminal_nor_plain_text() -> None:
    for terminal in (False, True):
        out = io.StringIO()
        show(_manifest(), _summary(), Console(file=out, force_terminal=terminal, width=150))
        assert "\x1b[2J" not in out.getvalue()
        assert "\u202e" not in out.getvalue()
        assert "[red]" in out.getvalue()  # shown, not taken for markup


def test_terminal_and_plain_text_carry_the_warnings() -> None:
    canary = {"asked": True, "passed": False}
    manifest = _manifest(dataset={"name": "mine", "split": "test", "self_selected": True})
    summary = _summary(canary=canary, complete=False, not_asked=7)
    for terminal in (False, True):
        out = io.StringIO()
        show(manifest, summary, Console(file=out, force_terminal=terminal, width=400))
        for sentence in ("7 not asked", "canary failed", "prediction file itself chose"):
            assert sentence in out.getvalue()


def test_flaws_of_each_kind() -> None:
    assert flaws(_manifest(), _summary()) == []
    marks = {
        "incomplete": flaws(_manifest(), _summary() | {"complete": False}),
        "canary failed": flaws(_manifest(canary={"asked": True, "passed": False}), _summary()),
        "self-selected": flaws({"dataset": {"self_selected": True}}, _summary()),
    }
    for mark, found in marks.items():
        assert [(flaw.mark, flaw.unranked) for flaw in found] == [(mark, True)]
    not_asked = _manifest(canary={"asked": False, "passed": None})
    assert flaws(not_asked, _summary()) == []


def test_a_collapsed_model_is_warned_of_but_ranked() -> None:
    same = [answered(str(i), BERN, (0.0, 20.0)) for i in range(30)]
    found = flaws(_manifest(), summarise(same, n=30, fingerprint="f", resamples=40))
    assert [(flaw.mark, flaw.unranked) for flaw in found] == [("collapsed", False)]
    few = summarise(same[:5], n=5, fingerprint="f", resamples=40)
    assert flaws(_manifest(), few) == []


def test_a_summary_without_a_completeness_mark_is_not_trusted() -> None:
    summary = _summary()
    del summary["complete"]
    assert [flaw.mark for flaw in flaws(_manifest(), summary)] == ["incomplete"]


def test_nothing_answered_and_missing_parts_still_show() -> None:
    nothing = summarise(
        [failed("a", BERN, Outcome.UNPARSED)], n=1, fingerprint="f", price_in=1, price_out=1
    )
    text = as_text(_manifest(), nothing)
    assert "–" in text
    assert "$" not in text  # the server counted nothing
    assert "the data set has no labels" in text
    assert "over all" in as_text({}, {})


def test_what_was_not_asked_is_no_lack_of_labels_and_no_flattering_figure() -> None:
    labels = {"country": "CH", "unique_country": "CH"}
    one = answered("a", BERN, BERN, labels=labels, place={"country": "Switzerland"})
    for records in ([], [one]):
        text = as_text(_manifest(), summarise(records, n=100, fingerprint="f", resamples=5))
        assert "no labels" not in text
        assert not [line for line in text.splitlines() if "right place" in line and "100" in line]
        assert "right place (fixed): – (not all were asked)" in text
        assert "right place named: – (not all were asked)" in text
    assert "right place (official): country 1.0%" in text


@pytest.mark.parametrize(
    ("value_usd", "shown"),
    [
        (0.0, "$0.00"),
        (0.0019, "$0.0019"),
        (0.00002, "$0.000020"),
        (0.25, "$0.25"),
        (0.999, "$1.00"),
        (1.0, "$1.00"),
        (1234.567, "$1,234.57"),
    ],
)
def test_small_amounts_keep_their_digits(value_usd: float, shown: str) -> None:
    assert dollars(value_usd) == shown
    assert f", {shown}" in as_text(_manifest(), _summary(cost_usd=value_usd))


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_stream_that_lacks_characters_still_gets_the_result(encoding: str) -> None:
    code = (
        "from geospot.evaluation.report import show\n"
        "show({'backend': {'name': 'b', 'model': 'Łódź 東京'}}, {'n': 3, 'coverage': 0.5})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "coverage: 50.0%" in text
    assert "GeoScore" in text
    assert ("東京" in text) == (encoding == "utf-8")


def test_spread_is_shown_where_there_are_several_answers() -> None:
    records = [answered("a", BERN, (46.0, 7.0 + d), draw=d) for d in range(2)]
    summary = summarise(records, n=1, fingerprint="f", samples=2, resamples=40)
    assert "± per draw" in as_text(_manifest(), summary)
    assert "1 images × 2 answers" in as_text(_manifest(), summary)
