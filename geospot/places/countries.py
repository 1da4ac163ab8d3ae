"""Countries by ISO 3166-1 alpha-2 code, from codes and from names in many languages.

Looked up in this order, whole names only: code, curated alias, ISO's English names (pycountry),
CLDR's English names, CLDR's names in all other languages (Babel). A name that other languages give
to several countries is dropped.
"""

import pickle
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, cast

from geospot.places.names import LONGEST, normalise

_ALIASES: Final = {
    "AE": "uae, emirates",
    "BA": "bosnia, bosnia herzegovina",
    "BN": "brunei",
    "BO": "bolivia",
    "CD": "drc, dr congo, congo drc, democratic republic of congo, congo kinshasa, zaire, east congo",
    "CG": "congo, republic of congo, congo brazzaville",
    "CI": "ivory coast",
    "CN": "prc, mainland china, p r china",
    "CV": "cape verde",
    "CZ": "czech republic, czechia",
    "DO": "dominican rep, dominican republic",
    "FK": "falklands, falkland islands, malvinas",
    "FM": "micronesia",
    "FO": "faroe islands, faroes, faeroe islands",
    "GB": "uk, great britain, britain, england, scotland, wales, northern ireland",
    "GE": "georgia",
    "GM": "gambia",
    "HK": "hong kong, hong kong sar, hongkong",
    "IE": "republic of ireland, eire",
    "IR": "iran",
    "KP": "north korea, dprk",
    "KR": "south korea, korea, rok, korea republic, s korea",
    "LA": "laos",
    "MD": "moldova",
    "MK": "macedonia, north macedonia, fyrom",
    "MM": "burma, myanmar",
    "MO": "macau, macao, macau sar",
    "NL": "holland, netherlands",
    "PS": "palestine, palestinian territories, palestinian territory, west bank, gaza, gaza strip",
    "RU": "russia, ussr, soviet union",
    "SA": "ksa, saudi",
    "SH": "saint helena",
    "ST": "sao tome, sao tome and principe",
    "SY": "syria",
    "SZ": "swaziland, eswatini",
    "TL": "east timor, timor",
    "TR": "turkey, turkiye",
    "TW": "taiwan",
    "TZ": "tanzania",
    "US": "usa, us, america, united states, united states of america, u s a, u s",
    "VA": "vatican, vatican city",
    "VE": "venezuela",
    "VG": "british virgin islands",
    "VI": "us virgin islands, united states virgin islands, usvi",
    "VN": "vietnam",
    "XK": "kosovo, republic of kosovo",
    "ZA": "rsa",
}
"""Names in common use that the standards lack, or that must not depend on them."""

_CODES_IN_USE: Final = {"UK": "GB", "XK": "XK", "XKX": "XK"}
"""`XK` is user-assigned, but what GeoNames, CLDR and OSV-5M call Kosovo."""
_PARENTHESES: Final = re.compile(r"^(.+?)\s*[(（]([^()（）]+)[)）]\s*$")


def country_code(name_or_code: str) -> str | None:
    """ISO 3166-1 alpha-2 of a code (alpha-2, alpha-3; any case) or of a country's name.

    Names may be English (official, common, former) or any language of CLDR. Territories with codes
    of their own (`PR`, `HK`, `GG`) are themselves, the parts of the United Kingdom are `GB`, `Georgia`
    is the country, `NA` is Namibia. An unknown or ambiguous name gives None; so does a longer text
    that merely contains a country's name. `Myanmar (Burma)` is read if both names agree.
    """
    return _country_code(name_or_code) if len(name_or_code) <= LONGEST else None


@lru_cache(maxsize=100_000)
def _country_code(name_or_code: str) -> str | None:
    text = name_or_code.strip()
    if text.isascii() and (code := _codes().get(text.upper())):
        return code
    found = _by_name(text)
    if found is None and (match := _PARENTHESES.match(text)):
        outer, inner = country_code(match[1]), country_code(match[2])
        found = outer if outer == inner else None
    return found


