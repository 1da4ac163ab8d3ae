"""summary.json from a handful of records whose every figure is known."""

import dataclasses
import gc
import json
import math
import random
import tracemalloc
from collections.abc import Iterator

import pytest

from geospot.errors import ResultFormatError
from geospot.evaluation.metrics import HEADLINE
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.summary import Summary, summarise
from geospot.outcomes import Outcome
from tests.support.approx import approx
from tests.support.result_dirs import answered, failed

BERN = (46.94809, 7.44744)
NORTH_OF_BERN = (47.94809, 7.44744)  # one degree of latitude: 111.195 km
WINDHOEK = (-22.55941, 17.08323)
DEGREE_KM = math.pi * 6371.0 / 180.0
WORST_KM = math.pi * 6371.0


def _four() -> list[SampleRecord]:
    usage = {"input_tokens": 1000, "output_tokens": 20}
    return [
        answered("a", BERN, BERN, usage=usage, labels={"country": "CH"}),
        answered("b", BERN, NORTH_OF_BERN, usage=usage, labels={"country": "CH"}),
        failed("c", WINDHOEK, Outcome.REFUSAL, usage=usage, labels={"country": "NA"}),
        failed("d", WINDHOEK, Outcome.IMAGE_ERROR),
    ]


def _summarise(records: list[SampleRecord], n: int, samples: int = 1) -> Summary:
    return summarise(records, n=n, fingerprint="f", samples=samples, resamples=40)


def test_every_key_of_the_format() -> None:
    summary = _summarise(_four(), 4)
    wanted = """n coverage outcomes not_asked all answered admin said by_country by_continent ci
        collapse usage cost_usd seconds fingerprint canary complete"""
    assert set(wanted.split()) <= set(summary)
    assert set(summary) - set(wanted.split()) == {"format", "samples_per_image", "spread"}
    assert list(summary["all"]) == list(summary["answered"]) == list(HEADLINE)
    assert list(summary["ci"]["all"]) == list(summary["ci"]["answered"]) == list(HEADLINE)
    levels = ["country", "region", "sub_region", "city"]
    assert list(summary["admin"]["official"]) == list(summary["admin"]["fixed"]) == levels
    assert summary["fingerprint"] == "f"


def test_figures_by_hand() -> None:
    summary = summarise(
        _four(), n=4, fingerprint="f", price_in=2.0, price_out=10.0, seconds=1.5, resamples=40
    )
    near = 5000 * math.exp(-DEGREE_KM / 1492.7)
    assert summary["n"] == 4
    assert summary["coverage"] == 0.5
    assert summary["complete"] is True
    assert summary["not_asked"] == 0
    assert summary["outcomes"] == dict.fromkeys(map(str, Outcome), 0) | {
        "ok": 2,
        "refusal": 1,
        "image_error": 1,
    }
    over_all, over_answered = summary["all"], summary["answered"]
    assert over_all["geoscore"] == approx((5000 + near) / 4)
    assert over_all["mean_km"] == approx((DEGREE_KM + 2 * WORST_KM) / 4)
    assert over_all["median_km"] == approx((DEGREE_KM + WORST_KM) / 2)
    assert (over_all["acc_1km"], over_all["acc_200km"]) == (0.25, 0.5)
    assert over_answered["geoscore"] == approx((5000 + near) / 2)
    assert over_answered["median_km"] == approx(DEGREE_KM / 2)
    assert summary["usage"] == {"input_tokens": 3000, "output_tokens": 60}
    assert summary["cost_usd"] == approx(0.0066)
    assert summary["seconds"] == 1.5


def test_by_country_and_continent() -> None:
    summary = _summarise(_four(), 4)
    assert list(summary["by_country"]) == ["CH", "NA"]
    assert summary["by_country"]["CH"]["n"] == 2
    assert summary["by_country"]["CH"]["median_km"] == approx(DEGREE_KM / 2)
    # The second image of Namibia has no label: its country is that of its coordinates.
    assert summary["by_country"]["NA"]["n"] == 2
    assert summary["by_country"]["NA"]["coverage"] == 0.0
    assert {name: group["n"] for name, group in summary["by_continent"].items()} == {
        "AF": 2,
        "EU": 2,
    }


def test_a_country_of_the_data_set_alone_keeps_its_name_and_gets_a_continent() -> None:
    summary = _summarise([answered("a", BERN, BERN, labels={"country": "Gondor"})], 1)
    assert list(summary["by_country"]) == ["Gondor"]
    assert list(summary["by_continent"]) == ["EU"]


def test_admin_is_null_where_there_are_no_labels() -> None:
    summary = _summarise([answered("a", BERN, BERN)], 1)
    for accuracies in (summary["admin"]["official"], summary["admin"]["fixed"], summary["said"]):
        assert set(accuracies.values()) == {None}


