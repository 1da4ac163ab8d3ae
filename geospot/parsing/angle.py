"""One angle in any notation: decimal degrees, degrees and minutes, hemispheres before or after."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from geospot.parsing.vocabulary import (
    DEGREE_MARK,
    HEMISPHERE_PHRASES,
    HEMISPHERES,
    HEMISPHERES_BEFORE,
    LETTER,
    MINUTE_MARK,
    SECOND_MARK,
    SIGN_WORDS,
    hemisphere_code,
)

AXIS_OF: Final = {"N": "lat", "S": "lat", "E": "lon", "W": "lon", "O": "lon"}


def _verbose(words: str) -> str:
    return words.replace(" ", r"\ ")


_AFTER: Final = _verbose("|".join(HEMISPHERES.values()))
_BEFORE: Final = _verbose(HEMISPHERES_BEFORE)
_PHRASE: Final = _verbose("|".join(HEMISPHERE_PHRASES.values()))
_DEGREES: Final = _verbose(DEGREE_MARK)
_MINUTES: Final = _verbose(MINUTE_MARK)
_SECONDS: Final = _verbose(SECOND_MARK)
_FRACTION: Final = r"\d{1,2}(?:[.,]\d{1,12})?(?![.,]?\d)"
# What a number is that isn't an angle: an amount, a share, a length, a time, one side of a picture.
_UNIT: Final = (
    r"[ ]?(?:[%‰€$£¥₹₽²³]|°?[ ]?[CFcf](?![A-Za-z])|[xX][ ]?\d|celsius|fahrenheit|kelvin"
    r"|(?:k?m|cm|mm|km/h|mi|miles?|ft|feet|foot|inch(?:es)?|yards?|met(?:er|re)s?|kilomet(?:er|re)s?"
    r"|kg|mph|kph|knots|px|pixels?|mp|gb|mb|usd|eur|gbp|dollars?|euros?|a\.?m|p\.?m|hrs?|hours?"
    r"|mins?|minutes?|secs?|seconds?|days?|weeks?|months?|years?|million|billion|percent|people"
    r"|acres?|ha|hz|mhz|ghz|times|points?|stars?)(?![A-Za-z]))"
)

_LETTER_AFTER = rf"[NSEWO](?![{LETTER}])"
_HEMISPHERE_BEFORE = rf"""
    (?<![{LETTER}_])(?<!(?i:the)[ ])(?P<pre>(?i:{_BEFORE})(?![a-zA-Z])|{_LETTER_AFTER})
    \.?[ ]{{0,4}}[:=]?[ ]{{0,4}}
