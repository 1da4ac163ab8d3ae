"""The world behind the map: outlines, the projection, great circles, countries, classes."""

from pathlib import Path

import numpy as np
import pytest

from geospot.errors import DataError
from geospot.geo import haversine_km
from geospot.places.countries import country_codes
from geospot.places.outlines import PATH, outlines, packed, unpacked
from geospot.tui.atlas import land, pack
from geospot.tui.atlas.arcs import arc_dots
from geospot.tui.atlas.classes import CHANGES, ERRORS
from geospot.tui.atlas.projection import REGIONS, View, box_around
from tests.support.approx import approx
from tests.support.shapefiles import shapefile

WORLD = View.of(REGIONS["world"], 240, 156)
CITIES = {
    "FR": (48.86, 2.35),
    "RU": (55.75, 37.6),
    "US": (39.0, -98.0),
    "BR": (-10.0, -52.0),
    "ZA": (-31.0, 22.0),
    "LS": (-29.6, 28.3),
    "AU": (-25.0, 135.0),
    "JP": (36.2, 138.5),
    "GL": (72.0, -40.0),
}


# Outlines


def test_outlines_are_small_and_have_the_world() -> None:
    world = outlines()
    assert PATH.stat().st_size < 45_000
    assert len(world.codes) > 170
    assert set(world.codes) <= country_codes()
    for start, end in zip(
        world.start_R, np.append(world.start_R[1:], len(world.latitude_P)), strict=True
    ):
        ring = slice(start, end - 1)
        assert world.longitude_P[start] == world.longitude_P[end - 1], "A ring is closed"
        assert end - start >= 4
        assert abs(world.latitude_P[ring]).max() <= 90


def test_a_box_is_of_the_mainland() -> None:
    south, west, north, east = outlines().boxes["FR"]
    assert 41 < south < 44
    assert -6 < west < 0
    assert 50 < north < 52
    assert 7 < east < 10  # and not as far as Guiana


def test_packed_rings_come_back_also_over_the_date_line() -> None:
    ring = np.array([[179.5, 10.0], [-179.99, 10.25], [-180.0, -89.99], [179.5, 10.0]])
    hole = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    again = unpacked(packed([("FJ", ring), ("--", hole)]))
    assert np.allclose(again.longitude_P, [*ring[:, 0], *hole[:, 0]], atol=0.006)
    assert np.allclose(again.latitude_P, [*ring[:, 1], *hole[:, 1]], atol=0.006)
    assert again.country_R.tolist() == ["FJ", "--"]
    assert again.codes == ["FJ"]


def test_shapes_are_packed_with_their_countries(tmp_path: Path) -> None:
    square = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    names = ["DEU/Germany", "-99/Côte d'Ivoire", "-99/N. Cyprus", "-99/Nowhere"]
    shapefile(tmp_path, [square] * 4, names)
    pack.main([str(tmp_path), "--layer", "layer", "--out", str(tmp_path / "new" / "out.npz")])
    with np.load(tmp_path / "new" / "out.npz") as arrays:
        world = unpacked({name: arrays[name] for name in arrays.files})
    assert world.country_R.tolist() == ["DE", "CI", "CY", "--"]
    assert len(world.latitude_P) == 20


def test_no_shapefile_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no layer\.shp"):
        pack.read_rings(tmp_path, "layer")
    (tmp_path / "layer.shp").write_bytes(b"PK not a shapefile")
    (tmp_path / "layer.dbf").write_bytes(b"")
    with pytest.raises(DataError, match="no shapefile"):
        pack.read_rings(tmp_path, "layer")


# The projection


@pytest.mark.parametrize("centre", [(0.0, 0.0), (55.0, 179.0), (-40.0, -170.0), (70.0, 20.0)])
@pytest.mark.parametrize("degrees", [1.0, 0.1, 0.001])
def test_a_dot_is_the_place_that_it_shows(centre: tuple[float, float], degrees: float) -> None:
    view = View(*centre, degrees, 240, 120).settled()
    latitude, longitude = view.place(30.5, 100.25)
    if abs(latitude) < 90:
        assert float(view.x(longitude)) == approx(30.5, abs=1e-6)
        assert float(view.y(latitude)) == approx(100.25, abs=1e-6)