def test_official_counts_rows_without_a_label_and_fixed_does_not() -> None:
    labels = {"country": "CH", "unique_region": "Bern_CH"}
    records = [answered("a", BERN, BERN, labels=labels), answered("b", BERN, BERN)]
    summary = _summarise(records, 2)
    assert summary["admin"]["official"]["region"] == 0.5
    assert summary["admin"]["fixed"]["region"] == 1.0
    assert summary["admin"]["official"]["city"] is None


def test_what_was_not_asked_counts_as_failed_and_makes_it_incomplete() -> None:
    summary = _summarise(_four(), 8)
    assert summary["not_asked"] == 4
    assert summary["complete"] is False
    assert summary["coverage"] == 0.25
    assert summary["all"]["mean_km"] == approx((DEGREE_KM + 6 * WORST_KM) / 8)
    assert summary["all"]["median_km"] == approx(WORST_KM)
    assert summary["answered"]["mean_km"] == approx(DEGREE_KM / 2)


def test_labels_that_are_not_known_yet_make_no_figure() -> None:
    labels = {"country": "CH", "unique_country": "CH", "unique_region": "Bern_CH"}
    one = answered("a", BERN, BERN, labels=labels, place={"country": "Switzerland"})
    summary = _summarise([one], 100)
    assert summary["admin"]["official"]["country"] == 0.01  # a failure each, as in `all`
    assert summary["all"]["acc_1km"] == 0.01
    assert set(summary["admin"]["fixed"].values()) == {None}
    assert set(summary["said"].values()) == {None}
    assert summary["by_country"] is None
    assert summary["by_continent"] is None
    lost = failed("b", BERN, Outcome.TRANSPORT_ERROR, labels=labels)  # asked, so its label is known
    summary = _summarise([one, lost], 2)
    assert summary["admin"]["fixed"]["country"] == summary["said"]["country"] == 0.5
    assert summary["by_country"]["CH"]["n"] == 2


@pytest.mark.parametrize(
    ("records", "cost_usd"),
    [
        ([answered("a", BERN, BERN)], None),
        ([failed("a", BERN, Outcome.UNPARSED)], None),
        ([answered("a", BERN, BERN, usage={"input_tokens": 0, "output_tokens": 0})], None),
        ([answered("a", BERN, BERN, usage={"output_tokens": 500_000})], 5.0),
        ([failed("a", BERN, Outcome.IMAGE_ERROR)], 0.0),
        ([failed("a", BERN, Outcome.TRANSPORT_ERROR)], 0.0),
        ([], 0.0),
    ],
)
def test_a_cost_that_nobody_counted_is_null(
    records: list[SampleRecord], cost_usd: float | None
) -> None:
    summary = summarise(records, n=2, fingerprint="f", price_in=1, price_out=10, resamples=5)
    assert summary["cost_usd"] == cost_usd


def test_a_transport_error_makes_it_incomplete() -> None:
    records = [*_four()[:3], failed("d", WINDHOEK, Outcome.TRANSPORT_ERROR)]
    summary = _summarise(records, 4)
    assert summary["complete"] is False
    assert summary["not_asked"] == 0
    assert summary["outcomes"]["transport_error"] == 1


def test_missing_predictions_are_failures_of_a_complete_result() -> None:
    records = [*_four()[:3], failed("d", WINDHOEK, Outcome.MISSING)]
    assert _summarise(records, 4)["complete"] is True


def test_nothing_asked_at_all() -> None:
    summary = _summarise([], 3)
    assert summary["complete"] is False
    assert summary["all"]["geoscore"] == 0.0
    assert set(summary["answered"].values()) == {None}
    assert summary["collapse"] == {"top_share": None, "top": None, "distinct": 0}
    assert summary["by_country"] is None
    assert set(summary["admin"]["official"].values()) == {None}
    json.dumps(summary, allow_nan=False)


def test_no_images_at_all() -> None:
    summary = _summarise([], 0)
    assert set(summary["all"].values()) == {None}
    assert summary["ci"]["all"]["geoscore"] is None
    json.dumps(summary, allow_nan=False)


def test_more_answers_than_questions_are_refused() -> None:
    with pytest.raises(ResultFormatError, match="4 answers to 4 images where 3 images"):
        _summarise(_four(), 3)
    with pytest.raises(ResultFormatError, match="4 images where 2 images"):
        _summarise(_four(), 2, samples=2)


def _many(n: int, samples: int = 1) -> list[SampleRecord]:
    rng = random.Random(5)
    made: list[SampleRecord] = []
    for image in range(n):
        truth = (rng.uniform(-60, 70), rng.uniform(-180, 180))
        for draw in range(samples):
            if rng.random() < 0.2:
                outcome = rng.choice([Outcome.REFUSAL, Outcome.UNPARSED, Outcome.PLACE_ONLY])
                made.append(failed(f"id{image}", truth, outcome, draw=draw))
            else:
                guess = (truth[0] + rng.gauss(0, 8), max(-180.0, min(180.0, truth[1] + 5)))
                made.append(answered(f"id{image}", truth, guess, draw=draw))
    return made