def same_country(a: str | None, b: str | None) -> bool:
    """Whether two codes or names are the same country. None and unknown names equal nothing."""
    if a is None or b is None:
        return False
    code = country_code(a)
    return code is not None and code == country_code(b)


def country_name(code: str) -> str | None:
    """The English name of an ISO 3166-1 alpha-2 code, in the form of CLDR; None where there is none."""
    return _english_names().get(code.upper())


def country_codes() -> frozenset[str]:
    """Every ISO 3166-1 alpha-2 code, and Kosovo's."""
    return frozenset(_codes().values())


def _by_name(text: str) -> str | None:
    key = _key(text)
    if not key:
        return None
    return _english().get(key) or _other_languages().get(key)


def _key(name: str) -> str:
    """The normalised name; a very short one keeps its accents: Vietnamese `Áo` is not `AO`."""
    key = normalise(name)
    return key if len(key) > 2 or name.isascii() else name.strip().casefold()


@cache
def _codes() -> dict[str, str]:
    codes = dict(_CODES_IN_USE)
    for country in _iso():
        codes[country.alpha_2] = codes[country.alpha_3] = country.alpha_2
    return codes


@cache
def _english_names() -> dict[str, str]:
    return dict(_territories("en"))


@cache
def _english() -> dict[str, str]:
    """Normalised English names; what comes first here wins."""
    names: dict[str, str] = {}
    for code, aliases in _ALIASES.items():
        for alias in aliases.split(", "):
            names.setdefault(_key(alias), code)
    for country in _iso():
        for name in _iso_names(country):
            names.setdefault(_key(name), country.alpha_2)
    for code, name in _english_names().items():
        for variant in _variants(name):
            names.setdefault(_key(variant), code)
    return names


@cache
def _other_languages() -> dict[str, str]:
    """Normalised names in every language of CLDR (about 30,000; half a second, once)."""
    from babel import localedata

    names: dict[tuple[str, str], None] = {}
    for identifier in localedata.locale_identifiers():
        parts = identifier.split("_")
        if len(parts) > 2 or (len(parts) == 2 and len(parts[1]) != 4):
            continue  # a country's variety of a language names hardly anything anew
        names.update(dict.fromkeys(_own_territories(identifier)))
    claims: dict[str, set[str]] = {}
    for code, name in names:
        for variant in _variants(name):
            claims.setdefault(_key(variant), set()).add(code)
    return {name: codes.pop() for name, codes in claims.items() if len(codes) == 1}


def _territories(locale: str) -> list[tuple[str, str]]:
    from babel import Locale

    return _known(cast(dict[str, str], Locale.parse(locale).territories))


def _own_territories(locale: str) -> list[tuple[str, str]]:
    """Names that a locale has itself; those that it inherits, another one has.

    Babel joins all that both have, also how they write dates and numbers, and keeps it: of all locales that
    takes twice the time, and 140 MB instead of 20.
    """
    from babel import localedata

    with Path(localedata.resolve_locale_filename(locale)).open("rb") as file:
        own: dict[str, Any] = pickle.load(file)  # noqa: S301 - a file of Babel's
    return _known(own.get("territories", {}))


def _known(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Codes and names of what is a country here."""
    known = country_codes()
    return [(code, name) for code, name in names.items() if code in known]


def _iso() -> list[Any]:
    import pycountry

    return list(pycountry.countries)


def _iso_names(country: Any) -> list[str]:
    """ISO's names, also turned around: `Korea, Republic of` is `Republic of Korea`."""
    names: list[str] = []
    for field in ("name", "official_name", "common_name"):
        name: str | None = getattr(country, field, None)
        if name:
            first, _, rest = name.partition(", ")
            names += [name, f"{rest} {first}"] if rest else [name]
    return names


def _variants(name: str) -> list[str]:
    """`Myanmar (Burma)` also as `Myanmar`, `Hong Kong SAR China` also as it stands."""
    match = _PARENTHESES.match(name)
    return [name, match[1], match[2]] if match else [name]