"""
# A minus touches its number, unless a colon, comma or bracket stands before it. Otherwise the
# number must not be the rest of another one, of a word (A48), a price or a road (I-80).
_SIGN_OR_START = rf"""
    (?P<sign>(?<![^\s(\[{{<>,;:=|"'/~≈])[+-])(?:(?<=[:=,|(][+-])[ ]|(?<=[:=,|(][ ][+-])[ ])?
  | (?<!\d)(?<!\d[.:])(?<![-+±#$€£¥₹])
    (?(pre)|(?:(?<![{LETTER}_])|(?<=[\d°'"][NSEWO])|(?<=[\d°'"][ ][NSEWO])))
"""
_BY_COLONS = (
    rf"(?P<colon_d>\d{{1,3}}):(?P<colon_m>\d{{1,2}})(?::(?P<colon_s>{_FRACTION}))?(?![:\d])"
)
# Without marks only a hemisphere makes three numbers one angle.
_BY_GAPS = rf"""
    (?P<gap_d>\d{{1,3}})
    (?:[ ](?P<gap_m>\d{{1,2}})[ ](?P<gap_s>{_FRACTION})
      |[ ](?P<gap_dm>\d{{1,2}}[.,]\d{{1,12}})(?!\d)
      |-(?P<dash_m>\d{{1,2}})-(?P<dash_s>{_FRACTION}))
    (?(pre)(?![ ]?\d)|(?=[ ]{{0,2}}{_LETTER_AFTER}))
"""
_NUMBER = r"""
    (?P<d>(?P<point>\d{0,9}\.\d{1,40})(?!\d|\.\d|-\d)
      |(?<!\d,)(?P<comma>\d{1,3},\d{1,40})(?!\d|[.,]\d|-\d)
      |(?<!\d[,/])\d{1,9}(?!\d|[./:-]\d|[ ]\.|,\d{3}\.|,\d+(?![.\d])))
"""
_STRAY = r"[ ]?\d{1,2}(?:[.,]\d{1,12})?(?![\d.,]|[ ]?°|[ ]?deg)"
# Behind a degree mark: minutes, seconds. The last mark may be missing where a hemisphere tells the
# end. A number that is neither makes the whole unreadable: it would be lost in silence.
_MINUTES_AND_SECONDS = rf"""
    [ ]{{0,9}}(?P<listed>,)?[ ]{{0,9}}(?P<m>{_FRACTION})
    (?:[ ]{{0,9}}(?P<minute_mark>(?i:{_MINUTES}))
        (?:[ ]{{0,9}}(?:,[ ])?(?:and[ ])?(?P<s>{_FRACTION})
            (?:[ ]{{0,9}}(?P<second_mark>(?i:{_SECONDS}))
              |(?=[ ]{{0,2}}(?:{_LETTER_AFTER}|[nsew](?![{LETTER}])|[\s,;)]|$)))
          |(?!{_STRAY}))
      |(?=[ ]{{0,2}}{_LETTER_AFTER})
      |(?(pre)(?(listed)(?!)|(?=[\s,;)]|$))|(?!))
      |[ ](?P<s_bare>{_FRACTION})(?=[ ]{{0,2}}{_LETTER_AFTER}))
"""
_BY_MARKS = rf"""
    {_NUMBER}
    (?:[ ]{{0,9}}(?P<mark>(?i:{_DEGREES})))?
    (?(mark)(?:{_MINUTES_AND_SECONDS}|(?(point)|(?(comma)|(?!{_STRAY}))))|(?![ ]{{0,9}}°))
"""
_PARTS_OF_TOWN = (
    r"(?i:of[ ]|banks?\b|sides?\b|shores?\b|coasts?\b|ends?\b|parts?\b|suburb|entrance)"
)
# "South Africa" behind a number is no hemisphere; "South Latitude" is one.
_HEMISPHERE_AFTER = rf"""
    [ ]{{0,9}}\(?[ ]?
    (?:(?i:(?:de[ ]|di[ ]|der[ ])?(?:latitudine|latitude|latitud|longitudine|longitude|longitud
        |(?:szerokości|długości)(?:[ ]geograficznej)?))[ ]\(?)?
    (?:(?i:(?:in|on|of|im|auf|en|dans|nell?|no|na|op|w|на|в)[ ](?:(?:the|der|el|le|la|het|o)[ ])?
          |dans[ ]l'|nell'|de[ ]l')?(?P<phrase>(?i:{_PHRASE})(?![{LETTER}]))
      |(?P<post>(?i:{_AFTER})(?![{LETTER}])(?![ ](?!L(?:at|on|än)|Br)[A-Z][a-z])(?![ ](?:{_PARTS_OF_TOWN}))
      |(?<=[\d°'"])[nsew](?![{LETTER}])
      |{_LETTER_AFTER}))
"""
_ANGLE: Final = re.compile(
    rf"""
    (?:{_HEMISPHERE_BEFORE})?
    (?:{_SIGN_OR_START})
    (?:{_BY_COLONS}|{_BY_GAPS}|{_BY_MARKS})
    (?(pre)|(?:{_HEMISPHERE_AFTER})?)
    (?(post)|(?(phrase)|(?:(?(pre)(?=[NSEWO][ ]?\d)|(?!))|(?![{LETTER}]|(?i:{_UNIT})))))
    """,
    re.VERBOSE,
)

_DIRECTION: Final = r"(?:south(?:ern|wards?)?|west(?:ern|wards?)?|(?-i:S[EW]|NW))"
_WORD_BEFORE: Final = re.compile(
    rf"(?:(?<![{LETTER}])(?:{SIGN_WORDS}|{_DIRECTION})[^\w\n]{{0,4}}"
    rf"(?:(?:of|at|about|around|approx(?:imately)?|roughly|value|degrees?)[^\w\n]{{1,3}}){{0,2}}|-\("
    rf"|(?<![{LETTER}\d°'\"/])(?<![\d°'\"][ ])(?-i:[SW])\W{{1,3}})\Z",
    re.IGNORECASE,
)
_WORD_AFTER: Final = re.compile(
    rf"-(?=[\s,;)]|$)"
    rf"|[\s,;|*-]{{0,6}}(?:lat(?:itude)?[ ]|lon(?:gitude)?[ ])?(?:direction|hemisphere)[^\w\n]{{1,4}}"
    rf"(?:s|w|{_DIRECTION})(?![{LETTER}])"
    rf"|[ ]{{0,2}}[)\]]?[ ]{{0,2}}(?:[-,;(\[]{{1,2}}[ ]?)?(?:(?:degrees?|deg|°|latitude|lat"
    rf"|longitude|lon|long"
    rf"|which|is|it|it's|being|in|on|to|the|so|and|but|a|both|value|sign|with|direction"
    rf"|hemisphere)[ ,.:(]{{1,3}}){{0,5}}"
    rf"(?:(?:{SIGN_WORDS}|below)|{_DIRECTION}(?![ ](?:{_PARTS_OF_TOWN}|(?-i:[A-Z])))"
    rf"|(?<![,;)][ ]){_DIRECTION}[ ]of|(?<=[:][ ])[sw])(?![{LETTER}])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle as written, in degrees.

    `magnitude` is unsigned and NaN for impossible minutes or seconds; `hemisphere` is N, S, E, W, O
    (Ost or Oeste) or empty; `marked` tells of a degree sign, `decimals` how many digits follow the
    point of the degrees, `comma` that the point was a comma, `bare` that only a label makes
    `12:34:56` an angle rather than a time, `closed` that it ends with its hemisphere, `phrase` that
    this is a phrase like "southern hemisphere", `signed` that it has a plus or a minus, `source` the
    text that `start` and `end` are offsets in.
    """

    start: int
    end: int
    magnitude: float
    negative: bool
    hemisphere: str
    marked: bool
    decimals: int
    comma: bool
    bare: bool
    closed: bool
    phrase: bool = False
    signed: bool = False
    source: str = field(default="", repr=False, compare=False)

    @property
    def axis(self) -> str:
        """`lat`, `lon`, or empty without a hemisphere."""
        return AXIS_OF.get(self.hemisphere, "")

    @property
    def doubtful(self) -> bool:
        """Whether it has neither sign nor hemisphere, but a word for one stands beside it."""
        if self.signed or self.hemisphere:
            return False
        if _WORD_BEFORE.search(self.source, max(self.start - 24, 0), self.start):
            return True
        return _WORD_AFTER.match(self.source, self.end, self.end + 60) is not None


def angle_at(text: str, position: int) -> Angle | None:
    """The angle that begins exactly at `position` of normalised text."""
    match = _ANGLE.match(text, position)
    return _build(match) if match else None


def angles_in(text: str) -> Iterator[Angle]:
    """Every angle of normalised text, in order."""
    return (_build(match) for match in _ANGLE.finditer(text))


def _build(match: re.Match[str]) -> Angle:
    group = match.groupdict()
    degrees = group["d"] or group["colon_d"] or group["gap_d"] or ""
    minutes = group["m"] or group["colon_m"] or group["gap_m"] or group["gap_dm"] or group["dash_m"]
    seconds = group["s"] or group["s_bare"] or group["colon_s"] or group["gap_s"] or group["dash_s"]
    hemisphere = hemisphere_code(group["pre"] or group["post"] or group["phrase"] or "")
    if group["second_mark"] == "s" and group["minute_mark"] == "'" and not hemisphere:
        hemisphere = "S"  # 33°51'54s: only beside d and m does s mean seconds
    decimal = group["d"] or ""
    _, _, fraction = decimal.replace(",", ".").partition(".")
    return Angle(
        start=match.start(),
        end=match.end(),
        magnitude=_degrees(degrees, minutes, seconds),
        negative=group["sign"] == "-",
        hemisphere=hemisphere,
        marked=group["mark"] is not None
        or group["colon_d"] is not None
        or group["gap_d"] is not None,
        decimals=len(fraction),
        comma=group["comma"] is not None,
        bare=group["colon_d"] is not None and not hemisphere,
        closed=group["post"] is not None or group["phrase"] is not None,
        phrase=group["phrase"] is not None,
        signed=group["sign"] is not None,
        source=match.string,
    )


def _degrees(degrees: str, minutes: str | None, seconds: str | None) -> float:
    whole = float(degrees.replace(",", "."))
    if minutes is None:
        return whole
    minute = float(minutes.replace(",", "."))
    second = float(seconds.replace(",", ".")) if seconds else 0.0
    if minute >= 60.0 or second >= 60.0 or not whole.is_integer():
        return math.nan
    return whole + minute / 60.0 + second / 3600.0
