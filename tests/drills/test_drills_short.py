"""Every drill, a few times: it comes about, and nothing is lost."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.drills.drill import Attempt, Drill, Session, Trial, all_drills
from tests.drills.flatness import Floats, flatness
from tests.drills.running import Record, run_drill
from tests.support.doc_commands import run_module, shown

PAGE = shown("python -m tests.drills")
_LONG = r"kill_(grpo|sft) --"
"""How the page says a training's drill is repeated, for which a sooner one is here."""
_RUN = [re.sub(_LONG, "broken_runs --", line) for line in PAGE]
_BY_THE_PAGE = {word for line in _RUN for word in line.split()}
SHORT = [one for one in all_drills().values() if one.short and one.name not in _BY_THE_PAGE]


@pytest.mark.timeout(900)  # on a machine that does much else
@pytest.mark.parametrize("drill", SHORT, ids=[drill.name for drill in SHORT])
def test_nothing_is_lost(drill: Drill, tmp_path: Path) -> None:
    session = Session(drill.name, drill.short, True, 1, tmp_path / "trials")
    tally = run_drill(drill, session, Record(tmp_path / "record.jsonl"))
    assert not [sentence for trial in tally.lost for sentence in trial.lost]
    assert tally.times >= drill.short


@pytest.mark.timeout(900)
@pytest.mark.parametrize("line", _RUN, ids=PAGE)
def test_the_commands_of_the_page_drill(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The short form of what they say."""
    assert set(re.findall(r"kill_\w+", " ".join(PAGE))) <= set(all_drills())
    words = line.split()
    names = set(words) & set(all_drills())
    words += ["--short", "--out", str(tmp_path)]
    words += ["--times", "3"] if "--times" in words else []
    assert run_module(words if names else [*words, "broken_runs"], monkeypatch) == 0
    said = capsys.readouterr().out
    done = [json.loads(trial) for trial in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert {trial["drill"] for trial in done} == (names or {"broken_runs"})
    options = dict(pairwise(words))
    assert f"seed {options.get('--seed', 0)}" in said
    assert "--only" not in options or [trial["number"] for trial in done] == [
        int(options["--only"])
    ]


def test_the_page_names_every_drill_and_those_that_have_no_short_form() -> None:
    page = (Path(__file__).parents[2] / "docs" / "drills.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(all_drills())
    left_out = page.partition("but for")[2].partition("too long for it")[0]
    without = {drill.name for drill in all_drills().values() if not drill.short}
    assert set(re.findall(r"`(\w+)`", left_out)) == without


def session(folder: Path, times: int, only: int | None = None) -> Session:
    return Session("some", times, False, 3, folder, only)


def test_trials_that_stand_aside_are_done_again_and_losses_are_kept(tmp_path: Path) -> None:
    def one(attempt: Attempt) -> Trial:
        (attempt.folder / "file").write_text("x")
        match attempt.number:
            case 1:
                return Trial("late", aside="no kill: too late")
            case 2:
                return Trial("lossy", lost=("one sample",))
            case 3:
                raise RuntimeError("a bug")
            case _:
                return Trial("fine")

    trials = list(session(tmp_path, 5).repeat(one, side_by_side=2))
    assert sum(trial.tries for trial in trials if not trial.aside) == 5
    assert {trial.number for trial in trials} == set(range(6))
    by_number = {trial.number: trial for trial in trials}
    assert by_number[2].lost == ("one sample",)
    assert "RuntimeError: a bug" in by_number[3].lost[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000002", "000003"]


def test_a_drill_that_never_comes_about_is_lost(tmp_path: Path) -> None:
    trials = list(session(tmp_path, 2).repeat(lambda _: Trial("nothing", aside="no kill")))
    assert [trial.lost for trial in trials if trial.lost] == [("only 0 of 2 came about",)]


def test_a_trial_is_repeated_with_the_same_dice(tmp_path: Path) -> None:
    def one(attempt: Attempt) -> Trial:
        return Trial(str(attempt.chance.random()))

    drawn = {trial.number: trial.what for trial in session(tmp_path / "a", 5).repeat(one)}
    [again] = session(tmp_path / "b", 5, only=3).repeat(one)
    assert again.what == drawn[3]
    assert len(set(drawn.values())) == 5


@pytest.mark.parametrize(
    ("grown", "is_flat"),
    [(0.0, True), (0.02, True), (0.4, False)],
    ids=["nothing", "little", "a leak"],
)
def test_a_leak_is_told_from_noise(grown: float, is_flat: bool) -> None:
    done_N = np.linspace(0.0, 1.0, 400)
    assert flatness("MB", done_N, noisy(done_N, grown), limit=0.05).is_flat is is_flat


def test_a_cache_that_fills_up_is_no_leak() -> None:
    done_N = np.linspace(0.0, 1.0, 400)
    filling_N = noisy(done_N, 0.0) + 80.0 * np.minimum(done_N, 0.3) / 0.3
    judged = flatness("MB", done_N, filling_N, limit=0.05)
    assert judged.is_flat
    assert judged.middle > judged.second * 1.2


def test_what_was_not_looked_at_is_not_judged() -> None:
    done_N = np.linspace(0.0, 0.8, 50)
    with pytest.raises(ValueError, match="Nobody looked between"):
        flatness("MB", done_N, noisy(done_N, 0.0), limit=0.05)


def noisy(done_N: Floats, grown: float) -> Floats:
    """A figure of 100 that grows by this share, with a scatter of 3%."""
    return 100.0 * (1.0 + grown * done_N) + np.random.default_rng(5).normal(0.0, 3.0, len(done_N))
