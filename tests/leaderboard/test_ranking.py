"""What is found, what is ranked and what is not."""

import json
from pathlib import Path

import pytest

from geospot.errors import UsageError
from geospot.outcomes import Outcome
from geospot_leaderboard.collect import collect
from geospot_leaderboard.export import to_markdown
from geospot_leaderboard.ranking import Group, rank
from geospot_leaderboard.references import references
from tests.support.result_dirs import answered, failed, write_result

BERN = (46.94809, 7.44744)


def _off_by(degrees: float) -> tuple[float, float]:
    return (BERN[0] - degrees, BERN[1])


def _ranks(groups: list[Group]) -> list[list[tuple[str, int | None]]]:
    return [
        [(row.result.manifest["backend"]["model"], row.rank) for row in group.rows]
        for group in groups
    ]


def test_ranks_by_geoscore_over_all(tmp_path: Path) -> None:
    # The cautious one is nearer where it answers, but answers half of the images.
    write_result(tmp_path / "a", [answered("1", BERN, _off_by(3)), answered("2", BERN, _off_by(3))])
    write_result(
        tmp_path / "b",
        [answered("1", BERN, BERN), failed("2", BERN)],
        model="cautious",
    )
    write_result(
        tmp_path / "deep" / "er" / "c",
        [answered("1", BERN, _off_by(1)), answered("2", BERN, BERN)],
        model="best",
    )
    groups = rank(collect(tmp_path).results)
    assert _ranks(groups) == [[("best", 1), ("some-vlm", 2), ("cautious", 3)]]


def test_other_images_are_another_ranking(tmp_path: Path) -> None:
    write_result(tmp_path / "a", [answered("1", BERN, _off_by(9))], model="worse")
    write_result(tmp_path / "b", [answered("1", BERN, BERN)], fingerprint="9" * 64, model="better")
    write_result(
        tmp_path / "c", [answered("1", BERN, BERN)], fingerprint="order=stream:" + "f" * 64
    )
    groups = rank(collect(tmp_path).results)
    assert len(groups) == 3
    assert [[r for _, r in group] for group in _ranks(groups)] == [[1], [1], [1]]
    assert len({group.fingerprint for group in groups}) == 3


def test_other_true_coordinates_are_another_ranking(tmp_path: Path) -> None:
    write_result(tmp_path / "a", [answered("1", BERN, _off_by(2))], truth_sha="1" * 64, model="a")
    write_result(tmp_path / "b", [answered("1", BERN, _off_by(1))], truth_sha="1" * 64, model="b")
    write_result(tmp_path / "c", [answered("1", (46.0, 7.0), (46.0, 7.0))], truth_sha="2" * 64)
    write_result(tmp_path / "d", [answered("1", BERN, BERN)], model="old")
    groups = rank(collect(tmp_path).results)
    assert [group.truth_sha for group in groups] == [None, "1" * 64, "2" * 64]
    assert _ranks(groups) == [[("old", 1)], [("b", 1), ("a", 2)], [("some-vlm", 1)]]
    titles = to_markdown(groups)
    for title in ("coordinates not recorded", "coordinates 11111111", "coordinates 22222222"):
        assert title in titles


def test_results_that_all_lack_the_truth_are_ranked_together(tmp_path: Path) -> None:
    for name, degrees in (("x", 1), ("y", 2)):
        write_result(tmp_path / name, [answered("1", BERN, _off_by(degrees))], model=name)
    assert _ranks(rank(collect(tmp_path).results)) == [[("x", 1), ("y", 2)]]


def test_equal_scores_share_a_rank_and_the_next_is_skipped(tmp_path: Path) -> None:
    for name, degrees in (("x", 1), ("y", 1), ("z", 2)):
        write_result(tmp_path / name, [answered("1", BERN, _off_by(degrees))], model=name)
    assert _ranks(rank(collect(tmp_path).results)) == [[("x", 1), ("y", 1), ("z", 3)]]


