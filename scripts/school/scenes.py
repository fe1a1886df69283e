"""The pictures to learn from, each with the boxes of its people; `TEST_SETS` are refused by their hash."""

import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from models.vision.detector import Detector

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float64]
"""(n, 4): left, top, right, bottom in pixels."""

TEST_SETS = {
    "af72a601303e858c": "MOT17",
    "759a2cfd44665588": "MOT17",
    "906b206eb3662306": "MOT17",
    "f059036dfe8db1bc": "MOT17",
    "6c8159dd26ac4f29": "PETS 2009 S2L1",
    "bc682cbb825d3a16": "PETS 2009 S2L1",
    "c860e62379d5bd06": "plaza_crowd",
    "8672a56ac551be7d": "the crowd photos",
    "5a37ec90e7331ea2": "the crowd photos",
    "9225595ef235a2a6": "the crowd photos",
    "eb0f09c30ff1ba0f": "the crowd photos",
    "a019e5f963fb37b4": "the crowd photos",
    "21a88c749dab96bb": "the crowd photos",
    "c35c588e03dfe575": "the crowd photos",
    "ace938162dc7cfbc": "the crowd photos",
    "851ddeaf0eeea462": "the crowd photos",
    "e8a210881370af6b": "the crowd photos",
    "54cbdb578bb61d55": "the crowd photos",
    "52121ffdd70903dc": "the crowd photos",
    "55a47fd8c7b91fa4": "the crowd photos",
    "c02e939e4e28169e": "the crowd photos",
    "c5f8b391b1d579c1": "the crowd photos",
    "51aa39830e926a44": "the crowd photos",
    "c29dfb6f33333b8b": "the crowd photos",
    "533698472cfe6bab": "the crowd photos",
    "698a41de3cb01ebe": "the crowd photos",
    "bb9dadff490a41bf": "the crowd photos",
    "9f81dcbe4a36e091": "the crowd photos",
    "52b4da54717f6290": "the crowd photos",
    "ae4db615e3242501": "the crowd photos",
    "95de4310beaadcf0": "the crowd photos",
    "7ab5dbfa4d4fe199": "the crowd photos",
    "2e6ea62da0301768": "the crowd photos",
    "912dd606eb2a7772": "the crowd photos",
    "ca97f7831b60f5d2": "the crowd photos",
    "7c41c88ddcbb11a7": "the crowd photos",
    "47be4de5a36763d2": "the crowd photos",
}
"""First 16 hex of the SHA-256 of what may only be tested on: a net that has seen it proves nothing."""


class Forbidden(ValueError):
    """A picture of a test set, or a folder that is not there; the message says which."""


@dataclass(frozen=True)
class Scene:
    picture: Picture
    people: Boxes
    unsure: Boxes
    """May be people: neither learnt nor unlearnt."""


