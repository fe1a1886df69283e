"""What the camera benchmarks measure with: camera-like clips, a server process, and when each picture was sent."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from edge.eyes.frame import Frame
from scripts.city.rtsp import RtspServer, Sent

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
CROWD = ROOT.parent / "shared" / "data" / "video" / "plaza_crowd.avi"
"""The development data beside the project; a drawn street where it is absent."""


def clip(*, width: int, height: int, rate: int, kbit: int, seconds: int = 20) -> Path:
    """As a camera sends it: no B-frames, a key frame every two seconds, sensor noise; made once."""
    path = CACHE / f"{width}x{height}@{rate}-{kbit}k-{seconds}s.mp4"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(7)
    part = path.with_suffix(".part.mp4")
    pictures = _pictures(width, height)
    with av.open(str(part), "w") as out:
        video = out.add_stream("libx264", rate=rate)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", kbit * 1000
        video.options = {"preset": "veryfast", "bf": "0", "refs": "1", "g": str(2 * rate), "threads": "1"}
        grain = [noise.normal(0, 2, (height, width, 1)).astype(np.int8) for _ in range(5)]
        for number, picture in zip(range(seconds * rate), pictures, strict=False):
            grainy = np.clip(picture.astype(np.int16) + grain[number % 5], 0, 255).astype(np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(grainy, format="bgr24")))
        out.mux(video.encode(None))
    part.replace(path)
    return path


def _pictures(width: int, height: int) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    while CROWD.exists():
        with av.open(str(CROWD)) as source:
            for picture in source.decode(video=0):
                yield cv2.resize(picture.to_ndarray(format="bgr24"), (width, height)).astype(np.uint8)
    ground = cv2.resize(np.random.default_rng(3).integers(60, 180, (36, 64, 3), np.uint8), (width, height))
    number = 0
    while True:
        street = ground.copy()
        for walker in range(12):
            x = (number * (2 + walker % 3) + walker * 97) % width
            cv2.rectangle(street, (x, height // 3), (x + width // 40, height // 2), (20 * walker, 40, 200), -1)
        number += 1
        yield street.astype(np.uint8)


def _serve(ours: Connection, path: Path, streams: int) -> None:
    server = RtspServer()
    for number in range(streams):
        server.add(str(number), path)
    server.start()
    ours.send([server.url(str(number)) for number in range(streams)])
    while ours.recv():
        ours.send([list(server.sent(str(number))) for number in range(streams)])
    server.stop()


class Served:
    """Streams of one clip, from a process of its own, so that its work is not counted as ours."""

    def __init__(self, urls: list[str], pipe: Connection) -> None:
        self.urls = urls
        self._pipe = pipe

    def sent(self) -> list[list[Sent]]:
        """What left when, on the clock of the whole machine."""
        self._pipe.send(True)
        found: list[list[Sent]] = self._pipe.recv()
        return found


@contextmanager
def served(path: Path, streams: int) -> Iterator[Served]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, path, streams), daemon=True)
    process.start()
    try:
        yield Served(ours.recv(), ours)
        ours.send(False)
        process.join(10)
    finally:
        process.kill()
        process.join()


class Seen(NamedTuple):
    """When a picture was in hand, and its stream time."""

    stream_s: float
    at_s: float


def seen(frame: Frame, at_s: float) -> Seen:
    return Seen(frame.stream_s, at_s)


def delays(pictures: list[Seen], sent: list[Sent], rate: int, *, key_every: int) -> list[float]:
    """From sending to having each picture. The first one is the newest key frame that had left when it came; the second
    is the first one with a stamp of its own, and the others are counted from it.
    """
    keys = [place for place, one in enumerate(sent) if one.frame % key_every == 0 and one.at_s <= pictures[0].at_s]
    second = pictures[1]
    found = []
    for one in pictures[2:]:
        place = keys[-1] + 1 + round((one.stream_s - second.stream_s) * rate)
        if place < len(sent):
            found.append(one.at_s - sent[place].at_s)
    return found
