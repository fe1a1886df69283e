"""A checkpoint's camera, simulated: a phone or card with a code, held up in bad light, and exactly what it says.

Every sight comes from a seed. Conditions are the rows of the table of single conditions; light adds up in the scene,
then the lens blurs, then the sensor amplifies and adds its noise, then a codec takes its share.
"""

import io
import math
import random
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import segno
from numpy.typing import NDArray

from scripts.city.people import Person, cccd_text, personal_text, residents

Pixels = NDArray[np.uint8]
Corners = NDArray[np.float64]

_BASE45 = string.digits + string.ascii_uppercase + " $%*+-./:"
_DISTRICTS = ("Hoàng Mai", "Hai Bà Trưng", "Thanh Xuân", "Cầu Giấy", "Nam Từ Liêm", "Long Biên", "Đống Đa")

CROP_PX = 560
FRAME_PX = (1080, 1920)
SUPERSAMPLED = 4
TEXTURE_PX = 12
"""Of a module in the picture that is held up."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What lies between a code and its picture."""

    defocus_px: float = 0.0
    motion_px: float = 0.0
    gain: float = 1.0
    noise: float = 2.0
    glare: float = 0.0
    tilt_deg: float | None = None
    screen: bool = False
    jpeg: int | None = None


CONDITIONS: Mapping[str, tuple[Condition, ...]] = {
    "clean": (Condition(),),
    "defocus 1.0": (Condition(defocus_px=1.0),),
    "defocus 1.5": (Condition(defocus_px=1.5),),
    "defocus 2.0": (Condition(defocus_px=2.0),),
    "motion 3": (Condition(motion_px=3.0),),
    "motion 5": (Condition(motion_px=5.0),),
    "gain .25": (Condition(gain=0.25, noise=6.0),),
    "gain .12": (Condition(gain=0.12, noise=6.0),),
    "glare .8": (Condition(glare=0.8),),
    "tilt": (Condition(tilt_deg=45.0), Condition(tilt_deg=60.0)),
    "moire": (Condition(screen=True),),
    "jpeg 20": (Condition(jpeg=20),),
}
"""All rows but saturating glare, which nobody can read."""


def mixed(one: Condition, two: Condition) -> Condition:
    """Both at once: what differs from a clean picture wins."""
    clean = Condition()
    return replace(one, **{name: value for name, value in vars(two).items() if value != getattr(clean, name)})


@dataclass(frozen=True)
class Held:
    """A code that somebody holds up."""

    kind: str
    payload: bytes
    modules: NDArray[np.bool_]

    @property
    def side(self) -> int:
        return len(self.modules)


@dataclass(frozen=True)
class Sight:
    picture: Pixels
    held: Held | None
    conditions: tuple[str, ...]
    corners: Corners | None
    """Of the code without its quiet zone, pixels."""

    @property
    def px_per_module(self) -> float:
        if self.held is None or self.corners is None:
            return 0.0
        return float(np.mean(np.linalg.norm(self.corners - np.roll(self.corners, 1, 0), axis=1))) / self.held.side


def _cccd(people: Person, rng: random.Random) -> str:
    """A chip card as most are: with the old number and a whole address, which makes versions 6 to 8."""
    old = f"{rng.randrange(10**9):09d}" if rng.random() < 0.8 else ""
    home = f"Số {rng.randint(1, 400)}, Tổ {rng.randint(1, 40)}, {people.ward}, {rng.choice(_DISTRICTS)}, Hà Nội"
    fields = cccd_text(people).split("|")
    return "|".join((fields[0], old, *fields[2:5], home, fields[6]))


def _hcert(_person: Person, rng: random.Random) -> str:
    """What a vaccine passport is to a lens: base45 of something compressed, versions 17 to 20 at level Q."""
    return "HC1:" + "".join(rng.choices(_BASE45, k=rng.randint(480, 690)))


def _personal(person: Person, rng: random.Random) -> str:
    """As the phone shows it by default: masked."""
    number, name, birth, *rest = personal_text(person).split("|")
    shown = "|".join(("*" * 6 + number[6:], name, birth[:4] + "-**-**", *rest))
    return shown if rng.random() < 0.5 else "|".join((number, name, birth, *rest))


