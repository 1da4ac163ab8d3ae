"""What stands beside the road and drives on it: houses, plants, poles, signs, cars."""

from collections.abc import Callable
from typing import Final

from geospot.data.world.canvas import LANE_M, VERGE_M, Canvas, tuple_mul
from geospot.data.world.draws import Dice
from geospot.data.world.scene import Colour, Thing

_TRUNK: Final[Colour] = (104, 78, 58)
_WHITE: Final[Colour] = (240, 240, 236)
_RED: Final[Colour] = (204, 40, 38)
_BLACK: Final[Colour] = (32, 32, 34)
_SIGN_YELLOW: Final[Colour] = (250, 196, 22)
_BOARDS: Final[dict[str, Colour]] = {
    "green": (16, 112, 72),
    "blue": (26, 84, 170),
    "white": (244, 244, 240),
    "yellow": (250, 206, 40),
}
_CARS: Final[tuple[Colour, ...]] = (
    (236, 236, 236), (52, 54, 60), (168, 172, 178), (180, 36, 36), (40, 72, 140), (212, 180, 120),
)  # fmt: skip


def stand(canvas: Canvas, thing: Thing) -> None:
    """Draws one thing where it stands, its shadow first."""
    x = canvas.middle_m + thing.side * (VERGE_M + thing.away_m)
    if thing.kind == "house":
        _house(canvas, thing, x)
    elif thing.kind == "pole":
        _pole(canvas, thing, x)
    elif thing.kind == "bollard":
        _bollard(canvas, thing, x)
    else:
        _PLANTS[thing.kind](canvas, thing, x)


def _house(canvas: Canvas, thing: Thing, inner: float) -> None:
    """A house with its front to the camera and a long side along the road."""
    scene, side, near = canvas.scene, thing.side, thing.ahead_m
    far, outer = near + 7.0, inner + side * 8.0 * thing.size
    top = 2.9 * max(round(scene.storeys * thing.size), 1)
    wall = tuple_mul(scene.wall, 1.0 + 0.05 * thing.tint)
    lit = scene.sun.bearing * side < 0
    long_side, front = (1.02, 0.80) if lit and not scene.overcast else (0.76, 0.92)
    flank = [canvas.at(inner, near), canvas.at(inner, far)]
    flank += [canvas.at(inner, far, top), canvas.at(inner, near, top)]
    face = [canvas.at(inner, near), canvas.at(outer, near)]
    face += [canvas.at(outer, near, top), canvas.at(inner, near, top)]
    canvas.polygon(flank, canvas.tone(wall, near, long_side))
    canvas.polygon(face, canvas.tone(wall, near, front))
    _windows(canvas, inner, outer, near, top)
    roof: Colour = (236, 240, 247) if scene.snow else scene.roof
    ridge = top + 3.4 * scene.roof_pitch
    middle = (inner + outer) / 2
    if scene.roof_pitch < 0.25:  # a parapet
        canvas.polygon(
            [canvas.at(x, near, up) for x, up in _box(inner, outer, top, top + 0.7)],
            canvas.tone(wall, near, 0.7),
        )
        return
    eaves = inner - side * 0.5
    slope = [canvas.at(eaves, near, top - 0.2), canvas.at(eaves, far, top - 0.2)]
    slope += [canvas.at(middle, far, ridge), canvas.at(middle, near, ridge)]
    gable = [
        canvas.at(inner, near, top),
        canvas.at(outer, near, top),
        canvas.at(middle, near, ridge),
    ]
    canvas.polygon(slope, canvas.tone(roof, near, 1.0 if lit else 0.84))
    canvas.polygon(gable, canvas.tone(wall, near, front))
    tiles = [canvas.at(middle, near, ridge + 0.35), canvas.at(middle, near, ridge - 0.3)]
    for edge in (eaves, outer + side * 0.5):
        low, high = canvas.at(edge, near, top - 0.3), canvas.at(edge, near, top + 0.35)
        canvas.polygon([low, high, *tiles], canvas.tone(roof, near, 0.9))


def _windows(canvas: Canvas, inner: float, outer: float, near: float, top: float) -> None:
    glass = canvas.tone((70, 84, 100), near)
    for floor in range(round(top / 2.9)):
        for share in (0.2, 0.5, 0.8):
            x, low = inner + (outer - inner) * share, 2.9 * floor + 0.9
            corners = _box(x - 0.6, x + 0.6, low, low + 1.3)
            canvas.polygon([canvas.at(a, near, up) for a, up in corners], glass)


def _box(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high)]


