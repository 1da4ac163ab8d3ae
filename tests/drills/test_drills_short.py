"""Every drill, a few times: it comes about, and nothing is lost."""

from pathlib import Path

import pytest

from tests.drills.drill import Attempt, Drill, Session, Trial, all_drills
from tests.drills.running import Record, run_drill

SHORT = [drill for drill in all_drills().values() if drill.short]


@pytest.mark.parametrize("drill", SHORT, ids=[drill.name for drill in SHORT])
def test_nothing_is_lost(drill: Drill, tmp_path: Path) -> None:
    session = Session(drill.name, drill.short, True, 1, tmp_path / "trials")
    tally = run_drill(drill, session, Record(tmp_path / "record.jsonl"))
    assert not [sentence for trial in tally.lost for sentence in trial.lost]
    assert tally.times >= drill.short


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
