import logging
import time
from multiprocessing.connection import Pipe
from pathlib import Path

import pytest

from edge.eyes.eye import Mouth, Post
from edge.eyes.frame import Frame
from edge.settings import Camera
from edge.sighting import Reading, Sighting, decode
from tests.clips import render


class StumblingWatch:
    """Fails at every other picture, quoting what it must not."""

    detector: str | None = None
    bodies = None
    counts: dict[str, int] = {}  # noqa: RUF012  (a protocol's property)

    def __init__(self) -> None:
        self.seen = 0

    def see(self, frame: Frame) -> list[Sighting]:
        self.seen += 1
        if self.seen % 2:
            raise ValueError("012345678901")
        return [Reading(camera=frame.camera, seen_at=frame.seen_at)]


def test_a_watch_that_fails_is_reported_without_its_words_and_looks_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = render(tmp_path / "clip.mp4")
    gate, ours = Pipe(duplex=True)
    watch = StumblingWatch()
    post = Post(Camera(id="cam-1", source=str(clip), watch="checkpoint"), watch, Mouth(ours))
    with caplog.at_level(logging.ERROR):
        post.start()
        readings = 0
        give_up = time.monotonic() + 20
        while readings < 3 and time.monotonic() < give_up:
            if gate.poll(0.5):
                readings += isinstance(decode(gate.recv_bytes()), Reading)
        post.stop()
        post.camera.join(5)
    gate.close()
    ours.close()
    assert readings == 3
    assert "the watch failed 1 times: ValueError at" in caplog.text
    assert "the watch failed 2 times" in caplog.text
    assert "the watch failed 3 times" not in caplog.text
    assert "012345678901" not in caplog.text
