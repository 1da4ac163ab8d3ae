"""Countries from codes and names; whole names only."""

from typing import cast

import pytest
from babel import Locale

from geospot.places import continent, country_code, same_country
from geospot.places.countries import country_codes


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NA", "NA"),
        ("Namibia", "NA"),
        ("us", "US"),
        ("USA", "US"),
        ("U.S.", "US"),
        ("U.S.A.", "US"),
        ("the United States of America", "US"),
        ("UK", "GB"),
        ("England", "GB"),
        ("Scotland", "GB"),
        ("Wales", "GB"),
        ("Northern Ireland", "GB"),
        ("GBR", "GB"),
        ("Holland", "NL"),
        ("Ivory Coast", "CI"),
        ("Côte d’Ivoire", "CI"),
        ("Burma", "MM"),
        ("Myanmar (Burma)", "MM"),
        ("South Korea", "KR"),
        ("Republic of Korea", "KR"),
        ("Korea, Democratic People's Republic of", "KP"),
        ("Russia", "RU"),
        ("Russian Federation", "RU"),
        ("Czech Republic", "CZ"),
        ("Türkiye", "TR"),
        ("Turkey", "TR"),
        ("Kosovo", "XK"),
        ("XK", "XK"),
        ("Georgia", "GE"),
        ("Puerto Rico", "PR"),
        ("Hong Kong", "HK"),
        ("Hong Kong SAR China", "HK"),
        ("Guernsey", "GG"),
        ("DR Congo", "CD"),
        ("Congo-Brazzaville", "CG"),
        ("St. Lucia", "LC"),
        ("Niger", "NE"),
        ("Nigeria", "NG"),
        ("Deutschland", "DE"),
        ("Ελλάδα", "GR"),
        ("中国", "CN"),
        ("日本", "JP"),
        ("भारत", "IN"),
        ("مصر", "EG"),
        ("Áo", "AT"),
        ("AO", "AO"),
        ("Sweden 🇸🇪", "SE"),
    ],
)
def test_known_names(name: str, code: str) -> None:
    assert country_code(name) == code


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "N/A",
            "unknown",
            "Atlantis",
            "Paris, France",
            "New Mexico",
            "Kongo",
            "Virgin Islands",
        ),
        *("Georgia (US state)", "probably Germany", "ZZ", "QQQ", "Europe", "x" * 10_000),
    ],
)
def test_unknown_and_ambiguous_names_are_nothing(text: str) -> None:
    assert country_code(text) is None
    assert not same_country(text, text)


@pytest.mark.parametrize("locale", ["de", "pt", "sr_Latn", "zh_Hant", "hi_Latn", "ar"])
def test_every_name_in_a_language_is_its_country_or_nothing(locale: str) -> None:
    """Also those that a language has from another one, as Babel joins them."""
    names = dict(cast(dict[str, str], Locale.parse(locale).territories))
    found = {code: country_code(names[code]) for code in country_codes() if code in names}
    apart = {code: other for code, other in found.items() if other not in (code, None)}
    assert apart == {}
    assert sum(other == code for code, other in found.items()) > 0.9 * len(found) > 200


def test_hostile_names_take_no_time() -> None:
    """Nested parentheses once took a minute; the test's own time limit would stop it."""
    for text in ("x(" * 500_000, "(" * 1_000_000, "a (b" * 250_000, "a" + " " * 1_000_000 + "("):
        assert country_code(text) is None
        assert not same_country(text, text)


def test_territories_equal_only_themselves() -> None:
    for territory, state in [("PR", "US"), ("HK", "CN"), ("GG", "GB"), ("GF", "FR"), ("GL", "DK")]:
        assert same_country(territory, territory)
        assert not same_country(territory, state)


def test_same_country_reads_both_sides() -> None:
    assert same_country("Deutschland", "DE")
    assert not same_country(None, None)
    assert not same_country("DE", None)


def test_every_country_has_its_official_names_and_a_continent() -> None:
    import pycountry

    assert len(country_codes()) == len(pycountry.countries) + 1
    for code in country_codes():
        assert continent(code) in {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
    names = [(c.alpha_2, c.name) for c in pycountry.countries]
    assert [(code, name) for code, name in names if country_code(name) != code] == []


def test_continents() -> None:
    assert [continent(c) for c in ("na", "US", "BR", "FR", "XK", "JP", "AU", "AQ")] == [
        *("AF", "NA", "SA", "EU", "EU", "AS", "OC", "AN")
    ]
    assert continent("Europe") is None
