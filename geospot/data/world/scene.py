"""From a place to what one sees there: every number that the painter needs.

The camera looks along a road that leads about east, on a morning of any season. So the sun of the
northern hemisphere stands to the right and the southern one's to the left, its height tells the
latitude (confused by the season), and shadows tell both when the sun itself is out of view.
"""

import colorsys
import math
from dataclasses import dataclass
from typing import Final

from geospot.data.world.customs import Customs, customs
from geospot.data.world.draws import Dice
from geospot.data.world.geography import Look, Spot, spot

Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 255."""

OVERCAST_SHARE: Final = 0.12
HIDDEN_SIGNS_SHARE: Final = 0.3
LOOK_NOISE: Final = 0.05
"""Deviation of a sample's look from its place's, in units of the look."""


@dataclass(frozen=True, slots=True)
class Sun:
    """`bearing` is degrees right of where the camera looks; heights in degrees."""

    height: float
    bearing: float


@dataclass(frozen=True, slots=True)
class Thing:
    """A tree, house or pole: `side` is −1 left, 1 right; metres from the verge and the camera."""

    kind: str
    side: int
    away_m: float
    ahead_m: float
    size: float
    tint: float


@dataclass(frozen=True, slots=True)
class Scene:
    """One photo to be."""

    customs: Customs
    sun: Sun
    overcast: bool
    snow: bool
    leaves: str
    """`green`, `autumn` or `bare`: what broad-leaved trees wear."""
    signs: bool
    sky_top: Colour
    sky_low: Colour
    clouds: float
    haze_m: float
    """Distance at which the air has hidden 63% of a thing."""
    soil: Colour
    grass: Colour
    grass_share: float
    earth: Colour
    """Soil and grass in these shares."""
    leaf: Colour
    wall: Colour
    roof: Colour
    roof_pitch: float
    """0 flat to 1 steep."""
    storeys: float
    asphalt: Colour
    accent: Colour
    pole: str
    ruggedness: float
    rock: Colour
    snow_line: bool
    things: tuple[Thing, ...]
    cars: tuple[Thing, ...]
    horizon: float
    """Fraction of the picture's height, from the top."""
    brightness: float


def imagine(latitude: float, longitude: float, country: str, key: str) -> Scene:
    """The scene at a place (degrees, ISO alpha-2), with this key's weather, season and chance."""
    dice = Dice(key)
    here = spot(latitude, longitude)
    look: dict[Look, float] = {k: v + dice.normal(LOOK_NOISE) for k, v in here.looks.items()}
    rules = customs(country)
    day = dice.uniform(0.0, 365.0)
    sun = _sun(latitude, day, dice.uniform(8.5, 10.5), 90.0 + dice.normal(10.0))
    season = -math.cos(2.0 * math.pi * (day - 20.0) / 365.0) * (1.0 if latitude >= 0 else -1.0)
    now_c = here.warmth_c + here.swing_c * season + dice.normal(1.5)
    dryness = min(max(here.dryness + dice.normal(0.05), 0.0), 1.0)
    overcast = dice.chance(OVERCAST_SHARE)
    snow = now_c < -1.0
    sky_top, sky_low = _sky(look, dryness, sun.height, overcast=overcast)
    autumn = now_c < 11.0 and day > 220.0 if latitude >= 0 else now_c < 11.0 and 40.0 < day < 190.0
    soil = (238.0, 242.0, 248.0) if snow else _soil(look, here, dryness)
    grass = (226.0, 233.0, 243.0) if snow else _grass(look, dryness, now_c)
    grass_share = _clamp(1.0 - 1.15 * dryness + 0.15 * look["density"])
    return Scene(
        customs=rules,
        sun=sun,
        overcast=overcast,
        snow=snow,
        leaves="bare" if now_c < 3.0 else "autumn" if autumn else "green",
        signs=not dice.chance(HIDDEN_SIGNS_SHARE),
        sky_top=sky_top,
        sky_low=sky_low,
        clouds=dice.uniform(0.0, 1.0) * (1.1 - dryness),
        haze_m=dice.uniform(160.0, 300.0) * (0.6 if overcast else 1.0),
        soil=soil,
        grass=grass,
        grass_share=grass_share,
        earth=_mix(soil, grass, grass_share),
        leaf=_leaf(look, here.warmth_c, dryness),
        wall=_wall(look),
        roof=_roof(look, here.warmth_c),
        roof_pitch=_clamp(0.75 - 0.9 * (dryness - 0.35) - 0.02 * (here.warmth_c - 12.0)),
        storeys=1.4 + 1.1 * (1.0 + look["height"]) ** 2 / 2.0,
        asphalt=_asphalt(look, dryness),
        accent=_accent(look, rules),
        pole="wood" if look["pole"] > 0.25 else "concrete" if look["pole"] > -0.35 else "steel",
        ruggedness=_clamp(here.ruggedness + dice.normal(0.05)),
        rock=_mix((104, 112, 128), (164, 116, 84), _clamp(1.6 * dryness - 0.3)),
        snow_line=here.warmth_c - 16.0 * here.ruggedness < 3.0,
        things=_things(dice, here, look, dryness),
        cars=_cars(dice),
        horizon=0.5 + dice.normal(0.012),
        brightness=1.0 + dice.normal(0.03),
    )


