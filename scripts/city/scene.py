"""The demo's three cameras, drawn once: a gate where codes are held up, a quarantine yard, a street.

    python -m scripts.city.scene OUT checkpoint|yard|street … [--width 1280]

Every motion is periodic, so a clip can loop for ever. Each picture carries its number in the loop as a strip of black
and white cells, and `<clip>.json` tells in which pictures a whole code is to be seen and what the answer must be.
"""

import argparse
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import cv2
import numpy as np
import segno
from numpy.typing import NDArray

from scripts.city import drawing, people
from scripts.city.drawing import Colour, Lens, Look, Picture, Pose

WIDTH, HEIGHT, FPS = 1280, 720, 15
Name = Literal["checkpoint", "yard", "street"]
SECONDS: dict[Name, int] = {"checkpoint": 12, "yard": 20, "street": 15}

_BITS = 12
_MARGIN = 2
_CELLS = 2 + _BITS + 2


class Window(NamedTuple):
    """One code in one loop: the first and the last picture that show all of it."""

    first: int
    last: int
    outcome: Literal["PASS", "FAIL", "CHECK"]
    text: str


# ---- the number in the picture --------------------------------------------------------------------------------------


def _pattern(number: int) -> list[bool]:
    """Light, dark, the number, its parity twice: a picture without the strip does not read as one."""
    bits = [bool(number >> place & 1) for place in reversed(range(_BITS))]
    parity = sum(bits) % 2 == 1
    return [True, False, *bits, parity, not parity]


def stamp(picture: Picture, number: int) -> None:
    """Burn the number in, bottom left."""
    cell = picture.shape[1] // 80
    top = picture.shape[0] - cell * _MARGIN
    picture[top - 2 :, : cell * (_CELLS + 1)] = 0
    for index, light in enumerate(_pattern(number)):
        left = cell // 2 + index * cell
        picture[top : top + cell, left : left + cell] = 255 if light else 0