def check(path: Path) -> Path:
    """The same path. Raises Forbidden for a file of a test set, under whatever name."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    if digest in TEST_SETS:
        raise Forbidden(f"{path}: is {TEST_SETS[digest]}, which is for testing only; take it out of the training data")
    return path


def _read(path: Path) -> Picture:
    picture = cv2.imread(str(check(path)))
    if picture is None:
        raise Forbidden(f"{path}: cannot be read as a picture; take it out of the training data")
    return np.asarray(picture, np.uint8)


def _sort_out(picture: Picture, people: Boxes, more: Boxes | None = None) -> Scene:
    """Who is cut, sits or lies is not the upright person of a fixed camera: unsure."""
    size = people[:, 2:] - people[:, :2]
    upright = (size[:, 0] <= 0.75 * size[:, 1]) & (size[:, 1] >= 12)
    unsure = people[~upright]
    return Scene(picture, people[upright], unsure if more is None else np.concatenate([unsure, more]))


def _yolo(folder: Path) -> Iterator[Scene]:
    for path in sorted((folder / "images").iterdir()):
        picture = _read(path)
        high, wide = picture.shape[:2]
        label = folder / "labels" / f"{path.stem}.txt"
        rows = np.loadtxt(label, ndmin=2).reshape(-1, 5) if label.is_file() else np.zeros((0, 5))
        rows = rows[rows[:, 0] == 0]
        corner = (rows[:, 1:3] - rows[:, 3:5] / 2) * (wide, high)
        yield _sort_out(picture, np.concatenate([corner, corner + rows[:, 3:5] * (wide, high)], axis=1))


def _voc(folder: Path) -> Iterator[Scene]:
    for path in sorted((folder / "images").iterdir()):
        people: list[list[float]] = []
        unsure: list[list[float]] = []
        for thing in ET.parse(folder / "annotations" / f"{path.stem}.xml").iter("object"):  # noqa: S314 (our data)
            if thing.findtext("name") != "person":
                continue
            box = [float(thing.findtext(f"bndbox/{side}") or 0) for side in ("xmin", "ymin", "xmax", "ymax")]
            (unsure if thing.findtext("truncated") == "1" or thing.findtext("difficult") == "1" else people).append(box)
        yield _sort_out(_read(path), np.array(people).reshape(-1, 4), np.array(unsure).reshape(-1, 4))


def taught(picture: Picture, teachers: list[Detector]) -> Scene:
    """People whom every teacher is sure of; who is seen by one of them, or hardly, is unsure."""
    seen = []
    for teacher in teachers:
        found = teacher.detect(picture)
        rows = (found.classes == 0) & (found.scores >= 0.15)
        seen.append((found.boxes[rows], found.scores[rows]))
    first, scores = seen[0]
    sure = scores >= 0.5
    for boxes, other in seen[1:]:
        sure &= np.array([_overlaps(box, boxes[other >= 0.35]) for box in first], dtype=np.bool_).reshape(-1)
    rest = np.concatenate([first[~sure], *(boxes for boxes, _ in seen[1:])])
    rest = rest[[not _overlaps(box, first[sure]) for box in rest]].reshape(-1, 4) if len(rest) else rest
    return _sort_out(picture, first[sure], rest)


def _overlaps(box: NDArray[np.float64], others: Boxes) -> bool:
    if not len(others):
        return False
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - common
    return bool((common / union >= 0.5).any())


def pictures(folder: Path) -> Iterator[Picture]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png"}:
            yield _read(path)


def _clip(path: Path, every: int) -> Iterator[Picture]:
    with av.open(str(check(path))) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def windows(folder: Path, teacher: Detector) -> Iterator[Scene]:
    """Windows of 64x128 around one person each: the teacher draws the box, as long as it is where it should be."""
    for path in sorted(folder.glob("*.jpg")):
        picture = _read(path)
        found = teacher.detect(
            np.asarray(cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), np.uint8)
        )
        boxes = found.boxes[found.classes == 0] / 3
        middle = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - (32, 64)) if len(boxes) else np.zeros((0, 2))
        tall = boxes[:, 3] - boxes[:, 1] if len(boxes) else np.zeros(0)
        good = (middle[:, 0] < 9) & (middle[:, 1] < 12) & (tall > 75) & (tall < 120)
        if good.any():
            yield Scene(picture, boxes[np.flatnonzero(good)[:1]], np.zeros((0, 4)))


def public(data: Path, teachers: list[Detector]) -> Iterator[Scene]:
    """The public sets of the development data: annotated ones, and the teachers' boxes where there are none."""
    yield from _yolo(data / "train" / "pennfudan")
    yield from _yolo(data / "train" / "coco128")
    yield from _voc(data / "train" / "voc100")
    for picture in pictures(data / "train" / "moto_vn97"):
        yield taught(picture, teachers)
    for clip, every in (("street_traffic.mp4", 20), ("car-detection.mp4", 12)):
        for picture in _clip(data / "video" / clip, every):
            yield taught(picture, teachers)


def own(folder: Path, teachers: list[Detector]) -> Iterator[Scene]:
    """A deployer's pictures: YOLO labels in `labels/` beside `images/`, else the teachers' boxes."""
    if (folder / "labels").is_dir():
        yield from _yolo(folder)
        return
    for picture in pictures(folder):
        yield taught(picture, teachers)


def counts(scenes: list[Scene]) -> str:
    return json.dumps({"pictures": len(scenes), "people": int(sum(len(scene.people) for scene in scenes))})
