"""Crops to learn from: people of one height, on many grounds, in all kinds of light."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.school.scenes import Boxes, Picture, Scene

SIDE = 224
PERSON_PX = 44
"""The height to which a camera's people are brought: scale is taken out of the problem."""
TALLEST, SMALLEST = 100.0, 20.0


@dataclass(frozen=True)
class Crop:
    picture: Picture
    people: Boxes
    unsure: Boxes


def _tall(rng: np.random.Generator) -> float:
    return float(PERSON_PX * np.exp(rng.normal(0.0, 0.33)).clip(0.55, 1.9))


def _cut(scene: Scene, scale: float, corner: tuple[float, float], squeeze: float, beyond: Picture | None) -> Crop:
    """The SIDE x SIDE part of the scaled scene; `beyond` shows where it ends, else grey."""
    left, top = corner
    matrix = np.array([[scale * squeeze, 0.0, -left], [0.0, scale, -top]])
    shrunk = scene.picture
    if scale < 0.5:  # a plain warp would alias
        step = max(0.05, scale * 1.01)
        shrunk = np.asarray(cv2.resize(shrunk, None, fx=step, fy=step, interpolation=cv2.INTER_AREA), np.uint8)
        ratio = np.array([scene.picture.shape[1] / shrunk.shape[1], scene.picture.shape[0] / shrunk.shape[0]])
        matrix[:, :2] *= ratio
    picture = np.full((SIDE, SIDE, 3), 114, np.uint8) if beyond is None else beyond.copy()
    cv2.warpAffine(shrunk, matrix, (SIDE, SIDE), picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    move = np.array([left, top, left, top])
    zoom = np.array([scale * squeeze, scale, scale * squeeze, scale])
    people, unsure = scene.people * zoom - move, scene.unsure * zoom - move
    return Crop(np.asarray(picture, np.uint8), people, unsure)


def _clean(crop: Crop) -> Crop:
    """People cut by the edge or out of range become unsure."""
    people = crop.people
    inside = np.clip(people, 0, SIDE)
    area = np.prod(people[:, 2:] - people[:, :2], axis=1)
    seen = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / np.maximum(area, 1e-9)
    tall = people[:, 3] - people[:, 1]
    good = (seen >= 0.6) & (tall >= SMALLEST) & (tall <= TALLEST)
    rest = np.concatenate([people[~good & (seen > 0.0)], crop.unsure])
    return Crop(crop.picture, inside[good], np.clip(rest, 0, SIDE))


def from_scene(scene: Scene, rng: np.random.Generator, beyond: Picture | None = None) -> Crop:
    """A crop around one of the scene's people, or anywhere where there is nobody."""
    high, wide = scene.picture.shape[:2]
    squeeze = float(rng.uniform(0.9, 1.15))
    if len(scene.people):
        box = scene.people[rng.integers(len(scene.people))]
        scale = _tall(rng) / (box[3] - box[1])
        middle = (box[:2] + box[2:]) / 2 * (scale * squeeze, scale)
        corner = middle - rng.uniform(0.15, 0.85, 2) * SIDE
        # as much of the scene as there is
        room = np.array([wide * scale * squeeze, high * scale]) - SIDE
        left, top = np.clip(corner, np.minimum(room, 0), np.maximum(room, 0))
    else:
        scale = float(np.exp(rng.uniform(np.log(0.25), np.log(1.0)))) * max(1.0, SIDE / min(high, wide))
        left, top = rng.uniform(0, 1, 2) * np.maximum((wide * scale * squeeze - SIDE, high * scale - SIDE), 1)
    return _cut(scene, scale, (float(left), float(top)), squeeze, beyond)


class Pastes:
    """People cut out of their windows, put on other grounds with soft edges."""

    def __init__(self, windows: list[Scene], grounds: list[Scene], negatives: list[Picture]) -> None:
        self._windows, self._grounds, self._negatives = windows, grounds, negatives

    def crop(self, rng: np.random.Generator) -> Crop:
        picture = self.ground(rng).astype(np.float32)
        people: list[NDArray[np.float64]] = []
        base = _tall(rng)
        spot = rng.uniform(0, SIDE, 2)
        for _ in range(int(rng.integers(0, 9))):
            beside = spot + rng.normal(0, (0.35 * base, 0.2 * base))  # groups overlap
            spot = rng.uniform(0, SIDE, 2) if rng.random() < 0.5 else beside
            box = self._paste(picture, spot, base * float(np.exp(rng.normal(0, 0.15))), rng)
            if box is None:
                continue
            hidden = [self._hides(box, other) for other in people]
            people = [other for other, share in zip(people, hidden, strict=True) if share < 0.65]
            people.append(box)
        return Crop(picture.clip(0, 255).astype(np.uint8), np.array(people).reshape(-1, 4), np.zeros((0, 4)))

    def ground(self, rng: np.random.Generator) -> Picture:
        """Nobody in it."""
        if rng.random() < 0.4:
            return self._tiles(rng)
        return from_scene(self._grounds[rng.integers(len(self._grounds))], rng, self._tiles(rng)).picture

    def mosaic(self, rng: np.random.Generator) -> Crop:
        """Windows side by side, as they are: their own ground around each person."""
        picture = np.full((SIDE, SIDE, 3), 114, np.uint8)
        people, unsure, top = [], [], 0
        while top < SIDE:
            tall = _tall(rng)
            rows = round(tall / 96 * 128)
            left = -int(rng.integers(0, 20))
            while left < SIDE:
                positive = rng.random() < 0.55
                source = self._windows[rng.integers(len(self._windows))] if positive else None
                window = source.picture if source else self._negatives[rng.integers(len(self._negatives))]
                columns = max(8, round(rows * window.shape[1] / window.shape[0]))
                small = cv2.resize(window, (columns, rows), interpolation=cv2.INTER_AREA)
                flip = rng.random() < 0.5
                small = small[:, ::-1] if flip else small
                x1, x2, y2 = max(left, 0), min(left + columns, SIDE), min(top + rows, SIDE)
                if x2 > x1:
                    picture[top:y2, x1:x2] = small[: y2 - top, x1 - left : x2 - left]
                if source is not None:
                    box = source.people[0] * rows / window.shape[0]
                    if flip:
                        box = np.array([columns - box[2], box[1], columns - box[0], box[3]])
                    people.append(box + np.array([left, top, left, top]))
                    # bystanders in the window's margin have no box
                    unsure += [
                        np.array([left, top, people[-1][0], top + rows]),
                        np.array([people[-1][2], top, left + columns, top + rows]),
                    ]
                left += columns
            top += rows
        return Crop(picture, np.array(people).reshape(-1, 4), np.array(unsure).reshape(-1, 4))

    def _tiles(self, rng: np.random.Generator) -> Picture:
        scale = float(rng.uniform(0.6, 2.5))
        wide, high = max(24, round(64 * scale)), max(48, round(128 * scale))
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        for top in range(0, SIDE, high):
            for left in range(0, SIDE, wide):
                tile = cv2.resize(self._negatives[rng.integers(len(self._negatives))], (wide, high))
                part = picture[top : top + high, left : left + wide]
                part[:] = tile[: part.shape[0], : part.shape[1]]
        return picture

    def _paste(
        self, picture: NDArray[np.float32], spot: NDArray[np.float64], tall: float, rng: np.random.Generator
    ) -> NDArray[np.float64] | None:
        scene = self._windows[rng.integers(len(self._windows))]
        box = scene.people[0]
        scale = tall / (box[3] - box[1])
        margin = 0.08 * (box[3] - box[1])
        x1, y1 = np.maximum(box[:2] - margin, 0).astype(int)
        x2, y2 = (box[2:] + margin).astype(int)
        cut = scene.picture[y1:y2, x1:x2]
        squeeze = float(rng.uniform(0.9, 1.15))
        size = max(4, round(cut.shape[1] * scale * squeeze)), max(8, round(cut.shape[0] * scale))
        small = cv2.resize(cut, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        inner = (box - (x1, y1, x1, y1)) * (scale * squeeze, scale, scale * squeeze, scale)
        if rng.random() < 0.5:
            small = small[:, ::-1]
            inner = np.array([size[0] - inner[2], inner[1], size[0] - inner[0], inner[3]])
        small = small * float(rng.uniform(0.75, 1.2)) + float(rng.uniform(-12, 12))
        y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
        centre, half = (inner[:2] + inner[2:]) / 2, (inner[2:] - inner[:2]) / 2
        # a rounded rectangle with a soft edge: corners hold mostly ground
        apart = (np.abs((x - centre[0]) / half[0]) ** 3 + np.abs((y - centre[1]) / half[1]) ** 3) ** (1 / 3)
        alpha = np.clip((1.12 - apart) / 0.25, 0.0, 1.0)[..., None]
        left, top = (spot - np.array(size) / 2).astype(int)
        a, b = max(left, 0), max(top, 0)
        c, d = min(left + size[0], SIDE), min(top + size[1], SIDE)
        if c - a < 6 or d - b < 10:
            return None
        mask, part = alpha[b - top : d - top, a - left : c - left], small[b - top : d - top, a - left : c - left]
        picture[b:d, a:c] = picture[b:d, a:c] * (1 - mask) + part * mask
        return np.asarray(inner + np.array([left, top, left, top]))

    @staticmethod
    def _hides(front: NDArray[np.float64], back: NDArray[np.float64]) -> float:
        low, high = np.maximum(front[:2], back[:2]), np.minimum(front[2:], back[2:])
        return float(np.prod(np.clip(high - low, 0, None)) / np.prod(back[2:] - back[:2]))


def weather(crop: Crop, rng: np.random.Generator) -> Crop:
    """Light, colour, focus and compression of cheap cameras; left and right are the same."""
    picture = crop.picture
    people, unsure = crop.people, crop.unsure
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        people, unsure = (np.column_stack([SIDE - b[:, 2], b[:, 1], SIDE - b[:, 0], b[:, 3]]) for b in (people, unsure))
    light = picture.astype(np.float32)
    if rng.random() < 0.15:
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)  # infra-red
    elif rng.random() < 0.5:
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * float(rng.uniform(0.3, 1.4))
        light = light * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    middle = float(light.mean())
    light = (
        (light - middle) * float(rng.uniform(0.55, 1.3))
        + middle * float(rng.uniform(0.6, 1.35))
        + float(rng.uniform(-15, 15))
    )
    if rng.random() < 0.35:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.4, 1.1))), np.float32)
    if rng.random() < 0.4:
        light = light + rng.normal(0, float(rng.uniform(2, 9)), light.shape).astype(np.float32)
    done = np.ascontiguousarray(light.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.4:
        _, packed = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        done = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return Crop(done, people, unsure)


class Lessons:
    """An endless, seeded supply: lesson `n` is the same on every run."""

    def __init__(self, scenes: list[Scene], windows: list[Scene], negatives: list[Picture], *, seed: int) -> None:
        self._with = [scene for scene in scenes if len(scene.people)]
        self._without = [scene for scene in scenes if not len(scene.people) and not len(scene.unsure)]
        self._pastes = Pastes(windows, self._without, negatives)
        self._seed = seed

    def lesson(self, number: int) -> Crop:
        rng = np.random.default_rng([self._seed, number])
        kind = rng.random()
        if kind < 0.35:
            beyond = self._pastes.ground(rng)
            crop = from_scene(self._with[rng.integers(len(self._with))], rng, beyond)
        elif kind < 0.45:
            crop = Crop(self._pastes.ground(rng), np.zeros((0, 4)), np.zeros((0, 4)))
        elif kind < 0.60:
            crop = self._pastes.mosaic(rng)
        else:
            crop = self._pastes.crop(rng)
        return weather(_clean(crop), rng)