def read_number(y: NDArray[Any]) -> int:
    """The number burned into a picture (luma). Raises ValueError when there is none."""
    cell = y.shape[1] // 80
    middle = y.shape[0] - cell * _MARGIN + cell // 2
    places = [cell // 2 + index * cell + cell // 2 for index in range(_CELLS)]
    light = [bool(y[middle - 1 : middle + 2, place - 1 : place + 2].mean() > 128) for place in places]
    number = sum(bit << place for place, bit in zip(reversed(range(_BITS)), light[2 : 2 + _BITS], strict=True))
    if light != _pattern(number):
        raise ValueError("no frame number in this picture")
    return number


# ---- the gate -------------------------------------------------------------------------------------------------------


def _rounded(height: int, width: int, radius: int) -> Picture:
    mask = np.zeros((height, width), np.uint8)
    cv2.rectangle(mask, (radius, 0), (width - radius - 1, height - 1), 255, -1)
    cv2.rectangle(mask, (0, radius), (width - 1, height - radius - 1), 255, -1)
    for x in (radius, width - radius - 1):
        for y in (radius, height - radius - 1):
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    return mask


def _code(text: str, side: int) -> Picture:
    """The QR with its quiet zone, modules of whole pixels, at most `side` wide."""
    matrix = np.array(
        [list(row) for row in segno.make(text, error="m", micro=False, boost_error=False).matrix], np.uint8
    )
    modules = len(matrix) + 8
    px = side // modules
    grey = np.kron(np.pad(1 - matrix, 4, constant_values=1), np.ones((px, px), np.uint8)) * 255
    return np.dstack([grey.astype(np.uint8)] * 3)


class _Held(NamedTuple):
    """What a hand holds up: the layer, and where its code is in it."""

    layer: Picture
    code: tuple[int, int, int, int]


def _phone(person: people.Person, text: str) -> _Held:
    height, width = 540, 330
    colour = np.full((height, width, 3), (34, 30, 28), np.uint8)
    colour[14:-14, 14:-14] = (250, 250, 250)
    colour[14:84, 14:-14] = (150, 92, 18)
    drawing.centred(colour, "Mã QR cá nhân", (width // 2, 58), (255, 255, 255), 0.75)
    code = _code(text, 284)
    side = len(code)
    left, top = (width - side) // 2, 100
    colour[top : top + side, left : left + side] = code
    masked = " ".join(word[0] + "*" * (len(word) - 1) for word in person.name.split())
    drawing.centred(colour, masked, (width // 2, top + side + 34), (40, 40, 40), 0.62)
    drawing.centred(colour, "Đã khai báo y tế hôm nay", (width // 2, top + side + 66), (70, 140, 40), 0.55)
    return _held(colour, _rounded(height, width, 34), (left, top, side))


def _card(person: people.Person, text: str) -> _Held:
    height, width = 350, 560
    colour = drawing.gradient(height, width, [(0, (214, 232, 226)), (1, (196, 226, 236))])
    for ring in range(8):
        cv2.circle(colour, (150, 250), 40 + 18 * ring, (186, 214, 214), 1, cv2.LINE_AA)
    drawing.words(colour, "CĂN CƯỚC CÔNG DÂN", (26, 44), (40, 40, 170), 0.72)
    drawing.words(colour, "Citizen Identity Card", (26, 70), (70, 70, 70), 0.48, thick=1)
    cv2.rectangle(colour, (28, 100), (158, 270), (205, 190, 170), -1)
    cv2.circle(colour, (93, 166), 34, drawing.SKIN, -1, cv2.LINE_AA)
    cv2.ellipse(colour, (93, 152), (35, 26), 0, 180, 360, drawing.HAIR, -1, cv2.LINE_AA)
    cv2.ellipse(colour, (93, 270), (58, 62), 0, 180, 360, (120, 84, 60), -1, cv2.LINE_AA)
    for row, tall in ((112, 8), (140, 14), (176, 8), (206, 8), (236, 8)):
        cv2.rectangle(colour, (176, row), (176 + (60 if tall == 8 else 80), row + tall), (120, 110, 100), -1)
    drawing.words(colour, f"{person.name.split()[0]} *** ***", (28, 310), (30, 30, 30), 0.62)
    code = _code(text, 270)
    side = len(code)
    left, top = width - side - 24, height - side - 20
    colour[top : top + side, left : left + side] = code
    return _held(colour, _rounded(height, width, 24), (left, top, side))


def _held(colour: Picture, alpha: Picture, code: tuple[int, int, int]) -> _Held:
    """Put a hand around it: fingers behind are hidden, the thumb and the finger tips come over the edge."""
    height, width = alpha.shape
    pad = 70
    out = cv2.copyMakeBorder(colour, 0, pad, pad, pad, cv2.BORDER_CONSTANT)
    mask = cv2.copyMakeBorder(alpha, 0, pad, pad, pad, cv2.BORDER_CONSTANT)
    skin, rim = drawing.SKIN, drawing.tint(drawing.SKIN, 0.78)
    low = height - 60
    thumb = ((pad + 36, height + 26), (pad - 22, low - 8), (pad - 8, low - 60), (pad + 14, low - 96))
    for a, b in pairwise(thumb):
        for colour_, thick in ((rim, 50), (skin, 42)):
            cv2.line(out, a, b, colour_, thick, cv2.LINE_AA)
            cv2.line(mask, a, b, 255, 50, cv2.LINE_AA)
    for finger in range(3):
        y = low - 30 - 44 * finger
        a, b = (pad + width + 30, y + 20), (pad + width - 6, y)
        for colour_, thick in ((rim, 40), (skin, 33)):
            cv2.line(out, a, b, colour_, thick, cv2.LINE_AA)
            cv2.line(mask, a, b, 255, 40, cv2.LINE_AA)
    heel = np.zeros_like(mask)  # the palm's heel shows below the edge; the rest of the hand is behind
    cv2.ellipse(heel, (pad + width // 2, height - 20), (min(width // 2 + 34, 190), 88), 0, 0, 180, 255, -1, cv2.LINE_AA)
    heel[:height, pad : pad + width] = 0
    out[heel > 0] = skin
    mask = cv2.max(mask, heel).astype(np.uint8)
    left, top, side = code
    return _Held(drawing.premultiplied(out.astype(np.uint8), mask.astype(np.uint8)), (left + pad, top, side, side))


def _bust(shirt: Colour, *, long_hair: bool, cap: Colour | None) -> Picture:
    """Head and shoulders of somebody who stands before the camera, masked; drawn at twice its size."""
    height, width = 1280, 1240
    colour = np.zeros((height, width, 3), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    skin, hair = drawing.SKIN, drawing.HAIR

    def ellipse(middle: tuple[int, int], axes: tuple[int, int], fill: Colour, turn: float = 0.0) -> None:
        cv2.ellipse(colour, middle, axes, turn, 0, 360, fill, -1, cv2.LINE_AA)
        cv2.ellipse(alpha, middle, axes, turn, 0, 360, 255, -1, cv2.LINE_AA)

    def shape(points: list[tuple[int, int]], fill: Colour) -> None:
        corners = [np.array(points, np.int32)]
        cv2.fillPoly(colour, corners, fill, cv2.LINE_AA)
        cv2.fillPoly(alpha, corners, 255, cv2.LINE_AA)

    if long_hair:
        ellipse((620, 330), (222, 270), hair)
        shape([(410, 330), (830, 330), (850, 700), (390, 700)], hair)
    body = [(620, 600)] + [
        (
            620 + int(520 * math.copysign(abs(math.cos(a)) ** 0.6, math.cos(a))),
            1000 - int(380 * abs(math.sin(a)) ** 0.8),
        )
        for a in np.linspace(math.pi, 0, 60)
    ]
    shape([*body[1:], (1140, 1280), (100, 1280)], shirt)
    shape([(530, 480), (710, 480), (730, 660), (620, 740), (510, 660)], drawing.tint(skin, 0.82))
    shape([(500, 640), (620, 800), (600, 840), (470, 660)], drawing.tint(shirt, 1.25))
    shape([(740, 640), (620, 800), (640, 840), (770, 660)], drawing.tint(shirt, 1.25))
    for side in (-1, 1):
        ellipse((620 + side * 186, 350), (32, 56), drawing.tint(skin, 0.88))
    ellipse((620, 340), (184, 236), skin)
    ellipse((620, 176), (190, 116), hair)
    shape([(436, 190), (804, 190), (806, 290), (770, 214), (470, 214), (434, 290)], hair)
    for side in (-1, 1):
        eye = (620 + side * 76, 322)
        ellipse(eye, (36, 17), (236, 240, 242))
        ellipse(eye, (17, 17), (34, 40, 52))
        ellipse((eye[0] + 5, eye[1] - 6), (5, 5), (250, 250, 250))
        cv2.ellipse(colour, (eye[0], 282), (48, 16), 0, 190, 350, hair, 10, cv2.LINE_AA)
        cv2.line(colour, (620 + side * 150, 410), (620 + side * 192, 350), (240, 236, 230), 6, cv2.LINE_AA)
    shape(
        [(466, 402), (620, 372), (774, 402), (764, 500), (700, 572), (620, 592), (540, 572), (476, 500)], drawing.MASK
    )
    for fold in (448, 494, 536):
        cv2.line(colour, (490, fold), (750, fold), drawing.tint(drawing.MASK, 0.9), 5, cv2.LINE_AA)
    if cap:
        ellipse((620, 150), (204, 112), cap)
        shape([(412, 150), (828, 150), (850, 226), (390, 226)], drawing.tint(cap, 0.8))
    # A soft light from the left: bright where the body faces it, dark on the other side.
    solid = alpha.astype(np.float32) / 255
    light = cv2.GaussianBlur(solid, (0, 0), 60)
    light = 0.92 + 0.55 * (np.roll(light, -70, axis=1) - np.roll(light, 70, axis=1)) * -1.0
    colour = np.clip(colour * light[:, :, None], 0, 255).astype(np.uint8)
    layer = drawing.premultiplied(colour, alpha)
    return cv2.resize(layer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _gate(dice: np.random.Generator) -> tuple[Picture, Lens]:  # noqa: C901  (a list of things to draw, in order)
    """The lane behind the people, a little out of focus."""
    lens = Lens(WIDTH, HEIGHT, 820.0, 2.3, math.radians(6))
    picture = drawing.gradient(
        HEIGHT, WIDTH, [(0, (226, 196, 160)), (0.4, (238, 228, 216)), (0.42, (122, 126, 128)), (1, (96, 100, 102))]
    )
    for z in np.arange(75.0, 14.0, -7.5):
        for side in (-1, 1):
            near, far = side * 9.0, side * 17.0
            wall = [(180, 200, 222), (170, 214, 228), (200, 196, 182), (168, 180, 216), (206, 220, 214)][
                int(dice.integers(5))
            ]
            tall = float(dice.uniform(5.5, 10.5))
            drawing.box(picture, lens, ((min(near, far), max(near, far)), (0, tall), (z, z + 7.3)), wall)
            for floor in np.arange(3.4, tall - 1.2, 2.9):
                for along in (z + 0.8, z + 4.1):
                    corners = [
                        (near, floor, along),
                        (near, floor, along + 2.1),
                        (near, floor + 1.5, along + 2.1),
                        (near, floor + 1.5, along),
                    ]
                    drawing.face(picture, lens, corners, (110, 92, 74))
            awning = [
                (near, 2.9, z + 0.3),
                (near, 2.9, z + 7),
                (near - side * 1.3, 2.5, z + 7),
                (near - side * 1.3, 2.5, z + 0.3),
            ]
            drawing.face(picture, lens, awning, [(60, 90, 190), (90, 150, 70), (190, 120, 60)][int(dice.integers(3))])
    drawing.ground(picture, lens, (-6.5, 6.5), (2, 150), (98, 98, 96))
    for edge in (-6.5, 6.3):
        drawing.ground(picture, lens, (edge, edge + 0.2), (2, 150), (200, 204, 204))
    for dash in np.arange(6.0, 90.0, 6.0):
        drawing.ground(picture, lens, (-0.1, 0.1), (dash, dash + 3), (214, 216, 216))
    for x, z in ((-8.0, 44), (8.2, 38), (-7.9, 26), (8.0, 20)):
        drawing.tree(picture, lens, x, z, dice, tall_m=5.6)
    for x in (-6.6, 6.2):
        drawing.box(picture, lens, ((x, x + 0.4), (0, 5.2), (17, 17.4)), (120, 108, 100))
    sign = np.full((110, 1180, 3), (52, 40, 178), np.uint8)
    cv2.rectangle(sign, (6, 6), (1173, 103), (235, 240, 245), 3)
    drawing.centred(sign, "CHỐT KIỂM SOÁT DỊCH BỆNH · CỬA Ô PHÁP VÂN", (590, 72), (245, 250, 255), 1.35, thick=3)
    drawing.sheet(picture, sign, lens, [(-6.6, 5.3, 17), (6.6, 5.3, 17), (6.6, 4.1, 17), (-6.6, 4.1, 17)])
    drawing.box(picture, lens, ((-6.2, -3.5), (0, 2.9), (13, 15.6)), (150, 128, 84), top=(190, 180, 170))
    drawing.face(picture, lens, [(-6, 1.1, 13), (-3.7, 1.1, 13), (-3.7, 2.3, 13), (-6, 2.3, 13)], (120, 112, 92))
    label = np.full((60, 400, 3), (150, 92, 18), np.uint8)
    drawing.centred(label, "CÔNG AN · Y TẾ", (200, 43), (255, 255, 255), 1.1, thick=2)
    drawing.sheet(
        picture, label, lens, [(-6.1, 2.85, 12.98), (-3.6, 2.85, 12.98), (-3.6, 2.4, 12.98), (-6.1, 2.4, 12.98)]
    )
    officer = Look((92, 122, 78), (78, 104, 66), hat=(70, 96, 60), tall_m=1.72)
    drawing.person(picture, lens, officer, Pose(-2.7, 12.4, -1.2, 0.3, 0.1))
    drawing.person(picture, lens, Look((238, 226, 214), (236, 224, 212), suit=True), Pose(4.3, 13.2, -2.0, 0.6, 0.1))
    for piece, x in enumerate(np.arange(-2.2, 3.4, 0.7)):
        colour = (50, 50, 210) if piece % 2 else (240, 240, 240)
        drawing.box(picture, lens, ((x, x + 0.7), (0.95, 1.08), (16, 16.1)), colour)
    for x, z in ((-3.1, 9.5), (3.4, 9.5), (3.4, 7.6), (-3.1, 12)):
        u, v, scale = lens.place([(x, 0.0, z)])[0]
        for up, wide, colour in ((0.0, 0.2, (40, 90, 240)), (0.28, 0.13, (245, 245, 245)), (0.42, 0.1, (40, 90, 240))):
            top = up + 0.3
            base = np.array([[u - wide * scale, v - up * scale], [u + wide * scale, v - up * scale]])
            tip = np.array([[u + 0.03 * scale, v - top * scale], [u - 0.03 * scale, v - top * scale]])
            drawing.polygon(picture, np.vstack([base, tip]), colour)
    return drawing.grained(picture, dice, sigma=2.0, blur=1.5), lens


def _ease(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _arm(picture: Picture, wrist: tuple[float, float], elbow: tuple[float, float], sleeve: Colour) -> None:
    hand, bend = np.array(wrist), np.array(elbow)
    cuff = 0.55 * hand + 0.45 * bend
    for fill, start, end, thick in (
        (drawing.tint(drawing.SKIN, 0.78), hand, cuff, 96),
        (drawing.SKIN, hand, cuff, 80),
        (drawing.tint(sleeve, 0.75), cuff, bend, 138),
        (sleeve, cuff, bend, 114),
    ):
        cv2.line(picture, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), fill, thick, cv2.LINE_AA)


class Checkpoint:
    """One after the other comes to the camera and holds a code up for about a second and a half."""

    TURN_S = 4.0

    def __init__(self) -> None:
        dice = np.random.default_rng(14)
        self._back, self._lens = _gate(dice)
        self._busts = (
            _bust((176, 150, 226), long_hair=True, cap=None),
            _bust((150, 108, 60), long_hair=False, cap=(64, 60, 58)),
            _bust((92, 150, 108), long_hair=False, cap=None),
        )
        self._sleeves: tuple[Colour, ...] = ((176, 150, 226), (150, 108, 60), (92, 150, 108))
        self._held = tuple((_card if "||" in role.text else _phone)(role.person, role.text) for role in people.CAST)
        self.shown: dict[int, list[int]] = {turn: [] for turn in range(len(people.CAST))}

    def draw(self, number: int) -> Picture:
        at = number / FPS
        picture = self._back.copy()
        self._passers(picture, at)
        turn, since = int(at // self.TURN_S), at % self.TURN_S
        arrive, leave = _ease(since / 0.8), _ease((since - 3.05) / 0.9)
        middle = 1680 - arrive * 920 - leave * 1240
        bob = 7 * math.sin(since * 9) * (1 - arrive + leave * (1 - leave) * 4) + 2 * math.sin(since * 2.2)
        lean = 0.02 * math.sin(since * 2.6)
        self._lay_bust(picture, self._busts[turn], middle, 120 + bob, lean)
        raised = _ease((since - 0.72) / 0.42) - _ease((since - 2.62) / 0.4)
        if raised > 0:
            held = self._held[turn]
            sway = math.sin(since * 4.4), math.sin(since * 3.1 + 1), math.sin(since * 5.7 + 2)
            centre = middle - 190 + 15 * sway[0], 372 + (1 - raised) * 700 + 10 * sway[1]
            wrist = centre[0], centre[1] + held.layer.shape[0] / 2 - 60
            _arm(picture, wrist, (middle - 250, HEIGHT + 240), self._sleeves[turn])
            drawing.lay(picture, held.layer, self._matrix(held, centre, sway))
            if self._whole(held, centre, sway):
                self.shown[turn].append(number)
        _caption(picture, "CHỐT PHÁP VÂN · LÀN 2")
        return picture

    def windows(self) -> list[Window]:
        """Known once every picture is drawn."""
        return [
            Window(min(numbers), max(numbers), role.outcome, role.text)
            for role, numbers in zip(people.CAST, self.shown.values(), strict=True)
        ]

    def _passers(self, picture: Picture, at: float) -> None:
        share = at / SECONDS["checkpoint"]
        for start, look in ((0.0, Look((96, 120, 190), (70, 60, 58))), (0.5, Look((190, 170, 120), (50, 52, 60)))):
            along = (share + start) % 1.0
            pose = Pose(-14 + 28 * along, 24.0, 0.0, math.tau * 20 * along)
            drawing.person(picture, self._lens, look, pose)
        along = (share * 2) % 1.0
        helmet = Look((120, 90, 70), (60, 60, 66), hat=(60, 70, 200))
        drawing.rider(picture, self._lens, helmet, (2.4, 70 - 52 * along), bike=(50, 50, 160), away=False)

    def _lay_bust(self, picture: Picture, bust: Picture, middle: float, top: float, lean: float) -> None:
        cos, sin = math.cos(lean), math.sin(lean)
        half = bust.shape[1] / 2
        foot = float(bust.shape[0])
        matrix = np.array(
            [[cos, -sin, middle - cos * half + sin * foot], [sin, cos, top + foot - sin * half - cos * foot], [0, 0, 1]]
        )
        drawing.lay(picture, bust, matrix)

    def _matrix(self, held: _Held, centre: tuple[float, float], sway: tuple[float, float, float]) -> NDArray[Any]:
        """Turned in its plane by a few degrees and tilted a little to the side and back."""
        height, width = held.layer.shape[:2]
        turn, yaw, pitch = 0.07 * sway[0] - 0.04, 0.16 * sway[2] + 0.1, 0.10 * sway[1]
        corners = []
        for x, y in (
            (-width / 2, -height / 2),
            (width / 2, -height / 2),
            (width / 2, height / 2),
            (-width / 2, height / 2),
        ):
            a, b = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
            depth = 1.0 + (a * math.sin(yaw) + b * math.sin(pitch)) / 1500
            corners.append((centre[0] + a * math.cos(yaw) / depth, centre[1] + b * math.cos(pitch) / depth))
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        return cv2.getPerspectiveTransform(source, np.array(corners, np.float32))

    def _whole(self, held: _Held, centre: tuple[float, float], sway: tuple[float, float, float]) -> bool:
        left, top, wide, high = held.code
        corners = np.array(
            [[[left, top], [left + wide, top], [left + wide, top + high], [left, top + high]]], np.float64
        )
        placed = cv2.perspectiveTransform(corners, self._matrix(held, centre, sway).astype(np.float64))[0]
        strip = HEIGHT - WIDTH // 80 * _MARGIN - 4
        return bool((placed >= 0).all() and (placed[:, 0] < WIDTH).all() and (placed[:, 1] < strip).all())


# ---- the quarantine yard --------------------------------------------------------------------------------------------


def _caption(picture: Picture, text: str) -> None:
    wide = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.8, 2)[0][0]
    picture[14:58, 16 : 36 + wide] //= 2
    drawing.words(picture, text, (26, 45), (245, 245, 245), 0.8)


class _Path:
    """A closed walk through ground points, at an even pace, so many times a loop."""

    def __init__(self, points: Sequence[tuple[float, float]], seconds: float) -> None:
        corners = np.array(points, np.float64)
        curve: list[Any] = []
        for index in range(len(corners)):
            a, b, c, d = (corners[(index + step) % len(corners)] for step in (-1, 0, 1, 2))
            curve += [
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3)
                for t in np.linspace(0, 1, 24, endpoint=False)
            ]
        closed = np.array([*curve, curve[0]])
        self._way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
        self._curve = closed
        self._steps = max(1, round(float(self._way[-1]) / 1.35))
        self._seconds = seconds

    def at(self, seconds: float, offset: float = 0.0) -> Pose:
        share = (seconds / self._seconds + offset) % 1.0
        here, ahead = self._place(share), self._place((share + 0.004) % 1.0)
        return Pose(
            here[0], here[1], math.atan2(ahead[1] - here[1], ahead[0] - here[0]), math.tau * share * self._steps
        )

    def _place(self, share: float) -> tuple[float, float]:
        along = share * self._way[-1]
        x, z = (float(np.interp(along, self._way, self._curve[:, axis])) for axis in (0, 1))
        return x, z


def _round(x: float, z: float, wide: float, deep: float) -> list[tuple[float, float]]:
    return [(x + wide * math.cos(a), z + deep * math.sin(a)) for a in np.linspace(0, math.tau, 8, endpoint=False)]


_YARD_LENS = Lens(WIDTH, HEIGHT, 1000.0, 6.0, math.radians(22))
_YARD_GROUND = ((-5.6, 11.0), (5.6, 11.0), (7.6, 22.0), (-7.6, 22.0))
YARD = tuple(_YARD_LENS.fraction(x, z) for x, z in _YARD_GROUND)
"""The polygon that nobody may leave."""
YARD_PERSON_PX = (60, 150)


class Yard:
    """People in isolation take the air inside a painted line; once a loop one goes over it and comes back elsewhere.

    Their clothes are clearly darker or brighter than the ground: a background model takes what is a little darker for
    a shadow.
    """

    def __init__(self) -> None:
        self._back = self._draw_back(np.random.default_rng(7))
        seconds = float(SECONDS["yard"])
        escape = [
            (3.0, 14.2),
            (6.0, 15.2),
            (9.2, 15.6),
            (10.4, 17.4),
            (9.6, 19.6),
            (6.4, 19.8),
            (3.4, 18.0),
            (2.2, 15.8),
        ]
        suit = Look((226, 186, 132), (226, 186, 132), suit=True)
        self._walkers: list[tuple[Look, _Path, float]] = [
            (Look((36, 30, 158), (60, 56, 54), tall_m=1.70), _Path(escape, seconds), 0.0),
            (Look((200, 200, 206), (96, 70, 58), tall_m=1.60), _Path(_round(-2.6, 13.4, 1.7, 0.9), seconds), 0.1),
            (Look((120, 60, 40), (64, 62, 66), tall_m=1.72), _Path(_round(-0.4, 17.0, 2.0, 1.1), seconds), 0.45),
            (Look((50, 84, 40), (58, 58, 70), tall_m=1.58), _Path(_round(-4.4, 18.6, 1.6, 0.9)[::-1], seconds), 0.7),
            (Look((116, 50, 96), (70, 64, 60), tall_m=1.64), _Path(_round(0.9, 12.9, 1.1, 0.7)[::-1], seconds), 0.3),
            # Never behind somebody who must stay: whoever goes by motion alone takes two such bodies for one.
            (suit, _Path([(-8.8, 12.8), (-8.6, 15.4), (-9.4, 18.2), (-9.4, 15.0)], seconds), 0.0),
        ]

    def draw(self, number: int) -> Picture:
        picture = self._back.copy()
        # The line is crossed 8 s into the loop: whoever looks from its start knows the empty ground by then.
        seconds = number / FPS - 4.0
        walkers = [(path.at(seconds, offset), look) for look, path, offset in self._walkers]
        for pose, look in sorted(walkers, key=lambda one: -one[0].z):
            drawing.person(picture, _YARD_LENS, look, pose)
        _caption(picture, "KHU CÁCH LY PHÁP VÂN · SÂN NHÀ B")
        return picture

    @staticmethod
    def _draw_back(dice: np.random.Generator) -> Picture:
        lens = _YARD_LENS
        picture = drawing.gradient(HEIGHT, WIDTH, [(0, (150, 156, 160)), (0.3, (156, 164, 170)), (1, (136, 146, 154))])
        for z in np.arange(6.0, 30.0, 1.5):  # paving: a slightly different grey for every slab
            for x in np.arange(-18.0, 18.0, 1.5):
                shade = int(dice.integers(-5, 6))
                drawing.ground(
                    picture, lens, (x + 0.02, x + 1.48), (z + 0.02, z + 1.48), (150 + shade, 158 + shade, 164 + shade)
                )
        drawing.ground(picture, lens, (-30, 30), (27.2, 29), (86, 130, 96))
        drawing.shadow(
            picture, lens, [(-16, 0, 29), (16, 0, 29), (18, 0, 26.4), (-14, 0, 26.4)], strength=0.35, blur_m=0.2
        )
        drawing.box(picture, lens, ((-16, 16), (0, 8), (29, 38)), (176, 214, 232))
        for floor in (0.0, 3.4):
            drawing.face(
                picture,
                lens,
                [
                    (-16, floor + 3.05, 28.9),
                    (16, floor + 3.05, 28.9),
                    (16, floor + 3.4, 28.9),
                    (-16, floor + 3.4, 28.9),
                ],
                (208, 220, 226),
            )
            for x in np.arange(-15.0, 15.0, 3.0):
                door = [
                    (x, floor, 28.95),
                    (x + 1.0, floor, 28.95),
                    (x + 1.0, floor + 2.2, 28.95),
                    (x, floor + 2.2, 28.95),
                ]
                drawing.face(picture, lens, door, (120, 96, 64))
                pane = [
                    (x + 1.3, floor + 0.9, 28.95),
                    (x + 2.6, floor + 0.9, 28.95),
                    (x + 2.6, floor + 2.2, 28.95),
                    (x + 1.3, floor + 2.2, 28.95),
                ]
                drawing.face(picture, lens, pane, (134, 112, 84))
                u, v, scale = lens.place([(x + 1.95, floor + 1.5, 28.9)])[0]
                cv2.line(
                    picture,
                    (int(u), int(v - 0.6 * scale)),
                    (int(u), int(v + 0.6 * scale)),
                    (214, 220, 224),
                    2,
                    cv2.LINE_AA,
                )
        sign = np.full((90, 800, 3), (52, 40, 178), np.uint8)
        drawing.centred(sign, "KHU CÁCH LY TẬP TRUNG · NHÀ B", (400, 62), (245, 250, 255), 1.3, thick=3)
        drawing.sheet(picture, sign, lens, [(-5, 3.3, 28.8), (5, 3.3, 28.8), (5, 2.3, 28.8), (-5, 2.3, 28.8)])
        corners = [(x, 0.0, z) for x, z in _YARD_GROUND]
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            along = np.array(b) - np.array(a)
            across = np.array([along[2], 0.0, -along[0]]) / np.linalg.norm(along) * 0.09
            for piece in np.arange(0, 1, 1 / 24):
                start, end = np.array(a) + along * piece, np.array(a) + along * (piece + 1 / 24)
                colour = (60, 190, 246) if round(piece * 24) % 2 else (52, 52, 58)
                quad = [start - across, end - across, end + across, start + across]
                drawing.face(picture, lens, [(float(p[0]), 0.0, float(p[2])) for p in quad], colour)
        for x, z in _YARD_GROUND:
            drawing.capsules(picture, lens, [drawing.Capsule((x, 0, z), (x, 1.0, z), 0.05, (60, 60, 210))])
        for x, z in ((-12.2, 21.0), (12.6, 23.6), (-10.6, 13.6)):
            drawing.tree(picture, lens, x, z, dice, tall_m=4.6)
        for x in (-6.6, -9.0):
            drawing.box(picture, lens, ((x, x + 1.6), (0.38, 0.46), (24.2, 24.7)), (70, 110, 150))
        return drawing.grained(picture, dice, sigma=2.0, blur=0.7)


# ---- the street -----------------------------------------------------------------------------------------------------


_STREET_LENS = Lens(WIDTH, HEIGHT, 950.0, 7.0, math.radians(20))
STREET = tuple(_STREET_LENS.fraction(x, z) for x, z in ((-4.6, 9.6), (4.6, 9.6), (7.0, 40.0), (-7.0, 40.0)))
"""The carriageway, and the line across it."""
STREET_LINE = tuple(_STREET_LENS.fraction(x, 17.0) for x in (-7.0, 7.0))
STREET_PERSON_PX = (40, 170)


class _Traffic(NamedTuple):
    kind: Literal["rider", "car", "bus"]
    x: float
    phase: float
    away: bool
    look: int


class Street:
    """Motorbikes, cars and a bus both ways, people on the pavements."""

    SPAN_M = 96.0

    def __init__(self) -> None:
        self._back = self._draw_back(np.random.default_rng(23))
        self._looks = (
            Look((90, 100, 190), (60, 56, 60), hat=(60, 60, 200)),
            Look((190, 160, 110), (90, 70, 56), hat=(220, 220, 220)),
            Look((110, 160, 110), (54, 54, 62), hat=(180, 110, 50)),
            Look((150, 120, 200), (70, 64, 60), hat=(60, 180, 220)),
            Look((200, 200, 200), (60, 60, 70), hat=(70, 70, 70)),
        )
        self._colours: tuple[Colour, ...] = (
            (60, 60, 178),
            (150, 96, 50),
            (214, 214, 216),
            (60, 60, 62),
            (120, 150, 60),
        )
        dice = np.random.default_rng(5)
        self._traffic = [
            _Traffic("bus", 5.0, 0.10, True, 4),
            _Traffic("car", 2.4, 0.42, True, 0),
            _Traffic("car", 2.6, 0.80, True, 2),
            _Traffic("car", -2.4, 0.15, False, 1),
            _Traffic("car", -4.9, 0.60, False, 3),
        ]
        for index in range(14):
            away = index % 2 == 0
            lane = (0.9, 3.9, 6.0)[index % 3] if index % 3 != 1 else 5.6
            aside = float(dice.uniform(-0.25, 0.25))
            phase = (index / 14 + float(dice.uniform(0, 0.03))) % 1.0
            self._traffic.append(_Traffic("rider", (lane if away else -lane) + aside, phase, away, index % 5))
        seconds = float(SECONDS["street"])
        self._walkers = [
            (
                self._looks[index % 5],
                _Path([(x, z), (x + 0.4, z + 6), (x + 1.1, z + 6.3), (x + 0.8, z)], seconds),
                index / 6,
            )
            for index, (x, z) in enumerate(
                ((7.7, 14.0), (-8.9, 13.0), (7.9, 22.0), (-9.0, 21.0), (8.0, 30.0), (-9.0, 29.0))
            )
        ]

    def draw(self, number: int) -> Picture:
        seconds = number / FPS
        picture = self._back.copy()
        things: list[tuple[float, Callable[[], None]]] = []
        for one in self._traffic:
            share = (seconds / SECONDS["street"] + one.phase) % 1.0
            z = -12.0 + self.SPAN_M * (share if one.away else 1.0 - share)
            things.append((z, lambda one=one, z=z: self._vehicle(picture, one, z)))  # type: ignore[misc]  # bound now, on purpose
        for look, path, offset in self._walkers:
            pose = path.at(seconds, offset)
            bare = Look(look.shirt, look.trousers)
            things.append((pose.z, lambda bare=bare, pose=pose: drawing.person(picture, _STREET_LENS, bare, pose)))  # type: ignore[misc]  # as above
        for _, draw in sorted(things, key=lambda one: -one[0]):
            draw()
        _caption(picture, "NÚT GIẢI PHÓNG – KIM ĐỒNG")
        return picture

    def _vehicle(self, picture: Picture, one: _Traffic, z: float) -> None:
        colour = self._colours[one.look]
        if one.kind == "rider":
            if z > 2:
                drawing.rider(picture, _STREET_LENS, self._looks[one.look], (one.x, z), bike=colour, away=one.away)
        elif one.kind == "car":
            drawing.car(picture, _STREET_LENS, colour, one.x, z, away=one.away)
        else:
            drawing.bus(picture, _STREET_LENS, (70, 150, 60), one.x, z, away=one.away)

    @staticmethod
    def _draw_back(dice: np.random.Generator) -> Picture:  # noqa: C901  (a list of things to draw, in order)
        lens = _STREET_LENS
        picture = drawing.gradient(
            HEIGHT,
            WIDTH,
            [(0, (232, 214, 190)), (0.12, (236, 230, 222)), (0.13, (150, 156, 160)), (1, (140, 148, 154))],
        )
        for z in np.arange(120.0, 3.0, -6.0):
            for side in (-1, 1):
                near, far = side * 11.5, side * 22.0
                wall = [
                    (180, 204, 226),
                    (150, 206, 226),
                    (206, 200, 184),
                    (160, 176, 214),
                    (204, 222, 214),
                    (214, 200, 196),
                ][int(dice.integers(6))]
                tall = float(dice.uniform(7, 15))
                drawing.box(
                    picture,
                    lens,
                    ((min(near, far), max(near, far)), (0, tall), (z, z + 5.9)),
                    wall,
                    top=(120, 120, 150),
                )
                drawing.face(
                    picture,
                    lens,
                    [(near, 0, z + 0.4), (near, 0, z + 5.5), (near, 2.7, z + 5.5), (near, 2.7, z + 0.4)],
                    (84, 78, 74),
                )
                for floor in np.arange(3.7, tall - 1.5, 3.2):
                    for along in (z + 0.7, z + 3.3):
                        pane = [
                            (near, floor, along),
                            (near, floor, along + 1.9),
                            (near, floor + 1.7, along + 1.9),
                            (near, floor + 1.7, along),
                        ]
                        drawing.face(picture, lens, pane, (118, 98, 78))
                roof = [
                    (near, 3.3, z + 0.2),
                    (near, 3.3, z + 5.7),
                    (near - side * 1.5, 2.8, z + 5.7),
                    (near - side * 1.5, 2.8, z + 0.2),
                ]
                drawing.face(
                    picture,
                    lens,
                    roof,
                    [(60, 80, 190), (90, 150, 70), (190, 120, 60), (60, 170, 220)][int(dice.integers(4))],
                )
        drawing.ground(picture, lens, (-7.2, 7.2), (1, 160), (92, 92, 90))
        for edge in (-7.2, 7.0):
            drawing.ground(picture, lens, (edge, edge + 0.2), (1, 160), (196, 200, 200))
        for line in (-0.16, 0.06):
            drawing.ground(picture, lens, (line, line + 0.1), (1, 160), (70, 190, 236))
        for dash in np.arange(4.0, 110.0, 6.0):
            for x in (-3.6, 3.6):
                drawing.ground(picture, lens, (x - 0.06, x + 0.06), (dash, dash + 2.6), (206, 210, 210))
        for stripe in np.arange(-6.8, 6.8, 1.1):
            drawing.ground(picture, lens, (stripe, stripe + 0.55), (24.5, 27.5), (206, 210, 210))
        for z in np.arange(58.0, 12.0, -11.0):
            for x in (-10.4, 10.4):
                drawing.tree(picture, lens, x, z, dice, tall_m=5.2)
        return drawing.grained(picture, dice, sigma=2.0, blur=0.7)


# ---- clips ----------------------------------------------------------------------------------------------------------


def _fingerprint(name: Name, width: int) -> str:
    digest = hashlib.sha256(f"{name} {width}".encode())
    for source in (Path(__file__), Path(drawing.__file__), Path(people.__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def clip(name: Name, cache: Path, *, width: int = WIDTH) -> Path:
    """The scene as an H.264 file in `cache`, rendered when it is not there yet; `<clip>.json` lies beside it."""
    folder = cache / _fingerprint(name, width)
    path = folder / f"{name}.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        render(name, path, width=width)
    return path


def windows(path: Path) -> list[Window]:
    """In which pictures of a checkpoint's clip each code is whole."""
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return [Window(**window) for window in told["windows"]]


def render(name: Name, path: Path, *, width: int = WIDTH) -> None:
    """Draw and encode; nobody ever sees half a clip."""
    cv2.setNumThreads(1)
    makers: dict[Name, Callable[[], Checkpoint | Yard | Street]] = {
        "checkpoint": Checkpoint,
        "yard": Yard,
        "street": Street,
    }
    scene = makers[name]()
    height = width * HEIGHT // WIDTH // 2 * 2
    count = SECONDS[name] * FPS
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".mp4")
    os.close(handle)
    try:
        with av.open(temporary, "w", options={"movflags": "faststart"}) as out:
            options = {"preset": "veryfast", "bf": "0", "refs": "1", "crf": "24", "maxrate": "3M", "bufsize": "3M"}
            stream = out.add_stream("libx264", rate=FPS, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.gop_size = FPS
            stream.codec_context.thread_count = 2
            for number in range(count):
                picture = scene.draw(number)
                if width != WIDTH:
                    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
                stamp(picture, number)
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        shown = [window._asdict() for window in scene.windows()] if isinstance(scene, Checkpoint) else []
        told = {"fps": FPS, "frames": count, "size": [width, height], "windows": shown}
        path.with_suffix(".json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        Path(temporary).rename(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.city.scene", description="Draw the demo's cameras.")
    parser.add_argument("out", type=Path, help="cache folder; the clips' paths are printed")
    parser.add_argument("scenes", nargs="+", choices=list(SECONDS))
    parser.add_argument("--width", type=int, default=WIDTH)
    options = parser.parse_args()
    for name in options.scenes:
        print(clip(name, options.out, width=options.width), flush=True)


if __name__ == "__main__":
    main()