def test_the_world_fits_and_a_degree_is_nowhere_stretched_much() -> None:
    assert WORLD.world_dots <= WORLD.width
    assert WORLD.y(84.0) >= 0
    assert WORLD.y(-58.0) <= WORLD.height
    france = View.of(outlines().boxes["FR"], 160, 72)
    north = float(france.y(46.0) - france.y(47.0))
    east = float(france.x(3.0) - france.x(2.0))
    assert east / north == approx(np.cos(np.radians(46.5)), rel=0.03)


@pytest.mark.parametrize(("columns", "rows"), [(80, 17), (120, 33), (250, 63), (42, 17), (74, 33)])
def test_every_longitude_is_on_the_world_however_wide_it_is(columns: int, rows: int) -> None:
    view = View.of(REGIONS["world"], 2 * columns, 4 * rows)
    assert view.world_dots == approx(view.width)
    for latitude in (84.0, -58.0):
        assert -0.01 <= float(view.y(latitude)) <= view.height + 0.01
    assert 0.5 < view.squeeze <= 1


def test_zooming_keeps_the_place_under_the_pointer() -> None:
    view = View.of(REGIONS["Europe"], 240, 120)
    before = view.place(60, 40)
    assert view.zoomed(3.0, 60, 40).place(60, 40) == approx(before)


def test_nobody_leaves_the_globe() -> None:
    assert WORLD.zoomed(1e-9).degrees <= 180 / WORLD.height
    assert WORLD.zoomed(1e12).degrees > 0
    for down in (-1e9, 1e9):
        view = WORLD.zoomed(4).moved(0, down)
        assert abs(view.latitude) + view.degrees * view.height / 2 <= 90.001
    around = WORLD
    for _ in range(8):
        around = around.moved(WORLD.world_dots / 8, 0)
    assert around.longitude == approx(WORLD.longitude)


def test_a_box_may_lie_across_the_date_line() -> None:
    south, west, north, east = box_around(
        np.array([10.0, -20.0, np.nan]), np.array([175.0, -170.0, 3.0])
    )
    assert (south, west, north, east) == (-20.0, 175.0, 10.0, -170.0)
    view = View.of((south, west, north, east), 200, 100)
    for longitude in (175.0, -170.0):
        assert 0 <= float(view.x(longitude)) <= 200
    assert box_around(np.array([np.nan]), np.array([0.0])) == REGIONS["world"]


# Great circles


