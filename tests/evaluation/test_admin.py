"""Country, region, sub-region and city: of the coordinates, and of what the answer says."""

import csv
import os
from pathlib import Path

import pytest

from geospot.evaluation.admin import Mark, accuracy, mark
from geospot.evaluation.records import SampleRecord
from geospot.outcomes import Outcome
from tests.support.approx import approx
from tests.support.result_dirs import answered, failed

# Places of the geocoder's own table, at its own coordinates.
WINDHOEK = (-22.55941, 17.08323)
BERN = (46.94809, 7.44744)
PARIS = (48.85341, 2.3488)

BERN_LABELS = {
    "country": "CH",
    "unique_region": "Bern_CH",
    "unique_sub_region": "Bern-Mittelland District_Bern_CH",
    "unique_city": "Bern_Bern-Mittelland District_Bern_CH",
}


def _marks(record: SampleRecord) -> tuple[list[Mark], list[Mark]]:
    marks = mark([record])
    return [Mark(v) for v in marks.official_N_L[0]], [Mark(v) for v in marks.fixed_N_L[0]]


def _said(record: SampleRecord) -> list[Mark]:
    return [Mark(v) for v in mark([record]).said_N_L[0]]


def test_right_at_every_level() -> None:
    official, fixed = _marks(answered("1", BERN, BERN, labels=BERN_LABELS))
    assert official == fixed == [Mark.RIGHT] * 4


def test_right_country_alone() -> None:
    geneva = (46.20222, 6.14569)
    official, fixed = _marks(answered("1", BERN, geneva, labels=BERN_LABELS))
    assert official == fixed == [Mark.RIGHT, Mark.WRONG, Mark.WRONG, Mark.WRONG]


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.OK])
def test_a_failure_is_wrong_at_every_level(outcome: Outcome) -> None:
    official, fixed = _marks(failed("1", BERN, outcome, labels=BERN_LABELS))
    assert official == fixed == [Mark.WRONG] * 4


def test_coordinates_of_a_failure_are_not_looked_at() -> None:
    record = failed(
        "1",
        BERN,
        Outcome.OUT_OF_RANGE,
        latitude=BERN[0],
        longitude=BERN[1],
        labels=BERN_LABELS,
    )
    official, fixed = _marks(record)
    assert official == fixed == [Mark.WRONG] * 4


def test_the_two_faults_are_kept_in_official_and_mended_in_fixed() -> None:
    # Windhoek has no sub-region in the geocoder's table.
    labels = {
        "country": "NA",
        "unique_region": "Khomas_NA",
        "unique_city": "Windhoek_NaN_Khomas_NA",
    }
    official, fixed = _marks(answered("1", WINDHOEK, WINDHOEK, labels=labels))
    # Never right in the authors' code: Namibia read as missing, no sub-region, `NaN` in the city.
    assert official == [Mark.WRONG, Mark.RIGHT, Mark.WRONG, Mark.WRONG]
    assert fixed == [Mark.RIGHT, Mark.RIGHT, Mark.NO_LABEL, Mark.RIGHT]


def test_a_label_that_is_nan_is_none() -> None:
    labels = {"country": "CH", "unique_region": "NaN_CH", "unique_city": "NaN", "city": "x"}
    _, fixed = _marks(answered("1", BERN, BERN, labels=labels))
    assert fixed == [Mark.RIGHT, Mark.NO_LABEL, Mark.NO_LABEL, Mark.NO_LABEL]


def test_plain_labels_are_composed_and_what_they_lack_is_not_compared() -> None:
    labels = {"city": "Bern", "country": "Switzerland"}
    official, fixed = _marks(answered("1", BERN, BERN, labels=labels))
    assert fixed == [Mark.RIGHT, Mark.NO_LABEL, Mark.NO_LABEL, Mark.RIGHT]
    assert official[0] == Mark.RIGHT
    _, elsewhere = _marks(answered("1", BERN, PARIS, labels=labels))
    assert elsewhere == [Mark.WRONG, Mark.NO_LABEL, Mark.NO_LABEL, Mark.WRONG]