def test_flawed_results_are_marked_unranked_and_leave_no_gap(tmp_path: Path) -> None:
    best = [answered("1", BERN, BERN), answered("2", BERN, BERN)]
    lost = [answered("1", BERN, BERN), failed("2", BERN, Outcome.TRANSPORT_ERROR)]
    write_result(tmp_path / "lost", lost, model="lost")
    write_result(tmp_path / "stopped", best, n=3, model="stopped")
    write_result(tmp_path / "blind", best, canary={"asked": True, "passed": False}, model="blind")
    write_result(tmp_path / "picked", best, self_selected=True, model="picked")
    write_result(
        tmp_path / "good", [answered("1", BERN, _off_by(5)), failed("2", BERN)], model="ok"
    )
    (group,) = rank(collect(tmp_path).results)
    assert (group.rows[0].result.manifest["backend"]["model"], group.rows[0].rank) == ("ok", 1)
    marks = {
        row.result.manifest["backend"]["model"]: row.result.marks
        for row in group.rows[1:]
        if row.rank is None
    }
    assert marks == {
        "lost": ["incomplete"],
        "stopped": ["incomplete"],
        "blind": ["canary failed"],
        "picked": ["self-selected"],
    }


def test_broken_results_are_listed_with_their_reason(tmp_path: Path) -> None:
    good = write_result(tmp_path / "good", [answered("1", BERN, BERN)])
    summary = json.loads((good / "summary.json").read_text())

    def broken(name: str, file: str, text: str | None) -> None:
        path = write_result(tmp_path / name, [answered("1", BERN, BERN)])
        if text is None:
            (path / file).unlink()
        else:
            (path / file).write_text(text)

    broken("b-torn", "eval.json", '{"format"')
    broken("c-unfinished", "summary.json", None)
    broken("d-future", "summary.json", json.dumps(summary | {"format": 99}))
    broken("e-list", "summary.json", "[]")
    broken("f-nan", "summary.json", json.dumps(summary | {"all": {"geoscore": float("nan")}}))
    broken("g-other", "summary.json", json.dumps(summary | {"fingerprint": "another"}))
    broken("h-empty", "summary.json", "{}")
    broken("i-no-eval", "eval.json", None)
    found = collect(tmp_path)
    assert [result.path.name for result in found.results] == ["good"]
    reasons = {one.path.name: one.reason for one in found.broken}
    assert list(reasons) == [
        "b-torn",
        "c-unfinished",
        "d-future",
        "e-list",
        "f-nan",
        "g-other",
        "h-empty",
        "i-no-eval",
    ]
    assert "hasn't ended" in reasons["c-unfinished"]
    assert "99" in reasons["d-future"]
    assert "geoscore" in reasons["f-nan"]
    assert "different images" in reasons["g-other"]
    assert "no eval.json" in reasons["i-no-eval"]


def test_what_was_set_aside_and_what_is_no_result_is_passed_over(tmp_path: Path) -> None:
    write_result(tmp_path / "a", [answered("1", BERN, BERN)])
    write_result(tmp_path / "a.aside-20261122-120000", [answered("1", BERN, BERN)])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "summary.json").write_text("not ours")
    found = collect(tmp_path)
    assert [result.path.name for result in found.results] == ["a"]
    assert found.broken == []
    assert [result.path.name for result in collect(tmp_path / "a").results] == ["a"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        collect(tmp_path / "nowhere")


def test_references_are_fractions_with_a_source_and_only_for_their_data_set() -> None:
    published = references("osv5m", "test")
    assert len(published) == 7
    assert [row.geoscore for row in published] == sorted(
        (row.geoscore for row in published), reverse=True
    )
    official = next(row for row in published if "official" in row.model)
    assert (official.geoscore, official.mean_km) == (3361, 1814)
    assert (official.country_acc, official.city_acc) == (0.68, 0.059)
    assert [row.model for row in published if row.read_at_source] == [official.model]
    for row in published:
        assert row.source
        assert row.n == 210_122
        accuracies = (row.country_acc, row.region_acc, row.sub_region_acc, row.city_acc)
        assert all(value is None or 0 < value < 1 for value in accuracies)
    assert references("osv5m", "train") == []
    assert references("world", "test") == []