def _crown(
    canvas: Canvas, x: float, ahead: float, up: float, radius: tuple[float, float], leaf: Colour
) -> None:
    """A round of leaves, lit from where the sun is."""
    metre = canvas.metre(ahead)
    px, py = canvas.at(x, ahead, up)
    rx, ry = radius[0] * metre, radius[1] * metre
    canvas.ellipse((px, py), (rx, ry), canvas.tone(leaf, ahead, 0.78))
    if not canvas.scene.overcast:
        shift = 0.28 if canvas.scene.sun.bearing > 0 else -0.28
        canvas.ellipse(
            (px + shift * rx, py - 0.22 * ry), (0.68 * rx, 0.7 * ry), canvas.tone(leaf, ahead, 1.12)
        )


def _leaf(canvas: Canvas, thing: Thing, shift: Colour = (0, 0, 0)) -> Colour:
    leaf, turn = canvas.scene.leaf, 1.0 + 0.07 * thing.tint
    return (leaf[0] + shift[0]) * turn, (leaf[1] + shift[1]) * turn, (leaf[2] + shift[2]) * turn


def _broadleaf(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 7.5 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 3.0)
    canvas.post(x, ahead, 0.0, 0.45 * height, 0.45, _TRUNK)
    leaves = canvas.scene.leaves
    if leaves == "bare":
        for lean in (-1.6, -0.7, 0.0, 0.8, 1.7):
            _branch(canvas, x, ahead, (0.35 * height, lean, height * (1.0 - 0.06 * abs(lean))))
        return
    leaf = (206.0, 122.0 + 22.0 * thing.tint, 44.0) if leaves == "autumn" else _leaf(canvas, thing)
    _crown(canvas, x, ahead, 0.66 * height, (0.34 * height, 0.36 * height), leaf)


def _branch(canvas: Canvas, x: float, ahead: float, reach: tuple[float, float, float]) -> None:
    low, lean, high = reach
    width = max(0.16 * canvas.metre(ahead), 1.0)
    line = [canvas.at(x, ahead, low), canvas.at(x + lean, ahead, high)]
    canvas.draw.line(line, fill=canvas.tone(_TRUNK, ahead), width=round(width))


def _jungle(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 9.5 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 4.0)
    canvas.post(x, ahead, 0.0, 0.4 * height, 0.5, _TRUNK)
    leaf = _leaf(canvas, thing, (-14, 4, -6))
    for shift, up, radius in ((-2.2, 0.42, 2.4), (2.1, 0.48, 2.5), (0.1, 0.72, 3.0)):
        _crown(canvas, x + shift, ahead, up * height, (radius, 0.85 * radius), leaf)


def _conifer(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 10.0 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 2.0)
    canvas.post(x, ahead, 0.0, 0.2 * height, 0.4, _TRUNK)
    leaf = _leaf(canvas, thing, (-26, -22, -2))
    for low, high, half in ((0.1, 0.5, 2.2), (0.35, 0.75, 1.6), (0.6, 1.0, 1.0)):
        base, tip = low * height, high * height
        left, right = canvas.at(x - half, ahead, base), canvas.at(x + half, ahead, base)
        top = canvas.at(x, ahead, tip)
        canvas.polygon([left, right, top], canvas.tone(leaf, ahead, 0.86))
        if canvas.scene.snow:
            white = [canvas.at(x - 0.4 * half, ahead, tip - 0.4 * (tip - base)), top]
            white.append(canvas.at(x + 0.4 * half, ahead, tip - 0.4 * (tip - base)))
            canvas.polygon(white, canvas.tone(_WHITE, ahead))


def _birch(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 8.5 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 1.8)
    canvas.post(x, ahead, 0.0, 0.75 * height, 0.36, (232, 230, 224))
    for up in (0.15, 0.3, 0.42):
        canvas.post(x, ahead, up * height, up * height + 0.25, 0.36, (60, 60, 60))
    if canvas.scene.leaves == "bare":
        for lean in (-1.0, 0.0, 1.0):
            _branch(canvas, x, ahead, (0.5 * height, lean, height))
        return
    autumn = canvas.scene.leaves == "autumn"
    leaf = (226.0, 178.0, 52.0) if autumn else _leaf(canvas, thing, (22, 26, 4))
    _crown(canvas, x, ahead, 0.7 * height, (0.2 * height, 0.34 * height), leaf)


def _palm(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 8.5 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 1.6)
    lean = 0.5 * thing.tint
    foot = [canvas.at(x - 0.25, ahead), canvas.at(x + 0.25, ahead)]
    head = [canvas.at(x + lean + 0.17, ahead, height), canvas.at(x + lean - 0.17, ahead, height)]
    canvas.polygon([*foot, *head], canvas.tone((140, 112, 84), ahead))
    leaf = canvas.tone(_leaf(canvas, thing), ahead)
    top = canvas.at(x + lean, ahead, height + 0.2)
    for reach, lift in (
        (-3.2, -1.0),
        (-2.6, 0.9),
        (-1.0, 1.9),
        (1.0, 1.9),
        (2.6, 0.9),
        (3.2, -1.0),
    ):
        tip = canvas.at(x + lean + reach, ahead, height + lift - 0.9)
        bend = canvas.at(x + lean + 0.55 * reach, ahead, height + lift + 0.7)
        under = canvas.at(x + lean + 0.5 * reach, ahead, height + lift - 0.3)
        canvas.polygon([top, bend, tip, under], leaf)


