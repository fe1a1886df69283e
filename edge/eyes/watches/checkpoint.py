"""A lane where people show a code to the camera: one scan a person, however long the code is held up."""

import hmac
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.eyes.frame import Frame, Pixels
from edge.eyes.reader import Reads
from edge.settings import Camera, Zone
from edge.sighting import Reading, Scanned, Sighting
from models.aim import Advice, Guide
from models.passes.classify import classify
from models.vision.lane import Lane
from models.vision.qr import Code, Corners, Located, QrReader, Region, clip_region, side_px
from models.vision.stir import Stir
from models.vision.symptoms import symptoms
from models.vision.zones import signed_distance


@dataclass
class _Shown:
    """A code that was scanned; it stays known until it has been out of sight for the camera's hold."""

    lane: str | None
    corners: Corners
    """Where it was seen last."""
    last_s: float
    told_s: float
    repeat: int = 0


@dataclass
class _Stop:
    """Codes of one vehicle."""

    name: str
    last_s: float
    """When a code of it was in view, or something stood in the lane."""


class _Stops:
    """Vehicles in the lanes of one camera, one after the other."""

    EMPTY_S = 2.0
    """The lane must be empty for so long, without a code: the next one is another vehicle's."""
    LONGEST_S = 120.0
    """Without a code: a lane that never looks empty does not join the day's vehicles into one."""

    def __init__(self, lanes: list[Zone], key: bytes) -> None:
        self._lanes: dict[str | None, Lane] = {zone.id: Lane(np.array(zone.polygon)) for zone in lanes}
        if not lanes:
            self._lanes[None] = Lane()
        self._key = key
        self._stops: dict[str | None, _Stop] = {}
        self._coded_s: dict[str | None, float] = {}
        self._count = 0

    def see(self, y: Pixels, now: float) -> None:
        for lane, look in self._lanes.items():
            is_empty = look.see(y, now)
            stop = self._stops.get(lane)
            if stop is None:
                continue
            if not is_empty:
                stop.last_s = now
            if now - stop.last_s >= self.EMPTY_S or now - self._coded_s[lane] >= self.LONGEST_S:
                del self._stops[lane]

    def name(self, lane: str | None, now: float) -> str:
        """Of the vehicle in this lane, one of whose codes is in view."""
        if lane not in self._stops:
            self._count += 1
            named = hmac.digest(self._key, f"stop {self._count}".encode(), "sha256")[:8].hex()
            self._stops[lane] = _Stop(named, now)
        self._stops[lane].last_s = self._coded_s[lane] = now
        return self._stops[lane].name