def _sun(latitude: float, day: float, hour: float, heading: float) -> Sun:
    """Height and bearing of the sun at a solar time (hours); never lower than 3°."""
    phi = math.radians(latitude)
    declination = math.radians(-23.44 * math.cos(2.0 * math.pi * (day + 10.0) / 365.0))
    angle = math.radians(15.0 * (hour - 12.0))
    sine = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(
        angle
    )
    east = -math.cos(declination) * math.sin(angle)
    north = math.cos(phi) * math.sin(declination) - math.sin(phi) * math.cos(
        declination
    ) * math.cos(angle)
    azimuth = math.degrees(math.atan2(east, north))
    return Sun(
        height=max(math.degrees(math.asin(sine)), 3.0),
        bearing=(azimuth - heading + 180.0) % 360.0 - 180.0,
    )


def _sky(
    look: dict[Look, float], dryness: float, height: float, *, overcast: bool
) -> tuple[Colour, Colour]:
    hue = 0.575 + 0.075 * look["sky_hue"]
    top = _hsv(
        hue, 0.58 + 0.20 * look["sky_light"] - 0.10 * dryness, 0.84 + 0.08 * look["sky_light"]
    )
    low = _hsv(hue - 0.01, 0.20 + 0.05 * look["sky_light"], 0.97)
    low = _mix(low, (240, 216, 176), 0.55 * max(dryness - 0.3, 0.0))
    if overcast:
        grey = 178.0 + 16.0 * look["sky_light"]
        return (
            _mix((grey, grey + 4.0, grey + 9.0), top, 0.30),
            _mix((grey + 26.0, grey + 27.0, grey + 27.0), low, 0.30),
        )
    dawn = _clamp((16.0 - height) / 20.0)
    return _mix(top, (150, 140, 190), 0.45 * dawn), _mix(low, (255, 196, 140), 0.75 * dawn)


def _soil(look: dict[Look, float], here: Spot, dryness: float) -> Colour:
    """Sand where it is dry, laterite in the wet tropics, dark earth in between, grey in the cold."""
    tropical = _clamp((here.warmth_c - 14.0) / 9.0)
    cool = _mix((128, 118, 104), (112, 88, 66), _clamp(here.warmth_c / 12.0))
    wet = _mix(cool, (172, 96, 62), tropical)
    dry = _mix((190, 172, 146), (226, 190, 136), tropical)
    base = _mix(_mix(wet, dry, _clamp(1.7 * dryness - 0.35)), (190, 84, 44), here.redness)
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255.0 for c in base))
    return _hsv(
        hue + 0.045 * look["soil_hue"],
        saturation * (1.0 + 0.30 * look["soil_hue"]),
        value * (1.0 + 0.26 * look["soil_light"]),
    )


def _grass(look: dict[Look, float], dryness: float, now_c: float) -> Colour:
    lush = _hsv(0.27 + 0.075 * look["leaf_hue"], 0.58, 0.58 + 0.17 * look["leaf_light"])
    straw = _hsv(0.135 + 0.035 * look["leaf_hue"], 0.46, 0.72 + 0.12 * look["leaf_light"])
    return _mix(lush, straw, _clamp(1.3 * dryness - 0.25 + _clamp((6.0 - now_c) / 14.0)))


def _leaf(look: dict[Look, float], warmth_c: float, dryness: float) -> Colour:
    hue = 0.31 + 0.085 * look["leaf_hue"] - 0.05 * dryness + 0.03 * _clamp((8.0 - warmth_c) / 12.0)
    return _hsv(hue, 0.60 - 0.22 * dryness, 0.46 + 0.18 * look["leaf_light"] + 0.06 * dryness)


def _wall(look: dict[Look, float]) -> Colour:
    light = _clamp(0.78 + 0.14 * look["wall_light"])
    turn = look["wall_hue"]
    if turn > 0:
        return _mix(_hsv(0.11, 0.16, light), _hsv(0.03, 0.52, light), _clamp(turn / 1.3))
    return _mix(_hsv(0.11, 0.16, light), _hsv(0.50, 0.34, light), _clamp(-turn / 1.3))


def _roof(look: dict[Look, float], warmth_c: float) -> Colour:
    tile = (186, 88, 58) if warmth_c > 8.0 else (140, 62, 52)
    return _mix(tile, (78, 92, 116), _clamp(0.5 - 0.7 * look["roof"]))


