"""Two results, pair by pair."""

import json
import random
import tracemalloc
from pathlib import Path

import pytest

from geospot.errors import UsageError
from geospot.evaluation.records import SampleRecord
from geospot.outcomes import Outcome
from geospot_leaderboard.compare import Comparison, compare, judge, to_json
from geospot_leaderboard.compare_text import as_text
from geospot_leaderboard.pairs import pair_up
from tests.support.approx import approx
from tests.support.result_dirs import answered, failed, write_result

BERN = (46.94809, 7.44744)


def _off(sample_id: str, degrees: float, **more: int) -> SampleRecord:
    return answered(sample_id, BERN, (BERN[0] - degrees, BERN[1]), **more)


def _compare(tmp_path: Path, a: list[SampleRecord], b: list[SampleRecord]) -> Comparison:
    write_result(tmp_path / "a", a, model="old")
    write_result(tmp_path / "b", b, model="new")
    return compare(tmp_path / "a", tmp_path / "b")


def test_only_common_images_count(tmp_path: Path) -> None:
    a = [_off("1", 1), _off("2", 1), _off("3", 0)]
    b = [_off("2", 2), _off("1", 0), _off("4", 0), _off("5", 0)]
    found = _compare(tmp_path, a, b)
    assert (found.common, found.only_a, found.only_b) == (2, 1, 2)
    assert (found.wins, found.ties, found.losses) == (1, 0, 1)
    assert found.median_km.a == approx(111.195, abs=0.01)
    assert found.median_km.b == approx(111.195, abs=0.01)  # of 0 and 222.39


def test_the_sign_is_b_minus_a(tmp_path: Path) -> None:
    found = _compare(tmp_path, [_off("1", 3), _off("2", 3)], [_off("1", 1), _off("2", 1)])
    assert found.geoscore.difference == approx(found.geoscore.b - found.geoscore.a)
    assert found.geoscore.difference > 0
    assert found.median_km.difference == approx(-222.39, abs=0.01)
    assert found.geoscore.interval
    assert found.geoscore.interval.low == approx(found.geoscore.difference)  # all images alike


def _noisy(seed: int, factor: float, n: int = 120) -> list[SampleRecord]:
    base, noise = random.Random(0), random.Random(seed)
    return [
        _off(str(i), base.expovariate(0.2) * factor * noise.uniform(0.9, 1.1)) for i in range(n)
    ]


def test_a_difference_of_chance_is_said_to_be_none(tmp_path: Path) -> None:
    found = _compare(tmp_path, _noisy(1, 1.0), _noisy(2, 1.0))
    assert found.geoscore.p > 0.05
    assert "not significant" in found.verdict
    assert found.verdict in as_text(found)
    assert found.geoscore.interval
    assert found.geoscore.interval.low <= 0.0 <= found.geoscore.interval.high


def test_a_real_difference_is_found_and_named(tmp_path: Path) -> None:
    found = _compare(tmp_path, _noisy(1, 1.0), _noisy(2, 0.8))
    assert found.geoscore.p < 0.01
    assert found.verdict.startswith("B is better")
    assert found.geoscore.interval
    assert found.geoscore.interval.low > 0.0
    assert found.median_km.difference < 0
    back = compare(tmp_path / "b", tmp_path / "a")
    assert back.verdict.startswith("A is better")
    assert back.geoscore.p == found.geoscore.p


def test_threshold_tests_count_discordant_images(tmp_path: Path) -> None:
    a = [_off(str(i), 0.5 if i < 8 else 3.0) for i in range(10)]  # 55.6 km or 333.6 km
    b = [_off(str(i), 0.5 if i in (0, 9) else 3.0) for i in range(10)]
    test = _compare(tmp_path, a, b).thresholds["acc_200km"]
    assert (test.a, test.b, test.only_a, test.only_b) == (0.8, 0.2, 7, 1)
    assert test.p_exact == approx(18 / 256)
    assert test.p_mid == approx(10 / 256)
    assert test.p_holm == approx(5 * 10 / 256)


def test_a_failure_loses_to_any_answer(tmp_path: Path) -> None:
    found = _compare(
        tmp_path, [_off("1", 90), failed("2", BERN)], [failed("1", BERN), _off("2", 90)]
    )
    assert (found.wins, found.losses) == (1, 1)
    (worst,) = found.regressions
    assert (worst.id, worst.a_outcome, worst.b_outcome) == ("1", "ok", "refusal")
    assert "→ refusal" in as_text(found)