class CheckpointWatch:
    """Every frame that stirs is read, and for a while after; a still one twice a second."""

    detector: str | None = None
    bodies = None

    STIRRED_S = 2.0
    """For how long after the last change a picture is still read in full: a hand that holds still is no empty lane."""
    IDLE_LOOK_S = 0.5
    """A still picture is read this seldom."""
    FLASH_S = 1.0
    """Least time between two repeats, or two announcements of a code that is not read yet."""
    DIFFERENCE = 14
    """Grey levels: a code is black on white."""
    LEAVING_S = 2.0
    """A symbol that cannot be read where one was read so lately is that one, on its way out of the picture."""
    JUMP_SIDES = 3.0
    SIDES_PER_S = 8.0
    REACH_SIDES = 15.0
    """Of a code of 5 cm: how far a hand takes it from picture to picture, in a second, and at most. What is farther
    away is another person's copy."""
    MOST_ALIKE = 4
    """People with the same code at once; one more is a repeat."""
    MOST_KNOWN = 1000
    CROP_PX = 640

    def __init__(
        self, camera: Camera, *, key: bytes, reader: Reads | None = None, before: "CheckpointWatch | None" = None
    ) -> None:
        """Without a reader of its own it reads in this very process, every picture to its end. `before` watched the
        same stream: its reader goes on, and a code that it knows is a repeat.
        """
        self._camera = camera
        self._key = key
        self._lanes = [zone for zone in camera.zones if zone.kind == "lane"]
        self.reader: Reads = before.reader if before else reader or QrReader()
        self._stir = Stir(difference=self.DIFFERENCE)
        self._stirred: list[Region] = []
        self._stirred_s = float("-inf")
        self._looked_s = float("-inf")
        self._announced_s = float("-inf")
        self.shown: dict[bytes, _Shown] = before.shown if before else {}
        self._stops = _Stops(self._lanes, key) if camera.stop == "vehicle" else None
        self._guide = Guide()
        self._advised: Advice | None = None

    @property
    def counts(self) -> dict[str, int]:
        return {"given_up": self.reader.given_up}

    def see(self, frame: Frame) -> list[Sighting]:
        if self._stops is not None:
            self._stops.see(frame.y, frame.stream_s)
        stirred = self._stir.see(frame.y)
        if stirred:
            self._stirred, self._stirred_s = stirred, frame.stream_s
        quiet = frame.stream_s - self._stirred_s > self.STIRRED_S
        if quiet and frame.stream_s - self._looked_s < self.IDLE_LOOK_S:
            return []
        self._looked_s = frame.stream_s
        codes, located = self._read(frame, brief=quiet)
        sightings: list[Sighting] = []
        self._forget(frame.stream_s)
        in_view = [*(code.corners for code in codes), *(one.corners for one in located)]
        for code in codes:
            sightings += self._show(frame, code, in_view)
        new = any(isinstance(sighting, Scanned) and not sighting.repeat for sighting in sightings)
        unread = [one for one in located if not self._is_leaving(one, frame.stream_s)]
        if new:
            self._guide.forget()
        advice = self._advise(frame, unread)
        is_due = frame.stream_s - self._announced_s >= self.FLASH_S or advice != self._advised
        if new or (unread and is_due):
            self._announced_s, self._advised = frame.stream_s, advice
            sightings.insert(0, Reading(camera=frame.camera, seen_at=frame.seen_at, advice=advice))
        return sightings

    def _read(self, frame: Frame, *, brief: bool) -> tuple[list[Code], list[Located]]:
        height, width = frame.y.shape
        whole = self._lane_region(height, width)
        look = self.reader.look(frame.y, whole, stirred=self._stirred, brief=brief)
        placed = [code for code in look.codes if not self._lanes or self._lane(code, height, width)]
        return placed, list(look.located)

    def _is_leaving(self, one: Located, now: float) -> bool:
        return any(
            now - known.last_s < self.LEAVING_S and _apart(one.corners, known.corners) < 2 * side_px(known.corners)
            for known in self.shown.values()
        )

    def _advise(self, frame: Frame, unread: list[Located]) -> Advice | None:
        """For the nearest of those that surely are symbols."""
        sure = [(one.px_per_module, one.corners) for one in unread if one.px_per_module is not None]
        if not sure:
            return self._guide.see(None, frame.stream_s)
        px_per_module, corners = max(sure)
        return self._guide.see(symptoms(frame.y, corners, px_per_module), frame.stream_s)

    def _lane_region(self, height: int, width: int) -> Region:
        if not self._lanes:
            return 0, 0, width, height
        xs, ys = zip(*(corner for lane in self._lanes for corner in lane.polygon), strict=True)
        left, top = int(min(xs) * width), int(min(ys) * height)
        return clip_region((left, top, int(max(xs) * width) - left, int(max(ys) * height) - top), height, width)

    def _lane(self, code: Code, height: int, width: int) -> str | None:
        point = np.array([code.centre])
        for lane in self._lanes:
            if signed_distance(np.array(lane.polygon) * (width, height), point)[0] >= 0.0:
                return lane.id
        return None

    def _show(self, frame: Frame, code: Code, in_view: list[Corners]) -> list[Sighting]:
        now, lane = frame.stream_s, self._lane(code, *frame.y.shape)
        stop = self._stops.name(lane, now) if self._stops is not None else None
        key, known = self._whose(code, lane, now)
        if known:
            is_flash = now - known.told_s >= self.FLASH_S
            known.lane, known.corners, known.last_s = lane, code.corners, now
            if not is_flash:
                return []
            known.repeat += 1
            known.told_s = now
        else:
            known = self.shown[key] = _Shown(lane, code.corners, last_s=now, told_s=now)
        return [
            Scanned(
                camera=frame.camera,
                seen_at=frame.seen_at,
                stream_s=now,
                lane=lane,
                stop=stop,
                code=classify(code.payload),
                payload_key=key,
                repeat=known.repeat,
                px_per_module=code.px_per_module,
                crop=None if known.repeat else self._crop(frame, code, in_view),
            )
        ]

    def _whose(self, code: Code, lane: str | None, now: float) -> tuple[bytes, _Shown | None]:
        """Under which name it is known, and what is known. The same code at two places is two people's."""
        free = last = None
        for turn in range(self.MOST_ALIKE):
            which = code.payload + bytes([turn]) if turn else code.payload
            last = hmac.digest(self._key, which, "sha256")[:16]
            known = self.shown.get(last)
            if known is None:
                free = free or last
            elif self._is_there(known, code, lane, now):
                return last, known
        key = free or last
        assert key is not None
        return key, self.shown.get(key)

    def _is_there(self, known: _Shown, code: Code, lane: str | None, now: float) -> bool:
        """Whether a code that was seen last there and then may be seen here and now."""
        if known.last_s == now or known.lane != lane:
            return False  # it is in this very picture already, or in another lane
        sides = min(self.JUMP_SIDES + self.SIDES_PER_S * (now - known.last_s), self.REACH_SIDES)
        return _apart(known.corners, code.corners) < sides * side_px(known.corners)

    def _forget(self, now: float) -> None:
        gone = [key for key, shown in self.shown.items() if now - shown.last_s >= self._camera.hold_seconds]
        for key in gone + list(self.shown)[: max(len(self.shown) - len(gone) - self.MOST_KNOWN, 0)]:
            self.shown.pop(key, None)

    def _crop(self, frame: Frame, code: Code, in_view: list[Corners]) -> bytes:
        """The person around the code, small enough for the officer's screen, no code in it legible."""
        height, width = frame.y.shape
        x, y, w, h = clip_region(_around(code.corners, 4.0), height, width)
        return jpeg(_veiled(frame.bgr(), in_view)[y : y + h, x : x + w], most_px=self.CROP_PX)