def test_a_town_of_the_same_name_in_another_region_is_wrong() -> None:
    labels = {"city": "Bern", "region": "Zürich", "country": "CH"}
    _, fixed = _marks(answered("1", BERN, BERN, labels=labels))
    assert fixed == [Mark.RIGHT, Mark.WRONG, Mark.NO_LABEL, Mark.WRONG]


def test_a_region_of_the_same_name_in_another_country_is_wrong() -> None:
    labels = {"city": "Bern", "region": "Bern", "country": "Germany"}
    _, fixed = _marks(answered("1", BERN, BERN, labels=labels))
    assert fixed == [Mark.WRONG, Mark.WRONG, Mark.NO_LABEL, Mark.WRONG]


def test_a_country_that_is_none_has_no_labels() -> None:
    labels = {"city": "Minas Tirith", "country": "Gondor"}
    _, fixed = _marks(answered("1", BERN, BERN, labels=labels))
    assert fixed == [Mark.NO_LABEL] * 4


def test_said_is_equality_after_normalisation_never_part_of_a_name() -> None:
    labels = {"country": "US", "region": "New York", "city": "Saint-Étienne"}
    place = {"country": "United States of America", "region": "York", "city": "saint etienne"}
    record = answered("1", PARIS, PARIS, labels=labels, place=place)
    assert _said(record) == [Mark.RIGHT, Mark.WRONG, Mark.RIGHT]


def test_said_counts_what_is_labelled_and_a_silent_answer_is_wrong() -> None:
    record = answered("1", PARIS, PARIS, labels={"country": "FR", "city": "NaN"})
    assert _said(record) == [Mark.WRONG, Mark.NO_LABEL, Mark.NO_LABEL]


def test_a_place_without_coordinates_is_still_said() -> None:
    record = failed(
        "1", PARIS, Outcome.PLACE_ONLY, labels={"country": "FR"}, place={"country": "Frankreich"}
    )
    assert _said(record)[0] == Mark.RIGHT
    assert _marks(record)[1][0] == Mark.WRONG


def test_a_territory_is_only_itself() -> None:
    record = answered("1", PARIS, PARIS, labels={"country": "PR"}, place={"country": "USA"})
    assert _said(record)[0] == Mark.WRONG


def test_accuracy_of_labelled_rows_or_of_all() -> None:
    marks = mark(
        [
            answered("1", BERN, BERN, labels=BERN_LABELS),
            failed("2", BERN, labels=BERN_LABELS),
            answered("3", BERN, BERN),
        ]
    )
    assert accuracy(marks.fixed_N_L[:, 0]) == 0.5
    assert accuracy(marks.official_N_L[:, 0], total=4) == 0.25
    assert accuracy(marks.said_N_L[:0, 0]) is None


def test_nothing_to_mark() -> None:
    assert mark([]).fixed_N_L.shape == (0, 4)


@pytest.mark.skipif("GEOSPOT_OSV5M" not in os.environ, reason="GEOSPOT_OSV5M is not set")
def test_true_coordinates_of_real_rows_reproduce_their_labels() -> None:
    table = Path(os.environ["GEOSPOT_OSV5M"]) / "test.csv"
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if len(rows) != 38:
        pytest.skip("the figures below are those of osv5m-mini")
    labelled = {"unique_region": "unique_region", "unique_city": "unique_city"}
    labelled |= {"unique_sub_region": "unique_sub-region", "country": "unique_country"}
    records: list[SampleRecord] = []
    for row in rows:
        truth = (float(row["latitude"]), float(row["longitude"]))
        labels = {ours: row[theirs] for ours, theirs in labelled.items() if row[theirs]}
        records.append(answered(row["id"], truth, truth, labels=labels))
    marks = mark(records)
    # Worked out from the CSV alone: 15 labels have a sub-region, 23 have `NaN` for it.
    official = [accuracy(marks.official_N_L[:, i], 38) for i in range(4)]
    fixed = [accuracy(marks.fixed_N_L[:, i]) for i in range(4)]
    assert official == [1.0, 1.0, approx(15 / 38), approx(15 / 38)]
    assert fixed == [1.0, 1.0, 1.0, approx(32 / 38)]
