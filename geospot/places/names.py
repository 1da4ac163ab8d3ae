"""When two place names mean the same place: equality after normalisation, never a substring."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_LETTERS: Final = str.maketrans(
    {
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe",
        "þ": "th", "ŋ": "n", "ə": "e", "ɛ": "e", "ɔ": "o", "&": " and ", "+": " and ",
    }
)  # fmt: skip
"""Letters that Unicode does not decompose, as GeoNames writes them in ASCII."""

_SPELT_OUT: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
    | {"Å": "Aa", "Ø": "Oe"}
)
"""The other common way to write these letters in ASCII: Gävleborg, Gaevleborg."""

_WORDS: Final = {
    "st": "saint",
    "ste": "sainte",
    "mt": "mount",
    "mts": "mountains",
    "ft": "fort",
    "pt": "point",
}
"""Words that maps abbreviate."""

_ALIASES: Final = {
    "nyc": "new york",
    "new york city": "new york",
    "washington dc": "washington",
    "washington district of columbia": "washington",
    "mexico df": "mexico city",
    "ciudad de mexico": "mexico city",
    "cdmx": "mexico city",
    "saigon": "ho chi minh city",
    "thanh pho ho chi minh": "ho chi minh city",
    "bombay": "mumbai",
    "calcutta": "kolkata",
    "madras": "chennai",
    "bangalore": "bengaluru",
    "peking": "beijing",
    "canton": "guangzhou",
    "rangoon": "yangon",
    "kiev": "kyiv",
    "kyyiv": "kyiv",
    "kharkov": "kharkiv",
    "odessa": "odesa",
    "lvov": "lviv",
    "nur sultan": "astana",
    "nursultan": "astana",
    "cracow": "krakow",
    "sankt peterburg": "saint petersburg",
}
"""Whole names in use side by side for one city, after normalisation."""

LONGEST: Final = 200
"""No place's name has more characters. A model that rambles must cost neither time nor memory, and
Unicode's decomposition takes quadratic time on heaps of accents."""
_NOTHING: Final = {"", "n a", "none", "null", "unknown", "not available"}
_APOSTROPHES: Final = re.compile("['’‘ʼʻʹ`´]")
_INITIALS: Final = re.compile(r"\b(\w)\.(?=\w\b)")
_ARTICLE: Final = re.compile(r"^the (?=.)")
_LAST_EUROPEAN_BASE: Final = "\u0530"
"""Accents come off Latin, Greek and Cyrillic letters; an Indic vowel sign is a letter and stays."""


def normalise(name: str) -> str:
    """`name` without case, accents, punctuation and abbreviations, words parted by one space.

    `"St. John's"` and `"saint johns"` give the same text, as do `"Åre & Järpen"` and
    `"are and jarpen"`. A name of nothing but punctuation gives `""`. A text of more than 200 characters
    is no name: only its case and spaces are evened out.
    """
    return _normalise(name) if len(name) <= LONGEST else " ".join(name.casefold().split())


@lru_cache(maxsize=200_000)
def _normalise(name: str) -> str:
    text = _without_accents(name.casefold()).translate(_LETTERS)
    text = _INITIALS.sub(r"\1", _APOSTROPHES.sub("", text))
    spaced = "".join(
        c if c.isalnum() or unicodedata.combining(c) or _is_sign(c) else " " for c in text
    )
    words = [_WORDS.get(word, word) for word in spaced.split()]
    joined = _ARTICLE.sub("", " ".join(words))
    return _ALIASES.get(joined, joined)


def same_place(a: str | None, b: str | None) -> bool:
    """Whether two names are equal after normalisation.

    None, an empty text, OSV-5M's `NaN` and placeholders such as `unknown` equal nothing, not even
    each other. `Gävleborg` equals both `Gavleborg` and `Gaevleborg`.
    """
    if a is None or b is None or is_missing(a) or is_missing(b):
        return False
    if normalise(a) == normalise(b):
        return True
    return normalise(a.translate(_SPELT_OUT)) == normalise(b.translate(_SPELT_OUT))


def is_missing(name: str) -> bool:
    """Whether this is no name at all. (`Nan`, so written, is a city of Thailand.)"""
    return name.strip() in {"NaN", "nan"} or normalise(name) in _NOTHING


def _without_accents(text: str) -> str:
    kept: list[str] = []
    base = " "
    for char in unicodedata.normalize("NFKD", text):
        if unicodedata.combining(char):
            if base < _LAST_EUROPEAN_BASE or "\u0591" <= char <= "\u0670":
                continue  # also the optional vowel points of Hebrew and Arabic
        else:
            base = char
        kept.append(char)
    return unicodedata.normalize("NFKC", "".join(kept)).casefold()


def _is_sign(char: str) -> bool:
    return unicodedata.category(char) in {"Mc", "Mn"}