def _bhyt(person: Person, rng: random.Random) -> str:
    name, home = person.name.encode().hex(), f"{person.ward}, Hà Nội".encode().hex()
    card, clinic = f"GD4{rng.randrange(10**12):012d}", f"01 - {rng.randint(1, 99):03d}"
    sex = "1" if person.sex == "male" else "2"
    check = f"{rng.getrandbits(64):016x}-{rng.randint(1000, 9999)}"
    fields = (card, name, f"{person.birth:%d/%m/%Y}", sex, home, clinic, "01/01/2021", "-", "05/01/2021", check)
    return "|".join((*fields, "-", "4", "01/05/2023", check, "$"))


def _venue(_person: Person, rng: random.Random) -> str:
    return f"https://qr.tokhaiyte.vn/v/{rng.getrandbits(40):010x}"


@dataclass(frozen=True)
class Kind:
    text: Callable[[Person, random.Random], str]
    level: str
    versions: range


KINDS: Mapping[str, Kind] = {
    "cccd": Kind(_cccd, "m", range(6, 9)),
    "hcert": Kind(_hcert, "q", range(17, 21)),
    "personal": Kind(_personal, "m", range(4, 8)),
    "bhyt": Kind(_bhyt, "m", range(8, 14)),
    "venue": Kind(_venue, "m", range(2, 5)),
}
IN_THE_MIX = ("cccd", "hcert")