def _asphalt(look: dict[Look, float], dryness: float) -> Colour:
    grey = 112.0 + 36.0 * look["asphalt"] + 10.0 * dryness
    warm = 16.0 * look["asphalt"] + 6.0 * dryness
    return (grey + warm, grey + 2.0, grey + 6.0 - warm)


def _accent(look: dict[Look, float], rules: Customs) -> Colour:
    """Bollards and posts: the region's hue, shifted by what the country made of it."""
    return _hsv(0.5 + 0.33 * look["accent"] + 0.16 * (rules.accent - 0.5), 0.78, 0.88)


def vegetation(here: Spot, dryness: float) -> dict[str, float]:
    """Weights of the plants that grow here."""
    warm, away = here.warmth_c, abs(here.latitude)
    americas = -130.0 < here.longitude < -30.0
    australia = 112.0 < here.longitude < 155.0 and -45.0 < here.latitude < -11.0
    mild = math.exp(-(((warm - 14.0) / 7.0) ** 2))
    east_asia = math.exp(
        -(((here.longitude - 112.0) / 20.0) ** 2 + ((here.latitude - 27.0) / 12.0) ** 2)
    )
    summer_dry = math.exp(-(((away - 37.5) / 5.5) ** 2)) * _clamp(3.0 * dryness - 0.7)
    desert = _clamp(4.0 * dryness - 2.2)
    return {
        "palm": _clamp((warm - 19.0) / 5.0) * (1.0 - 0.5 * dryness) * (0.3 if australia else 1.0),
        "broadleaf": mild * _clamp(1.5 - 1.8 * dryness) * (0.35 if australia else 1.0),
        "jungle": _clamp((warm - 20.0) / 4.0) * _clamp(1.0 - 3.0 * dryness),
        "conifer": 1.4 * _clamp((10.0 - warm) / 7.0) + 0.5 * here.ruggedness * mild,
        "birch": 0.7 * _clamp((8.0 - warm) / 6.0) * (0.25 if americas else 1.0),
        "acacia": _clamp((warm - 17.0) / 4.0) * math.exp(-(((dryness - 0.5) / 0.16) ** 2))
        * (0.2 if americas else 1.0),
        "cactus": 1.3 * desert * _clamp((warm - 10.0) / 5.0) * (1.0 if americas else 0.0),
        "shrub": 0.9 * desert + 0.1,
        "cypress": 1.2 * summer_dry * mild,
        "eucalyptus": (1.6 if australia else 0.0) * _clamp(1.4 - dryness),
        "bamboo": 0.8 * east_asia,
    }  # fmt: skip


def _things(dice: Dice, here: Spot, look: dict[Look, float], dryness: float) -> tuple[Thing, ...]:
    """Trees, houses and poles along both sides of the road, the farthest first."""
    plants = vegetation(here, dryness)
    things: list[Thing] = []
    trees = round(7.0 - 5.5 * max(dryness - 0.3, 0.0) + 1.5 * look["density"] + dice.normal(0.8))
    for _ in range(max(trees, 2)):
        side = 1 if dice.chance(0.5) else -1
        away, ahead = dice.uniform(1.5, 13.0), dice.uniform(10.0, 60.0)
        kind = dice.weighted(plants)
        things.append(Thing(kind, side, away, ahead, dice.uniform(0.8, 1.25), dice.normal()))
    houses = 3 + round(0.8 * look["density"] + dice.normal(0.7))
    for _ in range(max(houses, 2)):
        side = 1 if dice.chance(0.5) else -1
        away, ahead = dice.uniform(4.0, 9.0), dice.uniform(16.0, 60.0)
        things.append(Thing("house", side, away, ahead, dice.uniform(0.8, 1.2), dice.normal()))
    side = 1 if dice.chance(0.5) else -1
    start = dice.uniform(9.0, 16.0)
    things += [Thing("pole", side, 1.2, start + 22.0 * i, 1.0, 0.0) for i in range(4)]
    start = dice.uniform(6.0, 9.0)
    things += [
        Thing("bollard", s, 0.45, start + 9.0 * i, 1.0, 0.0) for i in range(4) for s in (-1, 1)
    ]
    return tuple(sorted(things, key=lambda thing: -thing.ahead_m))


def _cars(dice: Dice) -> tuple[Thing, ...]:
    """Oncoming (side −1) and ahead in one's own lane (side 1)."""
    cars: list[Thing] = []
    if dice.chance(0.65):
        cars.append(Thing("oncoming", -1, 0.0, dice.uniform(10.0, 34.0), 1.0, dice.unit()))
    if dice.chance(0.35):
        cars.append(Thing("ahead", 1, 0.0, dice.uniform(14.0, 40.0), 1.0, dice.unit()))
    return tuple(sorted(cars, key=lambda car: -car.ahead_m))


def _clamp(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, _clamp(saturation), _clamp(value))
    return 255.0 * red, 255.0 * green, 255.0 * blue