def _apart(one: Corners, other: Corners) -> float:
    """How far their middles lie apart."""
    (ax, ay), (bx, by) = (np.mean(corners, axis=0) for corners in (one, other))
    return math.hypot(ax - bx, ay - by)


def jpeg(bgr: NDArray[np.uint8], *, most_px: int, quality: int = 85) -> bytes:
    """The picture as JPEG, its longer side at most `most_px`."""
    shrink = most_px / max(bgr.shape[:2])
    picture = cv2.resize(bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1.0 else bgr
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _veiled(bgr: NDArray[np.uint8], in_view: list[Corners]) -> NDArray[np.uint8]:
    """A copy in which codes are coarse squares: anybody with a phone could read them off the screen."""
    picture = bgr.copy()
    for corners in in_view:
        x, y, w, h = clip_region(_around(corners, 1.1), *picture.shape[:2])
        if w and h:
            veil = cv2.resize(picture[y : y + h, x : x + w], (8, 8), interpolation=cv2.INTER_AREA)
            picture[y : y + h, x : x + w] = cv2.resize(veil, (w, h), interpolation=cv2.INTER_NEAREST)
    return picture


def _around(corners: Corners, times: float) -> Region:
    """A square around the corners, `times` as wide as they are, never narrower than 32 pixels."""
    xs, ys = zip(*corners, strict=True)
    side = max(max(xs) - min(xs), max(ys) - min(ys), 32.0) * times
    middle = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    return round(middle[0] - side / 2), round(middle[1] - side / 2), round(side), round(side)