class Stage:
    """Draws sights. One seed, the same sights on every machine with the same development data."""

    def __init__(self, seed: int, backgrounds: Path | None) -> None:
        self._dice = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._people = residents(500, random.Random(seed + 1))
        self._pictures = list(_pictures(backgrounds)) if backgrounds else []
        self._grain = self._noise.standard_normal(1 << 22).astype(np.float32)

    def held(self, kind: str) -> Held:
        how = KINDS[kind]
        while True:
            text = how.text(self._dice.choice(self._people), self._dice)
            code = segno.make_qr(text, error=how.level, boost_error=False)
            if int(code.version) in how.versions:
                return Held(kind, text.encode(), np.array([[bool(dark) for dark in row] for row in code.matrix]))

    def crops(self, count: int, kinds: Sequence[str] = IN_THE_MIX) -> Iterator[Sight]:
        """The mix: every condition as often as any other, two of them in every third picture."""
        for i in range(count):
            yield self._sight((CROP_PX, CROP_PX), kinds[i % len(kinds)], i // len(kinds))

    def frames(self, count: int, kinds: Sequence[str] = IN_THE_MIX) -> Iterator[Sight]:
        for i in range(count):
            yield self._sight(FRAME_PX, kinds[i % len(kinds)], i // len(kinds))

    def empty(self, count: int, size: tuple[int, int]) -> Iterator[Sight]:
        for _ in range(count):
            condition = Condition()
            picture = self._sensor(self._background(size).astype(np.float32), condition)
            yield Sight(picture, None, (), None)

    def sequences(self, count: int, frames: int = 16, kinds: Sequence[str] = IN_THE_MIX) -> Iterator[list[Sight]]:
        """A hand that shakes, a focus that drifts, a glare that wanders; every other one through H.264 at 4 Mb/s."""
        for i in range(count):
            yield self._sequence(kinds[i % len(kinds)], frames, h264=bool(i // len(kinds) % 2))

    def _sight(self, size: tuple[int, int], kind: str, turn: int) -> Sight:
        names = list(CONDITIONS)
        chosen = [names[turn % len(names)]]
        if self._dice.random() < 1 / 3:
            chosen.append(self._dice.choice([name for name in names[1:] if name.split()[0] != chosen[0].split()[0]]))
        condition = Condition()
        for name in chosen:
            condition = mixed(condition, self._dice.choice(CONDITIONS[name]))
        held = self.held(kind)
        sight = self.show(held, size, self._dice.uniform(80.0, 280.0), condition)
        return replace(sight, conditions=tuple(chosen))

    def show(self, held: Held, size: tuple[int, int], side_px: float, condition: Condition) -> Sight:
        """This code, so large, somewhere in a picture."""
        pose = self._pose(size, side_px, condition)
        scene, shown = self._scene(self._background(size), held, pose, condition)
        picture = self._jpeg(self._sensor(self._lens(scene, condition), condition), condition)
        return Sight(picture, held, (), shown)

    def _pose(self, size: tuple[int, int], side: float, condition: Condition) -> "_Pose":
        tilt = self._dice.uniform(0.0, 20.0) if condition.tilt_deg is None else condition.tilt_deg
        margin = min(0.85 * side, 0.48 * min(size))
        return _Pose(
            x=self._dice.uniform(margin, size[1] - margin),
            y=self._dice.uniform(margin, size[0] - margin),
            side=side,
            turn=self._dice.uniform(0.0, 2 * math.pi),
            tilt=math.radians(tilt),
            axis=self._dice.uniform(0.0, 2 * math.pi),
            white=self._dice.uniform(190.0, 235.0),
            black=self._dice.uniform(15.0, 45.0),
            phone_px=self._dice.uniform(3.0, 8.0),
            glare=(self._dice.uniform(-0.3, 0.3), self._dice.uniform(-0.3, 0.3), self._dice.uniform(0.25, 0.5)),
        )

    def _scene(self, ground: Pixels, held: Held, pose: "_Pose", condition: Condition) -> tuple[NDArray[Any], Corners]:
        """The light of the scene (0..255 and beyond where it glares) and the code's corners in it."""
        scene = ground.astype(np.float32)
        texture, body = _texture(held, pose, screen=condition.screen)
        corners = pose.project(np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * body[::-1])
        height, width = ground.shape
        left, top = np.floor(np.clip(corners.min(0) - 2, 0, (width, height))).astype(int)
        right, bottom = np.ceil(np.clip(corners.max(0) + 2, 0, (width, height))).astype(int)
        s = SUPERSAMPLED
        h, w = texture.shape
        there = ((corners - (left, top)) * s - 0.5).astype(np.float32)
        here = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform(here, there)
        span = ((right - left) * s, (bottom - top) * s)
        seen = cv2.warpPerspective(texture, matrix, span, flags=cv2.INTER_LINEAR)
        cover = cv2.warpPerspective(np.ones_like(texture), matrix, span, flags=cv2.INTER_NEAREST)
        size = (right - left, bottom - top)
        seen = cv2.resize(seen * cover, size, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(cover, size, interpolation=cv2.INTER_AREA)
        part = scene[top:bottom, left:right]
        part[:] = part * (1.0 - cover) + seen
        if condition.glare:
            gx, gy, spread = pose.glare
            y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
            far = (x - pose.x - gx * pose.side) ** 2 + (y - pose.y - gy * pose.side) ** 2
            part += 255.0 * condition.glare * np.exp(-far / (2 * (spread * pose.side) ** 2)) * cover
        return scene, pose.project(np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]))

    def _lens(self, scene: NDArray[Any], condition: Condition) -> NDArray[Any]:
        if condition.defocus_px:
            scene = cv2.filter2D(scene, -1, _disk(condition.defocus_px))
        if condition.motion_px:
            scene = cv2.filter2D(scene, -1, _streak(condition.motion_px, self._dice.uniform(0.0, math.pi)))
        return scene

    def _sensor(self, scene: NDArray[Any], condition: Condition) -> Pixels:
        """Shot noise grows with the root of the light, read noise does not."""
        light = np.clip(scene, 0.0, 255.0) * condition.gain
        start = int(self._noise.integers(0, self._grain.size - light.size))
        grain = self._grain[start : start + light.size].reshape(light.shape)
        light = light + grain * np.sqrt(condition.noise**2 + 0.03 * light)
        return np.asarray(np.clip(light + 0.5, 0, 255), np.uint8)

    def _jpeg(self, picture: Pixels, condition: Condition) -> Pixels:
        if condition.jpeg is None:
            return picture
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, condition.jpeg])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)

    def _sequence(self, kind: str, frames: int, *, h264: bool) -> list[Sight]:
        held = self.held(kind)
        ground = self._background(FRAME_PX)
        dark = self._dice.random() < 0.25
        shiny = self._dice.random() < 1 / 3
        still = Condition(
            gain=0.25 if dark else 1.0, noise=6.0 if dark else 2.0, glare=0.8 if shiny else 0.0,
            screen=self._dice.random() < 0.5,
            tilt_deg=self._dice.uniform(0.0, 50.0),
        )  # fmt: skip
        pose = self._pose(FRAME_PX, self._dice.uniform(70.0, 220.0), still)
        focus, focus_speed = self._dice.uniform(0.3, 2.5), self._dice.uniform(-0.12, 0.12)
        speed = np.array([self._dice.gauss(0, 3.0), self._dice.gauss(0, 3.0)])
        pictures, sights = [], []
        for _ in range(frames):
            speed = 0.7 * speed + np.array([self._dice.gauss(0, 2.0), self._dice.gauss(0, 2.0)])
            focus = min(max(focus + focus_speed + self._dice.gauss(0, 0.1), 0.0), 3.0)
            gx, gy, spread = pose.glare
            pose = replace(
                pose,
                x=min(max(pose.x + speed[0], pose.side), FRAME_PX[1] - pose.side),
                y=min(max(pose.y + speed[1], pose.side), FRAME_PX[0] - pose.side),
                turn=pose.turn + self._dice.gauss(0, 0.02),
                tilt=abs(pose.tilt + self._dice.gauss(0, 0.03)),
                glare=(gx + self._dice.gauss(0, 0.05), gy + self._dice.gauss(0, 0.05), spread),
            )
            # the shutter is open for half the time between two pictures
            condition = replace(still, defocus_px=focus, motion_px=float(np.hypot(*speed)) / 2)
            scene, shown = self._scene(ground, held, pose, condition)
            picture = self._sensor(self._lens(scene, condition), condition)
            pictures.append(picture if h264 else self._jpeg(picture, condition))
            names = tuple(name for name, on in (("dark", dark), ("shiny", shiny), ("h264", h264)) if on)
            sights.append(Sight(picture, held, names, shown))
        if h264:
            pictures = _through_h264(pictures)
        return [replace(sight, picture=picture) for sight, picture in zip(sights, pictures, strict=True)]

    def _background(self, size: tuple[int, int]) -> Pixels:
        """A street or a crowd, from somewhere in one of the pictures; without any, a clutter of shapes."""
        height, width = size
        if not self._pictures:
            return self._clutter(size)
        picture = self._dice.choice(self._pictures)
        scale = max(height / picture.shape[0], width / picture.shape[1], self._dice.uniform(0.8, 1.6))
        bigger = cv2.resize(picture, None, fx=scale * 1.001, fy=scale * 1.001, interpolation=cv2.INTER_LINEAR)
        top = self._dice.randint(0, bigger.shape[0] - height)
        left = self._dice.randint(0, bigger.shape[1] - width)
        return np.ascontiguousarray(bigger[top : top + height, left : left + width]).astype(np.uint8)

    def _clutter(self, size: tuple[int, int]) -> Pixels:
        height, width = size
        picture = np.full(size, self._dice.randint(60, 160), np.uint8)
        for _ in range(height * width // 6000):
            x, y = self._dice.randrange(width), self._dice.randrange(height)
            w, h = self._dice.randint(2, 90), self._dice.randint(2, 90)
            shade = self._dice.randint(20, 230)
            if self._dice.random() < 0.5:
                cv2.rectangle(picture, (x, y), (x + w, y + h), (shade,), self._dice.choice((-1, 1, 3)))
            else:
                cv2.putText(picture, f"{self._dice.randrange(10**6)}", (x, y), 0, w / 60, (shade,), 2)
        return cv2.GaussianBlur(picture, (0, 0), 0.7).astype(np.uint8)


@dataclass(frozen=True)
class _Pose:
    """Where and how a code is held, in pixels of the picture; angles in radians."""

    x: float
    y: float
    side: float
    turn: float
    tilt: float
    axis: float
    white: float
    black: float
    phone_px: float
    """Of a module on a phone's own screen."""
    glare: tuple[float, float, float]
    """Across, down and how wide, in sides of the code."""

    def project(self, points: NDArray[Any]) -> NDArray[Any]:
        """Points of the code's plane (its side is 1) as the camera sees them."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        flat = points @ np.array([(cos, sin), (-sin, cos)])
        along, across = (
            np.array([math.cos(self.axis), math.sin(self.axis)]),
            np.array([-math.sin(self.axis), math.cos(self.axis)]),
        )
        a, b = flat @ along, flat @ across
        far = 6.0  # of its own sides away from the lens: perspective is felt, but mildly
        shrink = far / (far + b * math.sin(self.tilt))
        seen = (a * shrink)[:, None] * along + (b * math.cos(self.tilt) * shrink)[:, None] * across
        return np.asarray(seen * self.side + (self.x, self.y))


def _texture(held: Held, pose: _Pose, *, screen: bool) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """What is held up, TEXTURE_PX a module: a code in its quiet zone on a phone; its height and width in codes."""
    p = TEXTURE_PX
    light = np.where(held.modules, pose.black, pose.white).astype(np.float32)
    code = np.repeat(np.repeat(light, p, 0), p, 1)
    quiet = cv2.copyMakeBorder(code, 4 * p, 4 * p, 4 * p, 4 * p, cv2.BORDER_CONSTANT, value=(pose.white,))
    if screen:
        period = p / pose.phone_px
        at = np.arange(quiet.shape[0], dtype=np.float32) / period % 1.0
        lines = np.where(at < 0.8, 1.12, 0.5)[:, None]
        stripes = np.where(at % (1 / 3) < 0.25, 1.08, 0.75)[None, :]  # three sub-pixels with a gap after each
        quiet = quiet * (lines * stripes).astype(np.float32)
    body = cv2.copyMakeBorder(quiet, 14 * p, 14 * p, 2 * p, 2 * p, cv2.BORDER_CONSTANT, value=(25.0,))
    return np.asarray(body, np.float32), (body.shape[0] / code.shape[0], body.shape[1] / code.shape[1])


def _disk(radius: float) -> NDArray[np.float32]:
    reach = math.ceil(radius)
    fine = 8
    steps = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = (steps[:, None] ** 2 + steps[None, :] ** 2 <= radius**2).astype(np.float32)
    kernel = cv2.resize(inside, (2 * reach + 1, 2 * reach + 1), interpolation=cv2.INTER_AREA)
    return np.asarray(kernel / kernel.sum(), np.float32) if kernel.sum() else np.ones((1, 1), np.float32)


def _streak(length: float, angle: float) -> NDArray[np.float32]:
    reach = math.ceil(length / 2) + 1
    fine = 8
    side = (2 * reach + 1) * fine
    middle = side / 2
    half = np.array([math.cos(angle), math.sin(angle)]) * length * fine / 2
    line = np.zeros((side, side), np.float32)
    start, end = np.round(middle - half).astype(int), np.round(middle + half).astype(int)
    cv2.line(line, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), (1.0,), fine // 2)
    kernel = cv2.resize(line, (2 * reach + 1, 2 * reach + 1), interpolation=cv2.INTER_AREA)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _through_h264(pictures: Sequence[Pixels], bit_rate: int = 4_000_000) -> list[Pixels]:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=15, options={"preset": "veryfast", "tune": "zerolatency"})
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt, stream.bit_rate = "yuv420p", bit_rate
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode())
    out.seek(0)
    with av.open(out, "r") as packed:
        return [frame.to_ndarray(format="gray").astype(np.uint8) for frame in packed.decode(video=0)]


def _pictures(folder: Path) -> Iterator[Pixels]:
    """Street photos and every hundredth picture of the videos."""
    for photo in sorted((folder / "crowd" / "images").glob("*.jpg")):
        picture = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
        if picture is not None:
            yield picture.astype(np.uint8)
    for clip in sorted((folder / "video").glob("*.*")):
        with av.open(str(clip)) as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i % 100 == 0:
                    yield frame.to_ndarray(format="gray").astype(np.uint8)
                if i >= 300:
                    break