def _acacia(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 6.0 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 4.0)
    for lean in (-1.3, 1.2):
        _branch(canvas, x, ahead, (0.0, lean, 0.85 * height))
    leaf = _leaf(canvas, thing, (8, 2, -6))
    for shift, up, half in ((-1.2, 0.88, 2.4), (1.3, 0.94, 2.5), (0.0, 1.04, 2.0)):
        _crown(canvas, x + shift, ahead, up * height, (half, 0.62), leaf)


def _cactus(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 4.6 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 0.6)
    green = _leaf(canvas, thing, (0, 18, 14))
    canvas.post(x, ahead, 0.0, height, 0.62, green)
    for side, low in ((-1, 0.36), (1, 0.5)):
        canvas.post(x + side * 0.75, ahead, low * height, low * height + 0.4, 1.1, green)
        canvas.post(x + side * 1.25, ahead, low * height, 0.84 * height, 0.46, green)


def _shrub(canvas: Canvas, thing: Thing, x: float) -> None:
    ahead = thing.ahead_m * 0.7
    leaf = _leaf(canvas, thing, (22, 10, 8))
    for shift, radius in ((-0.7, 0.8), (0.6, 0.95), (0.0, 1.1)):
        _crown(canvas, x + shift, ahead, 0.6 * radius, (radius, 0.7 * radius), leaf)


def _cypress(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 9.0 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 1.4)
    leaf = _leaf(canvas, thing, (-22, -16, -4))
    _crown(canvas, x, ahead, 0.52 * height, (0.85, 0.5 * height), leaf)


