"""Which short names are countries or territories, in the languages that answers come in."""

import re
import unicodedata
from functools import cache
from typing import Final

_LANGUAGES: Final = (
    *(
        "en",
        "de",
        "fr",
        "es",
        "pt",
        "it",
        "nl",
        "pl",
        "ru",
        "tr",
        "zh",
        "zh_Hant",
        "ja",
        "ko",
        "ar",
        "hi",
    ),
    *("sv", "nb", "da", "fi", "cs", "uk", "el", "hu", "ro", "id", "vi", "th"),
)
_NO_COUNTRIES: Final = frozenset({"EU", "EZ", "UN", "ZZ", "QO", "XA", "XB"})
_ALIASES: Final = (
    "usa|us|america|the united states of america|united states of america|uk|great britain|england"
    "|scotland|wales|northern ireland|holland|the netherlands|the philippines|the bahamas|the gambia"
    "|burma|czech republic|ivory coast|cape verde|swaziland|macedonia|republic of ireland|uae|drc"
    "|republic of the congo|democratic republic of the congo|east timor|korea|republic of korea|prc"
    "|people's republic of china|russian federation|türkiye|palestine|vatican|the united kingdom"
    "|hong kong|macau|south korea|north korea|brasil|españa|deutschland|estados unidos|états-unis"
)


def is_country(name: str) -> bool:
    """Whether `name`, as a whole, is a country or territory; case, accents and full stops aside."""
    folded = _folded(name)
    return folded in _names() or folded.removeprefix("the ") in _names()


@cache
def _names() -> frozenset[str]:
    from babel import Locale  # on first use: only an answer without coordinates comes here

    names: set[str] = set(_ALIASES.split("|"))
    for language in _LANGUAGES:
        territories: dict[str, str] = dict(Locale.parse(language).territories)
        names.update(
            name
            for code, name in territories.items()
            if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES
        )
    return frozenset(_folded(name) for name in names)


def _folded(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name[:200].casefold().strip())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return re.sub(r"[.’'`]", "", bare)
