"""Columns are found by the names that people give them; what can't be found is asked for well."""

import pytest

from geospot.data.columns import find_columns, parse_overrides
from geospot.errors import ColumnsError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["image", "latitude", "longitude"], ("image", "latitude", "longitude")),
        (["file_name", "lat", "lng"], ("file_name", "lat", "lng")),
        (["PATH", "Lat", "LON"], ("PATH", "Lat", "LON")),
        (["url", "json.lat", "json.lng"], ("url", "json.lat", "json.lng")),
        ([" image ", "LATITUDE", "Longitude"], (" image ", "LATITUDE", "Longitude")),
    ],
)
def test_usual_names_are_found(names: list[str], expected: tuple[str, str, str]) -> None:
    found = find_columns(names)

    assert (found["image"], found["latitude"], found["longitude"]) == expected


def test_plain_columns_go_before_nested_ones_and_long_names_before_short_ones() -> None:
    found = find_columns(["json.latitude", "lat", "latitude", "lon", "image"])

    assert found["latitude"] == "latitude"


def test_osv5m_headers_are_understood() -> None:
    found = find_columns(
        ["id", "latitude", "longitude", "country", "sub-region", "unique_sub-region", "image"]
    )

    assert found["sub_region"] == "sub-region"
    assert found["unique_sub_region"] == "unique_sub-region"


def test_overrides_name_columns_in_any_language() -> None:
    overrides = parse_overrides(["lat=Breite,lng=Länge", "image=Bild"])

    assert overrides == {"latitude": "Breite", "longitude": "Länge", "image": "Bild"}
    assert find_columns(["Bild", "Breite", "Länge", "lat"], overrides)["latitude"] == "Breite"


def test_an_override_may_hold_commas_and_equals_signs() -> None:
    assert parse_overrides(["lat=a, b"]) == {"latitude": "a, b"}
    assert parse_overrides(["lat=a=b"]) == {"latitude": "a=b"}


def test_what_is_not_found_is_listed_with_guesses_and_the_way_to_say_it() -> None:
    with pytest.raises(ColumnsError) as caught:
        find_columns(["Foto", "gps_lat", "Längengrad", "note"])

    text = str(caught.value)
    assert "No column for image, latitude and longitude" in text
    assert "Foto, gps_lat, Längengrad, note" in text
    assert "--columns image=Foto --columns latitude=gps_lat --columns longitude=Längengrad" in text
    assert caught.value.exit_code == 2


def test_an_override_for_a_column_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ColumnsError, match=r"no column 'latitud'.*Nearest: latitude"):
        find_columns(["image", "latitude", "longitude"], {"latitude": "latitud"})


@pytest.mark.parametrize("argument", ["Breite", "lat=", "=x", "altitude=z"])
def test_an_override_that_says_nothing_is_refused(argument: str) -> None:
    with pytest.raises(ColumnsError, match="--columns lat=Breite"):
        parse_overrides([argument])


def test_hostile_names_reach_no_terminal() -> None:
    with pytest.raises(ColumnsError) as caught:
        find_columns(["\x1b[31mred\x07"])

    assert "\x1b" not in str(caught.value)