def test_the_ten_largest_regressions_come_worst_first(tmp_path: Path) -> None:
    a = [_off(f"{i:02}", 0) for i in range(15)]
    b = [_off(f"{i:02}", i) for i in range(15)]
    found = _compare(tmp_path, a, b)
    assert [one.id for one in found.regressions] == [f"{i:02}" for i in range(14, 4, -1)]
    assert found.ties == 1
    assert found.regressions[0].loss > found.regressions[-1].loss > 0


def test_what_the_network_lost_is_no_answer_of_a_model(tmp_path: Path) -> None:
    a = [_off("1", 1), _off("2", 1)]
    b = [_off("1", 1), failed("2", BERN, Outcome.TRANSPORT_ERROR)]
    found = _compare(tmp_path, a, b)
    assert (found.common, found.losses, found.lost_b, found.only_a) == (1, 0, 1, 0)
    assert any("B is incomplete" in caveat for caveat in found.caveats)


def test_what_was_lost_is_counted_as_failed_in_the_worst_case(tmp_path: Path) -> None:
    a = [_off("1", 1), _off("2", 0), _off("3", 0), failed("4", BERN, Outcome.TRANSPORT_ERROR)]
    b = [_off("1", 0.5), *(failed(i, BERN, Outcome.TRANSPORT_ERROR) for i in "23"), _off("9", 0)]
    found = _compare(tmp_path, a, b)
    assert found.common == 1
    assert found.geoscore.difference > 0
    worst = found.lost_counted
    assert worst
    assert (worst.images, worst.lost_answers_a, worst.lost_answers_b) == (3, 0, 2)
    assert worst.a == approx((a[0].geoscore + 10_000) / 3)
    assert worst.b == approx(b[0].geoscore / 3)
    text = as_text(found)
    assert f"{worst.difference:+,.1f}  GeoScore of 3 images" in text
    assert "could decide who is better" in text
    document = to_json(found)["lost_counted"]
    assert document["difference"] == worst.difference == worst.b - worst.a
    assert json.loads(json.dumps(document))["lost_answers_b"] == 2


def test_a_lost_answer_among_several_counts_in_the_worst_case(tmp_path: Path) -> None:
    lost = failed("1", BERN, Outcome.TRANSPORT_ERROR, draw=1)
    write_result(tmp_path / "a", [_off("1", 0, draw=0), lost], samples=2)
    write_result(tmp_path / "b", [_off("1", 0)])
    found = compare(tmp_path / "a", tmp_path / "b")
    assert (found.geoscore.a, found.lost_a) == (5000.0, 0)
    assert found.lost_counted
    assert (found.lost_counted.a, found.lost_counted.b) == (2500.0, 5000.0)


def test_without_losses_there_is_no_worst_case(tmp_path: Path) -> None:
    found = _compare(tmp_path, [_off("1", 1)], [_off("1", 2)])
    assert found.lost_counted is None
    assert to_json(found)["lost_counted"] is None
    assert "worst case" not in as_text(found)


def test_several_answers_are_one_pair(tmp_path: Path) -> None:
    a = [_off("1", 1, draw=0), _off("1", 3, draw=1), _off("1", 2, draw=2)]
    write_result(tmp_path / "a", a, samples=3)
    write_result(tmp_path / "b", [_off("1", 2)])
    found = compare(tmp_path / "a", tmp_path / "b")
    assert found.common == 1
    assert found.median_km.a == approx(222.39, abs=0.01)
    assert found.geoscore.a == approx(sum(record.geoscore for record in a) / 3)
    assert any("A gave 3 answers" in caveat for caveat in found.caveats)


def test_other_images_and_other_prompts_are_said(tmp_path: Path) -> None:
    write_result(tmp_path / "a", [_off("1", 1)])
    write_result(tmp_path / "b", [_off("1", 1)], fingerprint="0" * 64, prompt_sha="0" * 64)
    text = as_text(compare(tmp_path / "a", tmp_path / "b"))
    assert "different sets of images" in text
    assert "different prompts" in text