def dots_of(
    start: tuple[float, float], end: tuple[float, float], view: View = WORLD
) -> set[tuple[int, int]]:
    dots = arc_dots(np.array([start]), np.array([end]), view)
    return set(zip(dots.x_D.tolist(), dots.y_D.tolist(), strict=True))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((51.5, 0.0), (40.7, -74.0)),
        ((35.7, 139.7), (37.8, -122.4)),  # across the date line
        ((60.0, 10.0), (65.0, -175.0)),  # close by the pole
        ((-33.9, 151.2), (-33.4, -70.7)),
        ((48.0, 11.0), (48.1, 11.2)),
    ],
)
def test_every_dot_lies_on_the_shortest_way(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    whole_km = haversine_km(*start, *end)
    dots = dots_of(start, end)
    assert dots
    for x, y in dots:
        latitude, longitude = WORLD.place(x + 0.5, y + 0.5)
        detour_km = haversine_km(*start, latitude, longitude) + haversine_km(
            latitude, longitude, *end
        )
        assert detour_km - whole_km < 330  # a dot is some 120 km wide, and so is a piece's bend
    for place in (start, end):
        near = min(
            np.hypot(x + 0.5 - WORLD.x(place[1]), y + 0.5 - WORLD.y(place[0])) for x, y in dots
        )
        assert near < 2.5


def test_over_the_date_line_nothing_is_drawn_through_the_middle() -> None:
    x = {x for x, _ in dots_of((35.7, 139.7), (37.8, -122.4))}
    assert not x & set(range(70, 190))
    assert max(x) > 230
    assert min(x) < 10


def test_from_one_end_of_the_globe_to_the_other_there_is_some_way() -> None:
    dots = arc_dots(np.array([[10.0, 20.0]]), np.array([[-10.0, -160.0]]), WORLD)
    assert len(dots.x_D) > 100
    for place in ((10.0, 20.0), (-10.0, -160.0)):
        assert np.hypot(dots.x_D - WORLD.x(place[1]), dots.y_D - WORLD.y(place[0])).min() < 3


def test_the_poles_are_on_the_way() -> None:
    view = View(0.0, 0.0, 180 / 156, 240, 156).settled()
    y = {y for _, y in dots_of((80.0, 0.0), (80.0, 180.0), view)}
    assert min(y) <= 1


def test_of_an_arc_only_what_is_seen_is_made() -> None:
    view = View.of(outlines().boxes["FR"], 200, 100)
    dots = arc_dots(np.array([[40.0, -15.0]]), np.array([[50.0, 25.0]]), view)
    assert 50 < len(dots.x_D) < 1000
    assert dots.x_D.min() >= 0
    assert dots.x_D.max() < 200
    assert len(arc_dots(np.array([[-40.0, 150.0]]), np.array([[-41.0, 151.0]]), view).x_D) == 0


# Countries


@pytest.mark.parametrize("longitude", [0.0, 100.0, 180.0, -120.0])
def test_a_cell_knows_its_country(longitude: float) -> None:
    view = View(10.0, longitude, 0.5, 1600, 280).settled()
    country_R_C = land.countries(view, 800, 70)
    for code, (latitude, east) in CITIES.items():
        x, y = float(view.x(east)) // 2, float(view.y(latitude)) // 4
        assert outlines().codes[country_R_C[int(y), int(x)]] == code
    x, y = float(view.x(-40.0)) // 2, float(view.y(30.0)) // 4
    assert country_R_C[int(y), int(x)] == -1, "The Atlantic is nobody's"


def test_beyond_the_globe_is_nobody() -> None:
    view = View(0.0, 0.0, 2.0, 800, 90).settled()
    assert (land.countries(view, 400, 22)[:, :100] == -1).all()


def test_outlines_are_where_countries_end() -> None:
    view = View.of(outlines().boxes["AU"], 240, 140, 0.08)
    x, y = land.outline_dots(view)
    country_R_C = land.countries(view, 120, 35)
    both = 0
    for column, row in set(zip((x // 2).tolist(), (y // 4).tolist(), strict=True)):
        around = country_R_C[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        both += len(np.unique(around)) > 1
    assert both / len(set(zip((x // 2).tolist(), (y // 4).tolist(), strict=True))) > 0.9


# Classes


def test_radii_are_strict_as_accuracies_are() -> None:
    km = np.array([0.0, 24.999, 25.0, 199.0, 200.0, 749.9, 750.0, 2499.0, 2500.0, 20015.0])
    assert ERRORS.of(km).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert CHANGES.of(np.array([-900.0, -100.0, 0.0, 100.0, 900.0])).tolist() == [0, 1, 2, 3, 4]


def test_each_class_has_a_pattern_and_a_letter_of_its_own() -> None:
    for classes in (ERRORS, CHANGES):
        assert (
            len(classes.names)
            == len(classes.edges) + 1
            == len(classes.letters)
            == len(classes.patterns)
        )
        assert len(set(classes.letters)) == len(classes.letters)
        dots = [
            tuple(classes.drawn(np.full(12, each), np.arange(12)).tolist())
            for each in range(len(classes.names))
        ]
        assert (
            len(set(dots)) >= len(dots) - 1
        )  # the two nearest classes of errors share the full line