def _eucalyptus(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 9.5 * thing.size, thing.ahead_m
    canvas.cast_shadow(x, ahead, height, 2.6)
    canvas.post(x, ahead, 0.0, 0.7 * height, 0.42, (222, 212, 196))
    leaf = _leaf(canvas, thing, (20, 8, 30))
    for shift, up, half in ((-1.5, 0.68, 1.5), (1.4, 0.76, 1.5), (0.0, 0.92, 1.7)):
        _branch(canvas, x, ahead, (0.5 * height, shift, up * height))
        _crown(canvas, x + shift, ahead, up * height, (half, 0.62 * half), leaf)


def _bamboo(canvas: Canvas, thing: Thing, x: float) -> None:
    height, ahead = 7.0 * thing.size, thing.ahead_m
    stem, leaf = (150.0, 176.0, 84.0), _leaf(canvas, thing, (36, 34, 0))
    for shift, lean in ((-0.9, -1.6), (-0.4, -0.6), (0.1, 0.2), (0.5, 0.9), (1.0, 1.8)):
        width = max(0.2 * canvas.metre(ahead), 1.0)
        line = [canvas.at(x + shift, ahead), canvas.at(x + shift + lean, ahead, height)]
        canvas.draw.line(line, fill=canvas.tone(stem, ahead), width=round(width))
        _crown(canvas, x + shift + lean, ahead, 0.9 * height, (0.7, 1.3), leaf)


_PLANTS: Final[dict[str, Callable[[Canvas, Thing, float], None]]] = {
    "broadleaf": _broadleaf, "jungle": _jungle, "conifer": _conifer, "birch": _birch,
    "palm": _palm, "acacia": _acacia, "cactus": _cactus, "shrub": _shrub, "cypress": _cypress,
    "eucalyptus": _eucalyptus, "bamboo": _bamboo,
}  # fmt: skip


def _pole(canvas: Canvas, thing: Thing, x: float) -> None:
    """A pole of the power line: wood with a cross-arm, concrete with two, or a bent steel lamp."""
    ahead, kind = thing.ahead_m, canvas.scene.pole
    canvas.cast_shadow(x, ahead, 8.0, 0.35)
    colour: Colour = {"wood": (96, 70, 50), "concrete": (176, 172, 164)}.get(kind, (92, 102, 112))
    canvas.post(x, ahead, 0.0, 8.2, 0.30 if kind != "steel" else 0.2, colour)
    if kind == "steel":
        canvas.post(x - thing.side * 1.1, ahead, 8.0, 8.35, 2.4, colour)
        return
    for up in (7.3,) if kind == "wood" else (7.5, 6.5):
        canvas.post(x, ahead, up, up + 0.26, 2.4 if kind == "wood" else 1.7, colour)


def _bollard(canvas: Canvas, thing: Thing, x: float) -> None:
    canvas.cast_shadow(x, thing.ahead_m, 1.0, 0.2)
    canvas.post(x, thing.ahead_m, 0.0, 1.0, 0.24, _WHITE)
    canvas.post(x, thing.ahead_m, 0.55, 0.85, 0.26, canvas.scene.accent)


def signs(canvas: Canvas, dice: Dice) -> None:
    """A warning sign on the driver's side, and now and then a board with directions."""
    if not canvas.scene.signs:
        return
    rules = canvas.scene.customs
    side = -1 if rules.drive_left else 1
    x = canvas.middle_m + side * (VERGE_M + 1.5)
    if dice.chance(0.75):
        _board(canvas, x + side * 2.2, dice.uniform(13.0, 18.0), dice)
    ahead = dice.uniform(8.5, 12.0)
    canvas.cast_shadow(x, ahead, 2.6, 0.2)
    canvas.post(x, ahead, 0.0, 2.6, 0.16, (142, 146, 150))
    outline, ground, mark = {
        "diamond": (_BLACK, _SIGN_YELLOW, _BLACK),
        "triangle": (_RED, _WHITE, _BLACK),
        "yellow_triangle": (_RED, _SIGN_YELLOW, _BLACK),
        "black_triangle": (_BLACK, _SIGN_YELLOW, _BLACK),
    }[rules.warning]
    diamond = rules.warning == "diamond"
    for reach, colour in ((1.0, outline), (0.86 if diamond else 0.62, ground)):
        canvas.polygon(
            _outline(canvas, x, ahead, reach, diamond=diamond), canvas.tone(colour, ahead)
        )
    canvas.post(x, ahead, 2.45, 2.85, 0.2, mark)


def _outline(
    canvas: Canvas, x: float, ahead: float, reach: float, *, diamond: bool
) -> list[tuple[float, float]]:
    middle = 2.65
    if diamond:
        corners = [(0.0, reach), (reach, 0.0), (0.0, -reach), (-reach, 0.0)]
    else:
        corners = [(0.0, 1.1 * reach), (reach, -0.65 * reach), (-reach, -0.65 * reach)]
    return [canvas.at(x + right, ahead, middle + up) for right, up in corners]


def _board(canvas: Canvas, x: float, ahead: float, dice: Dice) -> None:
    """Directions: a board in the country's colour with lines of lettering nobody can read."""
    kind = canvas.scene.customs.board
    lettering = _BLACK if kind in {"white", "yellow"} else _WHITE
    for foot in (-1.2, 1.2):
        canvas.post(x + foot, ahead, 0.0, 2.2, 0.16, (130, 134, 138))
    canvas.post(x, ahead, 2.0, 4.3, 4.0, lettering)
    canvas.post(x, ahead, 2.12, 4.18, 3.76, _BOARDS[kind])
    for line in range(3):
        width = dice.uniform(1.2, 2.6)
        up = 3.72 - 0.62 * line
        canvas.post(x - 1.6 + width / 2, ahead, up - 0.16, up + 0.16, width, lettering)


def car(canvas: Canvas, thing: Thing) -> None:
    """A car: the oncoming one shows its face in the other lane, the one ahead its tail lights."""
    oncoming = thing.kind == "oncoming"
    other = canvas.middle_m + (LANE_M / 2 if canvas.middle_m > 0 else -LANE_M / 2)
    x, ahead = other if oncoming else 0.0, thing.ahead_m
    paint = _CARS[int(thing.tint * len(_CARS))]
    shade = tuple_mul(canvas.scene.asphalt, 0.5)
    canvas.strip(x, 2.0, ahead - 0.4, ahead + 3.5, shade)
    roof = [(-0.85, 0.85), (0.85, 0.85), (0.68, 1.5), (-0.68, 1.5)]
    canvas.polygon(
        [canvas.at(x + a, ahead + 0.6, up) for a, up in roof], canvas.tone(paint, ahead, 0.95)
    )
    glass = [(-0.72, 0.92), (0.72, 0.92), (0.58, 1.4), (-0.58, 1.4)]
    canvas.polygon(
        [canvas.at(x + a, ahead + 0.55, up) for a, up in glass], canvas.tone((66, 78, 92), ahead)
    )
    canvas.post(x, ahead, 0.3, 0.95, 1.8, paint)
    canvas.post(x, ahead, 0.05, 0.32, 1.7, _BLACK)
    lamp: Colour = (255, 246, 214) if oncoming else (214, 30, 34)
    for side in (-0.68, 0.68):
        canvas.post(x + side, ahead, 0.58, 0.82, 0.36, lamp)