def test_a_baseline_has_read_no_prompt(tmp_path: Path) -> None:
    for name, prompt in (("a", "0"), ("b", "1")):
        write_result(tmp_path / name, [_off("1", 1)], prompt_sha=prompt * 64)
    manifest = json.loads((tmp_path / "b" / "eval.json").read_text())
    manifest["backend"]["needs_image"] = False
    (tmp_path / "b" / "eval.json").write_text(json.dumps(manifest))
    assert compare(tmp_path / "a", tmp_path / "b").caveats == []


@pytest.mark.parametrize(
    ("truths", "said"),
    [
        (("1" * 64, "2" * 64), "different true coordinates"),
        (("1" * 64, None), "Only one of them records"),
        (("1" * 64, "1" * 64), ""),
        ((None, None), ""),
    ],
)
def test_other_true_coordinates_are_said(
    tmp_path: Path, truths: tuple[str | None, str | None], said: str
) -> None:
    for name, truth_sha in zip("ab", truths, strict=True):
        write_result(tmp_path / name, [_off("1", 1)], truth_sha=truth_sha)
    caveats = compare(tmp_path / "a", tmp_path / "b").caveats
    assert any(said in caveat for caveat in caveats) if said else caveats == []


def test_canary_and_self_selection_are_said(tmp_path: Path) -> None:
    write_result(tmp_path / "a", [_off("1", 1)], canary={"asked": True, "passed": False})
    write_result(tmp_path / "b", [_off("1", 1)], self_selected=True)
    caveats = compare(tmp_path / "a", tmp_path / "b").caveats
    assert any(c.startswith("A: ") and "canary" in c for c in caveats)
    assert any(c.startswith("B: ") and "chose the images" in c for c in caveats)


def test_equal_ids_of_other_places_are_no_pair(tmp_path: Path) -> None:
    elsewhere = answered("2", (0.0, 20.0), (0.0, 20.0))
    found = _compare(tmp_path, [_off("1", 1), _off("2", 1)], [_off("1", 1), elsewhere])
    assert (found.common, found.other_truth) == (1, 1)


def test_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image in common"):
        _compare(tmp_path, [_off("1", 1)], [_off("2", 1)])


def test_json_has_everything_the_text_has(tmp_path: Path) -> None:
    found = _compare(tmp_path, _noisy(1, 1.0, 20), _noisy(2, 2.0, 20))
    document = json.loads(json.dumps(to_json(found), allow_nan=False))
    assert document["common"] == 20
    assert document["geoscore"]["p"] == found.geoscore.p
    assert document["geoscore"]["interval"][0] < document["geoscore"]["difference"]
    assert list(document["thresholds"]) == [
        "acc_1km",
        "acc_25km",
        "acc_200km",
        "acc_750km",
        "acc_2500km",
    ]
    assert document["verdict"] == found.verdict
    assert len(document["regressions"]) == 10


def test_hostile_ids_are_harmless_on_a_terminal(tmp_path: Path) -> None:
    evil = "x\x1b[2J\u202e"
    text = as_text(_compare(tmp_path, [_off(evil, 0)], [_off(evil, 5)]))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_an_image_takes_some_hundred_bytes_while_results_are_paired(tmp_path: Path) -> None:
    images = 3_000
    for name in ("a", "b"):
        write_result(tmp_path / name, _noisy(1, 1.0, images), model=name)
    pair_up(tmp_path / "a", tmp_path / "b")  # what is imported and cached at the first time
    peaks: list[int] = []
    for _ in range(3):  # what other tests left running in threads counts, too
        tracemalloc.start()
        pairs = pair_up(tmp_path / "a", tmp_path / "b")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(pairs.images_a.ids) == images
    assert min(peaks) / images < 700  # of two whole test splits of OSV-5M: 150 MB


def test_swapped_pairs_are_those_of_the_other_way_round(tmp_path: Path) -> None:
    lost = [failed("8", BERN, Outcome.TRANSPORT_ERROR), _off("9", 2), _off("1", 3)]
    write_result(tmp_path / "a", [_off("1", 1), _off("2", 1), _off("3", 0), _off("8", 1)])
    write_result(tmp_path / "b", [*lost, _off("2", 2), _off("4", 0), _off("5", 0)])
    pairs = pair_up(tmp_path / "a", tmp_path / "b")
    there, back = judge(pairs.swapped()), compare(tmp_path / "b", tmp_path / "a")
    assert to_json(there) == to_json(back)
    assert there.lost_counted is not None
    assert to_json(judge(pairs.swapped().swapped())) == to_json(judge(pairs))
