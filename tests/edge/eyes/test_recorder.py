import io
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction

import av
import pytest
from av.video.frame import VideoFrame

from edge.eyes.camera import Camera
from edge.eyes.recorder import Film, Recorder, Reel, Unit
from edge.sighting import Footage
from scripts.city.rtsp import RtspServer
from tests.clips import render

FILM = Film("h264", b"", Fraction(1, 90_000))


def fill(reel: Reel, since: int, until: int, *, film: Film = FILM, size: int = 10) -> None:
    """One packet a second, a key frame every second one."""
    for second in range(since, until):
        reel.put(Unit(film, float(second), second * 90_000, None, second % 2 == 0, bytes(size)))


def test_a_reel_keeps_whole_groups_and_no_more_than_it_needs() -> None:
    reel = Reel(seconds=12)
    fill(reel, 0, 60)
    kept = reel.cut(0.0, 100.0)
    assert kept[0].key
    assert (kept[0].arrived_s, kept[-1].arrived_s) == (46.0, 59.0)
    assert reel.size_bytes == 140


def test_a_cut_begins_at_the_key_frame_before_its_time() -> None:
    reel = Reel(seconds=12)
    fill(reel, 0, 20)
    assert [unit.arrived_s for unit in reel.cut(13.5, 16.0)] == [12.0, 13.0, 14.0, 15.0, 16.0]


def test_a_cut_never_joins_two_connections() -> None:
    reel = Reel(seconds=12)
    fill(reel, 0, 6)
    fill(reel, 6, 10, film=Film("h264", b"other", Fraction(1, 90_000)))
    assert [unit.arrived_s for unit in reel.cut(0.0, 100.0)] == [6.0, 7.0, 8.0, 9.0]


def test_a_reel_is_bounded_in_bytes_too() -> None:
    reel = Reel(seconds=12, most_bytes=100)
    fill(reel, 0, 20, size=30)
    assert reel.size_bytes <= 100
    assert reel.cut(0.0, 100.0)[0].key


def test_nothing_is_kept_before_the_first_key_frame() -> None:
    reel = Reel()
    reel.put(Unit(FILM, 1.0, 0, None, False, b"x"))
    assert reel.cut(0.0, 9.0) == []


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def filmed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Footage]:
    """Everything that is said of one incident of a real stream."""
    clip = render(tmp_path_factory.mktemp("clip") / "clip.mp4", size=(320, 240), codec=request.param)
    server = RtspServer()
    server.add("cam", clip)
    server.start()
    reel = Reel()
    camera = Camera("cam-1", server.url("cam"), told=lambda _status, _was: None, decode="none", reel=reel)
    camera.start()
    said: list[Footage] = []
    ended = threading.Event()

    def say(piece: Footage) -> None:
        said.append(piece)
        if piece.last:
            ended.set()

    while not reel.cut(0.0, time.monotonic() - 1.0):
        time.sleep(0.1)
    recorder = Recorder("cam-1", reel, say, post_roll_s=2.0)
    recorder.record("1f", time.monotonic(), datetime.now(UTC))
    assert ended.wait(60)
    camera.stop()
    camera.join(5)
    server.stop()
    return said


def pictures(said: list[Footage], part: str) -> tuple[str, list[VideoFrame]]:
    """The codec and the pictures of a film, as any player sees it."""
    whole = b"".join(piece.data for piece in said if piece.part == part)
    with av.open(io.BytesIO(whole), "r") as container:
        video = container.streams.video[0]
        return video.codec_context.name, list(container.decode(video=0))


def test_a_clip_begins_before_its_incident_at_a_key_frame_and_plays_in_a_browser(filmed: list[Footage]) -> None:
    codec, frames = pictures(filmed, "clip")
    assert codec == "h264"
    assert frames[0].key_frame
    assert frames[0].pts == 0
    assert not any(frame.is_corrupt for frame in frames)
    assert len(frames) >= 25
    whole = b"".join(piece.data for piece in filmed if piece.part == "clip")
    assert whole.find(b"moov") < whole.find(b"mdat")


def test_the_fragments_of_a_film_play_wherever_it_was_cut_off(filmed: list[Footage]) -> None:
    fragments = [piece for piece in filmed if piece.part == "fragment"]
    counts = [len(pictures(fragments[:many], "fragment")[1]) for many in range(1, len(fragments) + 1)]
    assert counts[0] > 0
    assert counts == sorted(set(counts))


def test_the_original_of_a_clip_that_was_encoded_anew_is_named(filmed: list[Footage]) -> None:
    codec, _ = pictures(filmed, "fragment")
    assert (filmed[-1].original is None) == (codec == "h264")


def test_what_is_no_video_is_counted() -> None:
    reel = Reel()
    reel.put(Unit(FILM, time.monotonic(), 0, None, True, b"no video"))
    recorder = Recorder("cam-1", reel, lambda _: None, post_roll_s=0.1)
    recorder.record("1f", time.monotonic(), datetime.now(UTC))
    give_up = time.monotonic() + 20
    while not recorder.faults and time.monotonic() < give_up:
        time.sleep(0.02)
    assert recorder.faults == 1
