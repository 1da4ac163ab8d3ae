"""What countries have decided: the side of the road, the paint on it, the signs beside it."""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from geospot.data.world.draws import key_number
from geospot.places import continent

WarningSign = Literal["diamond", "triangle", "yellow_triangle", "black_triangle"]
Board = Literal["green", "blue", "white", "yellow"]
Paint = Literal["white", "yellow"]


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


DRIVE_LEFT: Final = _codes(
    "AG AI AU BB BD BM BN BS BT BW CC CK CX CY DM FJ FK GB GD GG GS GY HK ID IE IM IN JE JM JP KE KI"
    " KN KY LC LK LS MO MS MT MU MV MW MY MZ NA NF NP NR NU NZ PG PK PN SB SC SG SH SR SZ TC TH TK TL"
    " TO TT TV TZ UG VC VG VI WS ZA ZM ZW"
)
"""Countries and territories that drive on the left."""

_YELLOW_CENTRE: Final = _codes("CN KR TW TH NO LR")
"""Yellow centre lines outside the Americas, which nearly all have them."""
_YELLOW_EDGE: Final = _codes("ZA NA BW LS SZ ZW ZM KE IE AE OM SA QA KW BH IL")

_WARNINGS: Final[dict[WarningSign, frozenset[str]]] = {
    "diamond": _codes("AU NZ JP IE TH MY ID PG LK KH MM TL LR"),
    "yellow_triangle": _codes("SE FI IS PL GR MK BA KW VN KR NG MW AF IR"),
    "black_triangle": _codes("CN MN"),
}
"""Warning signs that are not the Vienna convention's white triangle; the Americas use diamonds."""

_BOARDS: Final[dict[Board, frozenset[str]]] = {
    "green": _codes(
        "US CA MX BR AR CO PE CL EC VE AU NZ GB IE KR IN TH MY TW PL HR RS GR EG SA ZA NG KE TZ"
    ),
    "blue": _codes("CN JP RU KZ UA BY IT AT CZ SK SE NL TR IR AE MN UZ RO BG VN ID PH MA DZ"),
    "white": _codes("FR ES PT CH BE LU TN SN CI MG PK BD DK GF"),
    "yellow": _codes("DE NO IS CY"),
}

_FAMILIES: Final[dict[str, tuple[Board, ...]]] = {
    "AF": ("blue", "green", "white"),
    "AS": ("green", "blue"),
    "EU": ("blue", "white", "blue"),
    "NA": ("green",),
    "SA": ("green",),
    "OC": ("green", "blue"),
}
"""Where a country's own boards aren't listed, one of its continent's, always the same one."""


@dataclass(frozen=True, slots=True)
class Customs:
    """A country's road."""

    drive_left: bool
    centre_line: Paint
    edge_line: Paint
    warning: WarningSign
    board: Board
    accent: float
    """0 to 1: how the country's bollards and sign posts differ in hue from its neighbours'."""


@cache
def customs(country: str) -> Customs:
    """The customs of a country, by ISO alpha-2; an unknown code gets those of Europe's mainland."""
    place = continent(country) or "EU"
    americas = place in {"NA", "SA"}
    number = key_number(f"world/country/{country}")
    return Customs(
        drive_left=country in DRIVE_LEFT,
        centre_line="yellow" if americas or country in _YELLOW_CENTRE else "white",
        edge_line="yellow" if country in _YELLOW_EDGE else "white",
        warning=_warning(country, americas=americas),
        board=_board(country, place, number),
        accent=(number >> 16) % 1000 / 1000.0,
    )


def _warning(country: str, *, americas: bool) -> WarningSign:
    for sign, codes in _WARNINGS.items():
        if country in codes:
            return sign
    return "diamond" if americas else "triangle"


def _board(country: str, place: str, number: int) -> Board:
    for board, codes in _BOARDS.items():
        if country in codes:
            return board
    family = _FAMILIES.get(place, _FAMILIES["EU"])
    return family[number % len(family)]
