"""A small perspective painter: boxes, bodies made of capsules, layers with alpha; cv2 and numpy only.

Ground coordinates in metres: x to the right, y up, z away from the camera.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Colour = tuple[int, int, int]
"""Blue, green, red."""
Point3 = tuple[float, float, float]

_NEAR = 0.4
"""What is nearer to the lens than this many metres is cut away."""
_SUB = 16
"""cv2 draws to a sixteenth of a pixel: what walks slowly must not jump."""


@dataclass(frozen=True)
class Lens:
    """A camera on a pole."""

    width: int
    height: int
    focal_px: float
    up_m: float
    down_rad: float

    def _see(self, points: Floats) -> Floats:
        """Right, down, ahead: in metres from the lens."""
        y, z = points[:, 1] - self.up_m, points[:, 2]
        cos, sin = math.cos(self.down_rad), math.sin(self.down_rad)
        return np.column_stack([points[:, 0], -y * cos - z * sin, z * cos - y * sin])

    def place(self, points: Sequence[Point3]) -> Floats:
        """(n, 3): pixel x, pixel y, pixels per metre there. Points behind the lens are held just before it."""
        seen = self._see(np.array(points, np.float64))
        scale = self.focal_px / np.maximum(seen[:, 2], _NEAR)
        return np.column_stack([self.width / 2 + seen[:, 0] * scale, self.height / 2 + seen[:, 1] * scale, scale])

    def outline(self, corners: Sequence[Point3]) -> Floats:
        """A polygon in pixels, cut at the near plane; empty when all of it is behind."""
        seen = self._see(np.array(corners, np.float64))
        kept: list[Floats] = []
        for a, b in zip(seen, np.roll(seen, -1, axis=0), strict=True):
            if a[2] >= _NEAR:
                kept.append(a)
            if (a[2] >= _NEAR) != (b[2] >= _NEAR):
                kept.append(a + (b - a) * ((_NEAR - a[2]) / (b[2] - a[2])))
        if not kept:
            return np.zeros((0, 2))
        cut = np.array(kept)
        scale = self.focal_px / cut[:, 2]
        return np.column_stack([self.width / 2 + cut[:, 0] * scale, self.height / 2 + cut[:, 1] * scale])

    def fraction(self, x: float, z: float) -> tuple[float, float]:
        """A place on the ground as 0..1 of the picture."""
        u, v, _ = self.place([(x, 0.0, z)])[0]
        return round(float(u) / self.width, 4), round(float(v) / self.height, 4)


def tint(colour: Colour, times: float) -> Colour:
    b, g, r = (min(255, int(part * times)) for part in colour)
    return b, g, r


def polygon(picture: Picture, outline: Floats, colour: Colour) -> None:
    if len(outline) >= 3:
        corners = np.clip(outline, -20_000, 20_000) * _SUB
        cv2.fillPoly(picture, [corners.round().astype(np.int32)], colour, cv2.LINE_AA, shift=4)


def face(picture: Picture, lens: Lens, corners: Sequence[Point3], colour: Colour) -> None:
    polygon(picture, lens.outline(corners), colour)


def ground(picture: Picture, lens: Lens, x: tuple[float, float], z: tuple[float, float], colour: Colour) -> None:
    face(picture, lens, [(x[0], 0, z[0]), (x[1], 0, z[0]), (x[1], 0, z[1]), (x[0], 0, z[1])], colour)


Span = tuple[float, float]


def box(
    picture: Picture, lens: Lens, spans: tuple[Span, Span, Span], colour: Colour, *, top: Colour | None = None
) -> None:
    """The faces of an upright box that this lens sees: side, top, front."""
    (x0, x1), (y0, y1), (z0, z1) = spans
    side = x0 if x0 > 0 else x1 if x1 < 0 else None
    if side is not None:
        corners = [(side, y0, z0), (side, y0, z1), (side, y1, z1), (side, y1, z0)]
        face(picture, lens, corners, tint(colour, 0.72 if x0 > 0 else 0.9))
    if lens.up_m > y1:
        face(picture, lens, [(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], top or tint(colour, 1.18))
    face(picture, lens, [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)], colour)


class Capsule(NamedTuple):
    """A limb: from, to, half its thickness in metres, colour."""

    start: Point3
    end: Point3
    radius_m: float
    colour: Colour


def capsules(picture: Picture, lens: Lens, limbs: Sequence[Capsule]) -> None:
    """Far ones first; each with a darker rim on the side away from the sun."""
    ends = lens.place([limb.start for limb in limbs] + [limb.end for limb in limbs])
    half = len(limbs)
    nearness = np.minimum(ends[:half, 2], ends[half:, 2])
    for index in np.argsort(nearness, kind="stable"):
        limb, a, b = limbs[index], ends[index], ends[half + index]
        thick = 2.0 * limb.radius_m * (a[2] + b[2]) / 2
        if a[2] > 900 or not (-300 < a[0] < lens.width + 300):
            continue
        for width, shift, shade in ((thick, 0.0, 0.72), (thick * 0.72, -0.1 * thick, 1.0)):
            start = round((a[0] + shift) * _SUB), round(a[1] * _SUB)
            end = round((b[0] + shift) * _SUB), round(b[1] * _SUB)
            cv2.line(picture, start, end, tint(limb.colour, shade), max(1, round(width)), cv2.LINE_AA, shift=4)


def shadow(
    picture: Picture, lens: Lens, corners: Sequence[Point3], *, strength: float = 0.42, blur_m: float = 0.1
) -> None:
    """Darken the ground under something, with a soft edge."""
    outline = lens.outline(corners)
    if len(outline) < 3:
        return
    soft = max(1, int(blur_m * lens.place([corners[0]])[0, 2]))
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 2 * soft, 0)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 2 * soft, (lens.width, lens.height))
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(mask, [((outline - low) * _SUB).round().astype(np.int32)], (255,), cv2.LINE_AA, shift=4)
    mask = cv2.blur(mask, (2 * soft + 1, 2 * soft + 1)).astype(np.uint8)
    keep = cv2.cvtColor(255 - (mask * strength).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    part = picture[low[1] : high[1], low[0] : high[0]]
    cv2.multiply(part, keep, part, 1 / 255)


@dataclass(frozen=True)
class Look:
    """How somebody is dressed."""

    shirt: Colour
    trousers: Colour
    hat: Colour | None = None
    suit: bool = False
    """A protective suit with its hood."""
    tall_m: float = 1.66


SKIN: Colour = (140, 175, 222)
HAIR: Colour = (32, 30, 34)
MASK: Colour = (228, 214, 190)


@dataclass(frozen=True)
class Pose:
    x: float
    z: float
    heading: float
    """Radians; 0 walks to the right, a quarter turn walks away from the camera."""
    step: float
    """Phase of the gait, radians."""
    swing: float = 1.0
    """0 stands."""


def person(picture: Picture, lens: Lens, look: Look, pose: Pose) -> None:
    """A walking body and its shadow."""
    size = look.tall_m / 1.70
    forward = math.cos(pose.heading), math.sin(pose.heading)

    def at(ahead: float, aside: float, up: float) -> Point3:
        return (
            pose.x + size * (ahead * forward[0] + aside * forward[1]),
            size * up,
            pose.z + size * (ahead * forward[1] - aside * forward[0]),
        )

    around = [(math.cos(a), math.sin(a)) for a in np.linspace(0, math.tau, 12, endpoint=False)]
    shadow(picture, lens, [(pose.x + 0.45 + 0.62 * c, 0.0, pose.z + 0.22 * s) for c, s in around])
    bob = 0.02 * math.cos(2 * pose.step) * pose.swing
    limbs: list[Capsule] = []
    skin_or_glove = (235, 235, 235) if look.suit else SKIN
    for side in (-1, 1):
        swing = 0.5 * math.sin(pose.step) * side * pose.swing
        bend = 0.75 * max(0.0, math.cos(pose.step) * side) * pose.swing
        hip = (0.0, 0.085 * side, 0.88 + bob)
        knee = (hip[0] + 0.43 * math.sin(swing), hip[1], hip[2] - 0.43 * math.cos(swing))
        ankle = (knee[0] + 0.40 * math.sin(swing - bend), hip[1], max(0.07, knee[2] - 0.40 * math.cos(swing - bend)))
        limbs.append(Capsule(at(*hip), at(*knee), 0.085, look.trousers))
        limbs.append(Capsule(at(*knee), at(*ankle), 0.062, look.trousers))
        limbs.append(Capsule(at(*ankle), at(ankle[0] + 0.15, ankle[1], ankle[2] - 0.03), 0.045, (40, 42, 48)))
        arm = -0.75 * swing
        shoulder = (0.0, 0.20 * side, 1.36 + bob)
        elbow = (0.28 * math.sin(arm), 0.24 * side, shoulder[2] - 0.28 * math.cos(arm))
        hand = (elbow[0] + 0.25 * math.sin(arm + 0.35), 0.23 * side, elbow[2] - 0.25 * math.cos(arm + 0.35))
        limbs.append(Capsule(at(*shoulder), at(*elbow), 0.052, look.shirt))
        limbs.append(Capsule(at(*elbow), at(*hand), 0.04, look.shirt if look.suit else SKIN))
        limbs.append(Capsule(at(*hand), at(hand[0], hand[1], hand[2] - 0.05), 0.04, skin_or_glove))
        limbs.append(Capsule(at(0.0, 0.10 * side, 1.34 + bob), at(0.0, 0.07 * side, 0.90 + bob), 0.115, look.shirt))
    limbs.append(Capsule(at(0.0, 0.0, 1.40 + bob), at(0.02, 0.0, 1.47 + bob), 0.05, SKIN))
    limbs.append(Capsule(at(0.02, 0.0, 1.53 + bob), at(0.02, 0.0, 1.60 + bob), 0.088, SKIN))
    hood = look.shirt if look.suit else look.hat or HAIR
    limbs.append(Capsule(at(-0.035, 0.0, 1.57 + bob), at(-0.02, 0.0, 1.635 + bob), 0.092, hood))
    limbs.append(Capsule(at(0.085, -0.02, 1.53 + bob), at(0.085, 0.02, 1.53 + bob), 0.05, MASK))
    if look.hat:
        limbs.append(Capsule(at(0.02, -0.06, 1.66 + bob), at(0.02, 0.06, 1.66 + bob), 0.065, look.hat))
    capsules(picture, lens, limbs)


def rider(picture: Picture, lens: Lens, look: Look, place: Span, *, bike: Colour, away: bool) -> None:
    """A motorbike on the road, its rider helmeted, as Hà Nội has them."""
    way = 1.0 if away else -1.0
    x, z = place

    def at(ahead: float, aside: float, up: float) -> Point3:
        return x + aside, up, z + way * ahead

    shadow(picture, lens, [at(-0.95, -0.3, 0), at(0.95, -0.3, 0), at(0.95, 0.6, 0), at(-0.95, 0.6, 0)])
    tyre = (36, 36, 38)
    limbs = [
        Capsule(at(-0.62, 0, 0.28), at(-0.62, 0, 0.30), 0.07, tyre),
        Capsule(at(-0.62, 0, 0.10), at(-0.62, 0, 0.50), 0.07, tyre),
        Capsule(at(0.62, 0, 0.10), at(0.62, 0, 0.50), 0.06, tyre),
        Capsule(at(-0.7, 0, 0.62), at(0.1, 0, 0.58), 0.15, bike),
        Capsule(at(0.35, 0, 0.45), at(0.5, 0, 0.95), 0.13, bike),
        Capsule(at(0.45, -0.3, 1.0), at(0.45, 0.3, 1.0), 0.035, (60, 60, 60)),
        Capsule(at(0.6, 0, 0.86), at(0.62, 0, 0.86), 0.09, (215, 240, 250) if not away else bike),
        Capsule(at(-0.85, 0, 0.62), at(-0.86, 0, 0.62), 0.06, (40, 40, 210) if away else bike),
        Capsule(at(-0.22, 0, 0.82), at(-0.08, 0, 1.28), 0.20, look.shirt),
        Capsule(at(-0.06, 0, 1.48), at(-0.05, 0, 1.54), 0.125, look.hat or (60, 60, 200)),
        Capsule(at(0.06, 0, 1.44), at(0.06, 0, 1.47), 0.075, MASK),
    ]
    for side in (-1, 1):
        limbs.append(Capsule(at(-0.2, 0.16 * side, 0.76), at(0.2, 0.24 * side, 0.66), 0.085, look.trousers))
        limbs.append(Capsule(at(0.2, 0.24 * side, 0.66), at(0.1, 0.22 * side, 0.3), 0.06, look.trousers))
        limbs.append(Capsule(at(-0.08, 0.22 * side, 1.24), at(0.12, 0.34 * side, 1.02), 0.06, look.shirt))
        limbs.append(Capsule(at(0.12, 0.34 * side, 1.02), at(0.42, 0.29 * side, 1.02), 0.045, SKIN))
    capsules(picture, lens, limbs)


def car(picture: Picture, lens: Lens, colour: Colour, x: float, z: float, *, away: bool) -> None:
    """`z` is its nearer end."""
    shadow(
        picture, lens, [(x - 0.95, 0, z - 0.1), (x + 1.2, 0, z - 0.1), (x + 1.2, 0, z + 4.3), (x - 0.95, 0, z + 4.3)]
    )
    for wheel in (z + 3.3, z + 0.5):
        box(picture, lens, ((x - 0.88, x + 0.88), (0.0, 0.6), (wheel, wheel + 0.6)), (30, 30, 32))
    box(picture, lens, ((x - 0.88, x + 0.88), (0.25, 0.88), (z, z + 4.2)), colour)
    cabin = (z + 1.1, z + 3.3) if not away else (z + 0.6, z + 3.0)
    glass = (92, 78, 66)
    roof = tint(colour, 1.12)
    box(picture, lens, ((x - 0.76, x + 0.76), (0.88, 1.42), cabin), glass, top=roof)
    lamp = (60, 60, 220) if away else (225, 245, 250)
    for side in (-0.68, 0.68):
        place = [
            (x + side - 0.16, 0.6, z),
            (x + side + 0.16, 0.6, z),
            (x + side + 0.16, 0.76, z),
            (x + side - 0.16, 0.76, z),
        ]
        face(picture, lens, place, lamp)
    face(
        picture,
        lens,
        [(x - 0.26, 0.42, z), (x + 0.26, 0.42, z), (x + 0.26, 0.55, z), (x - 0.26, 0.55, z)],
        (235, 240, 240),
    )


def bus(picture: Picture, lens: Lens, colour: Colour, x: float, z: float, *, away: bool) -> None:
    """A city bus; `z` is its nearer end."""
    shadow(picture, lens, [(x - 1.3, 0, z), (x + 1.8, 0, z), (x + 1.8, 0, z + 10.2), (x - 1.3, 0, z + 10.2)])
    box(picture, lens, ((x - 1.22, x + 1.22), (0.35, 2.95), (z, z + 10.0)), colour, top=(235, 235, 235))
    glass = (98, 84, 70)
    side = x - 1.22 if x - 1.22 > 0 else x + 1.22
    for window in np.arange(z + 0.6, z + 9.4, 1.5):
        face(
            picture,
            lens,
            [(side, 1.5, window), (side, 1.5, window + 1.2), (side, 2.5, window + 1.2), (side, 2.5, window)],
            glass,
        )
    for wheel in (z + 1.8, z + 7.2):
        face(
            picture,
            lens,
            [(side, 0, wheel), (side, 0, wheel + 1), (side, 0.8, wheel + 1), (side, 0.8, wheel)],
            (28, 28, 30),
        )
    face(picture, lens, [(x - 1.1, 1.35, z), (x + 1.1, 1.35, z), (x + 1.1, 2.5, z), (x - 1.1, 2.5, z)], glass)
    face(
        picture, lens, [(x - 0.8, 2.58, z), (x + 0.8, 2.58, z), (x + 0.8, 2.85, z), (x - 0.8, 2.85, z)], (40, 190, 245)
    )
    lamp = (50, 50, 220) if away else (225, 245, 250)
    for aside in (-0.95, 0.95):
        corners = [
            (x + aside - 0.18, 0.7, z),
            (x + aside + 0.18, 0.7, z),
            (x + aside + 0.18, 0.95, z),
            (x + aside - 0.18, 0.95, z),
        ]
        face(picture, lens, corners, lamp)


def tree(picture: Picture, lens: Lens, x: float, z: float, dice: np.random.Generator, *, tall_m: float = 5.0) -> None:
    around = [(math.cos(a), math.sin(a)) for a in np.linspace(0, math.tau, 16, endpoint=False)]
    shadow(picture, lens, [(x + 1.2 + 1.9 * c, 0, z + 1.0 * s) for c, s in around], strength=0.3, blur_m=0.4)
    capsules(picture, lens, [Capsule((x, 0, z), (x, tall_m * 0.6, z), 0.14, (52, 72, 96))])
    for ring in range(70):
        up, turn, out = dice.uniform(0.5, 1.0), dice.uniform(0, math.tau), dice.uniform(0, 1.4)
        u, v, scale = lens.place([(x + out * math.cos(turn), tall_m * up, z + 0.4 * math.sin(turn))])[0]
        leaf = tint((48, 112, 74), 0.62 + 0.6 * up * ring / 70)
        if scale < 400:
            cv2.circle(picture, (int(u), int(v)), max(2, int(scale * dice.uniform(0.25, 0.6))), leaf, -1, cv2.LINE_AA)


def words(picture: Picture, text: str, place: tuple[int, int], colour: Colour, size: float, *, thick: int = 2) -> None:
    """Vietnamese too: OpenCV 5 brings the letters."""
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick, cv2.LINE_AA)


def centred(
    picture: Picture, text: str, middle: tuple[int, int], colour: Colour, size: float, *, thick: int = 2
) -> None:
    wide = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)[0][0]
    words(picture, text, (middle[0] - wide // 2, middle[1]), colour, size, thick=thick)


def sheet(picture: Picture, panel: Picture, lens: Lens, corners: Sequence[Point3]) -> None:
    """Hang a flat picture into the scene: corners top left, top right, bottom right, bottom left."""
    height, width = panel.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, lens.place(corners)[:, :2].astype(np.float32))
    layer = np.dstack([panel, np.full(panel.shape[:2], 255, np.uint8)])
    lay(picture, layer, matrix)


def lay(picture: Picture, layer: Picture, matrix: NDArray[Any]) -> Floats:
    """Warp a premultiplied BGRA layer onto the picture, touching only where it lands; its four corners there."""
    height, width = layer.shape[:2]
    source = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    corners: Floats = cv2.perspectiveTransform(source, matrix.astype(np.float64))[0].astype(np.float64)
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (picture.shape[1], picture.shape[0]))
    if (high <= low).any():
        return corners
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]], np.float64)
    warped = cv2.warpPerspective(layer, shift @ matrix, (int(high[0] - low[0]), int(high[1] - low[1])))
    part = picture[low[1] : high[1], low[0] : high[0]]
    keep = cv2.cvtColor(255 - warped[:, :, 3], cv2.COLOR_GRAY2BGR)
    cv2.multiply(part, keep, part, 1 / 255)
    cv2.add(part, warped[:, :, :3], part)
    return corners


def premultiplied(colour: Picture, alpha: Picture) -> Picture:
    return np.dstack([cv2.multiply(colour, cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR), None, 1 / 255), alpha]).astype(
        np.uint8
    )


def grained(picture: Picture, dice: np.random.Generator, *, sigma: float, blur: float) -> Picture:
    """A lens is never quite sharp and a sensor never quite clean."""
    soft = cv2.GaussianBlur(picture, (0, 0), blur).astype(np.float32)
    soft += dice.normal(0, sigma, (*picture.shape[:2], 1)).astype(np.float32)
    return np.clip(soft, 0, 255).astype(np.uint8)


def gradient(height: int, width: int, stops: Iterable[tuple[float, Colour]]) -> Picture:
    """From top to bottom."""
    at, colours = zip(*stops, strict=True)
    rows = np.linspace(0, 1, height)
    column = np.column_stack([np.interp(rows, at, [colour[part] for colour in colours]) for part in range(3)])
    return np.repeat(column[:, None], width, axis=1).astype(np.uint8)