@pytest.mark.parametrize("samples", [1, 3])
def test_the_order_of_the_records_does_not_matter(samples: int) -> None:
    records = _many(150, samples)
    shuffled = random.Random(1).sample(records, len(records))
    one, other = _summarise(records, 150, samples), _summarise(shuffled, 150, samples)
    assert json.dumps(one) == json.dumps(other)


def test_a_sample_that_was_asked_again_counts_once() -> None:
    records = _many(60)
    lost = [
        failed(r.id, (r.true_latitude, r.true_longitude), Outcome.TRANSPORT_ERROR) for r in records
    ]
    again = random.Random(2).sample([*records, *lost[:30], *lost[:10]], 100)
    assert json.dumps(_summarise(again, 60)) == json.dumps(_summarise(records, 60))


def test_several_answers_an_image() -> None:
    records = [
        answered("a", BERN, BERN, draw=0),
        answered("a", BERN, NORTH_OF_BERN, draw=1),
        answered("b", BERN, BERN, draw=0),
        failed("b", BERN, draw=1),
    ]
    summary = _summarise(records, 2, samples=2)
    assert summary["n"] == 2
    assert summary["samples_per_image"] == 2
    assert summary["outcomes"]["ok"] == 3
    assert summary["coverage"] == 0.75
    assert summary["by_country"]["CH"]["n"] == 2
    assert summary["all"]["acc_1km"] == 0.5
    # Rounds: both images exact; one a degree off and one failed. Two values: |x − y| / √2.
    assert summary["spread"]["acc_1km"] == approx(1.0 / math.sqrt(2))
    assert summary["spread"]["mean_km"] == approx((DEGREE_KM + WORST_KM) / 2 / math.sqrt(2))
    assert _summarise(records[:2], 1, samples=1 + 1)["spread"]["acc_1km"] == approx(math.sqrt(0.5))


def test_intervals_of_several_answers_draw_whole_images() -> None:
    once = _many(150)
    four_times = [dataclasses.replace(record, draw=draw) for record in once for draw in range(4)]
    low, high = _summarise(once, 150)["ci"]["all"]["geoscore"]
    low_4, high_4 = _summarise(four_times, 150, samples=4)["ci"]["all"]["geoscore"]
    assert high_4 - low_4 == approx(high - low, rel=0.35)  # half, were they 600 images


def test_a_missing_round_is_not_asked() -> None:
    records = [answered("a", BERN, BERN, draw=0), answered("b", BERN, BERN, draw=1)]
    summary = _summarise(records, 3, samples=2)
    assert summary["not_asked"] == 4
    assert summary["coverage"] == approx(2 / 6)
    assert summary["all"]["acc_1km"] == approx(2 / 6)


def test_one_answer_an_image_has_no_spread() -> None:
    assert _summarise(_four(), 4)["spread"] is None


def test_collapse() -> None:
    records = [answered(str(i), BERN, WINDHOEK if i < 3 else (1.0, float(i))) for i in range(5)]
    assert _summarise(records, 5)["collapse"] == {
        "top_share": 0.6,
        "top": list(WINDHOEK),
        "distinct": 3,
    }


def test_intervals_hold_their_figures() -> None:
    summary = _summarise(_many(200), 200)
    for part in ("all", "answered"):
        for name in HEADLINE:
            low, high = summary["ci"][part][name]
            assert low <= summary[part][name] <= high
    low, high = summary["ci"]["coverage"]
    assert low <= summary["coverage"] <= high


def test_an_id_of_half_a_surrogate_pair() -> None:
    assert _summarise([answered("\ud800", BERN, BERN)], 1)["coverage"] == 1.0


def test_more_lines_than_answers() -> None:
    """A line that is repeated counts once; only the transport error gives way."""
    records = [record for record in _many(700) for _ in range(3)]
    gone = [failed(record.id, BERN, Outcome.TRANSPORT_ERROR) for record in _many(700)]
    summary = _summarise(records + gone, 700)
    assert summary["usage"] == _summarise(records, 700)["usage"]
    assert summary | {"usage": None} == _summarise(_many(700), 700) | {"usage": None}


def _stream(n: int) -> Iterator[SampleRecord]:
    rng = random.Random(0)
    for image in range(n):
        guess = (rng.uniform(-90, 90), rng.uniform(-180, 180))
        labels = {"country": "CH", "region": f"region {image % 50}", "unique_city": f"c{image}"}
        yield answered(f"{10**15 + image}", BERN, guess, labels=labels, text="x" * 500)


def _peak_bytes(n: int) -> int:
    gc.collect()
    tracemalloc.start()
    summarise(_stream(n), n=n, fingerprint="f", resamples=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_grows_by_numbers_not_by_records() -> None:
    _peak_bytes(100)  # what is loaded once
    grown = _peak_bytes(3_500) - _peak_bytes(1_000)
    assert grown / 2_500 < 150  # bytes an answer; a record as an object takes about 2,000
