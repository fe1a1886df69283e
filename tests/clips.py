"""Tiny clips for tests: camera-like H.264 (no B-frames, a key frame each half second) in which a square moves."""

from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

RATE = 10


def render(path: Path, *, seconds: float = 2.0, size: tuple[int, int] = (160, 120), codec: str = "libx264") -> Path:
    """Picture i has luma of about 40 + i in its upper left corner, so that a reader can tell which one it holds."""
    width, height = size
    noise = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options = {"preset": "ultrafast", "bf": "0", "g": str(RATE // 2), "crf": "18", "threads": "1"}
        if codec == "libx265":
            video.options["x265-params"] = f"log-level=none:bframes=0:keyint={RATE // 2}:pools=1:frame-threads=1"
        for number in range(int(seconds * RATE)):
            picture = noise.integers(90, 110, (height, width, 3), np.uint8)
            picture[: height // 4, : width // 4] = 40 + number
            left = 10 + number * 3
            picture[height // 2 : height // 2 + 30, left : left + 20] = 220
            for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
    return path


def damage(source: Path, target: Path, *, frame: int) -> Path:
    """A copy in which the middle of one picture's data is overwritten."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][frame]
        assert packet.pos is not None
        start = packet.pos + packet.size // 3
        data[start : start + packet.size // 3] = b"\x00" * (packet.size // 3)
    target.write_bytes(data)
    return target


def yard(path: Path) -> Path:
    """Three seconds of empty yard, then a body goes from its middle out of it, and the yard is empty again."""
    noise = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        video.options = {"preset": "ultrafast", "bf": "0", "g": str(RATE), "crf": "20", "threads": "1"}
        for number in range(12 * RATE):
            picture = noise.normal(150, 3, (360, 640, 1)).clip(0, 255).astype(np.uint8).repeat(3, axis=2)
            left = 200 + 8 * (number - 3 * RATE)
            if number >= 3 * RATE and left < 600:
                picture[180:270, left : left + 34] = noise.integers(20, 60, (90, 34, 1))
            for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
    return path
