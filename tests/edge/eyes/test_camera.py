import itertools
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.eyes.camera import Camera, State, Status, redact
from edge.eyes.frame import Frame
from scripts.city.rtsp import RtspServer
from tests.clips import RATE, damage, render

GIVE_UP_SECONDS = 20.0
GSTREAMER = Path(__file__).resolve().parents[2] / "flow" / "gst_server.py"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def server(clip: Path) -> Iterator[RtspServer]:
    server = RtspServer()
    server.add("cam", clip)
    server.start()
    yield server
    server.stop()


class Watched:
    """A camera and everything it told."""

    def __init__(self, source: str) -> None:
        self.told: list[tuple[Status, State | None]] = []
        self.camera = Camera("cam-1", source, told=lambda status, was: self.told.append((status, was)))
        self.camera.start()

    @property
    def states(self) -> list[State]:
        return [status.state for status, _ in self.told]

    def frame(self) -> Frame:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up:
            frame = self.camera.take(0.2)
            if frame is not None:
                return frame
        pytest.fail(f"no picture came: {self.told}")

    def until(self, state: State) -> Status:
        """Takes pictures and keeps the monitor going until the camera is in `state`."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up:
            if self.camera.status.state == state:
                return self.camera.status
            self.camera.take(0.05)
            self.camera.check(time.monotonic())
        pytest.fail(f"never {state}: {self.told}")


@pytest.fixture
def watch() -> Iterator[Callable[[str], Watched]]:
    started: list[Watched] = []

    def begin(source: str) -> Watched:
        started.append(Watched(source))
        return started[-1]

    yield begin
    for one in started:
        one.camera.stop()
    for one in started:
        one.camera.join(5)


def test_a_stream_gives_its_luma_without_a_copy_and_its_colours_when_asked(
    server: RtspServer, watch: Callable[[str], Watched]
) -> None:
    watched = watch(server.url("cam"))
    frame = watched.frame()
    assert (frame.camera, frame.y.shape, frame.y.dtype.name, frame.corrupt) == ("cam-1", (120, 160), "uint8", False)
    assert frame.y.base is not None
    assert not frame.y.flags.writeable
    assert frame.bgr().shape == (120, 160, 3)
    assert frame.seen_at.utcoffset() is not None
    assert watched.states == ["connecting", "live"]
    assert watched.told[1][1] == "connecting"


def test_only_the_newest_picture_waits_and_the_others_are_counted(
    server: RtspServer, watch: Callable[[str], Watched]
) -> None:
    watched = watch(server.url("cam"))
    before = watched.frame()
    while watched.camera.counters.frames < 12:
        time.sleep(0.05)
    after = watched.frame()
    assert after.stream_s - before.stream_s > 0.5
    assert watched.camera.counters.dropped >= 8


def test_a_frozen_camera_is_stalled_and_comes_back(server: RtspServer, watch: Callable[[str], Watched]) -> None:
    watched = watch(server.url("cam"))
    before = watched.frame()
    server.pause("cam")
    watched.until("stalled")  # the monitor and the reader's own time-out both say so; which is first is chance
    server.resume("cam")
    watched.until("live")
    after = watched.frame()
    assert after.stream_s - before.stream_s == pytest.approx(after.arrived_s - before.arrived_s, abs=0.5)


def test_a_cut_camera_is_down_and_its_stream_clock_goes_on(server: RtspServer, watch: Callable[[str], Watched]) -> None:
    watched = watch(server.url("cam"))
    before = watched.frame()
    server.cut("cam")
    watched.until("down")
    watched.until("live")
    after = watched.frame()
    assert after.stream_s - before.stream_s == pytest.approx(after.arrived_s - before.arrived_s, abs=0.5)
    assert watched.camera.counters.connects == 2
    assert watched.states == ["connecting", "live", "down", "live"]


def test_a_camera_that_was_away_is_refused_and_then_live(server: RtspServer, watch: Callable[[str], Watched]) -> None:
    server.stop()
    watched = watch(server.url("cam"))
    assert "address" in watched.until("refused").reason
    server.start()
    watched.until("live")


def test_a_wrong_password_says_so_and_stays_secret(
    clip: Path, watch: Callable[[str], Watched], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    server = RtspServer(user="admin", password="right")
    server.add("cam", clip)
    server.start()
    source = server.url("cam").replace("rtsp://", "rtsp://admin:s3cr3t@")
    watched = watch(source)
    status = watched.until("unauthorised")
    good = watch(source.replace("s3cr3t", "right"))
    good.until("live")
    server.stop()
    output = capfd.readouterr()
    for text in (status.reason, watched.camera.where, caplog.text, output.out, output.err, repr(watched.told)):
        assert "s3cr3t" not in text
        assert "admin" not in text


def test_an_unknown_stream_is_not_found(server: RtspServer, watch: Callable[[str], Watched]) -> None:
    assert "name" in watch(server.url("nothing")).until("not_found").reason


def test_a_server_that_never_answers_is_stalled(watch: Callable[[str], Watched]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        watch(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam").until("stalled")


def test_damaged_pictures_are_left_out_until_the_next_key_frame(
    clip: Path, tmp_path: Path, watch: Callable[[str], Watched]
) -> None:
    watched = watch(str(damage(clip, tmp_path / "damaged.mp4", frame=7)))
    tops = set()
    while watched.camera.counters.connects < 2:
        frame = watched.camera.take(0.2)
        if frame is not None:
            tops.add(round(float(frame.y[4:20, 4:30].mean())))
    whole = sorted(tops)
    assert watched.camera.counters.corrupt >= 3  # 7, 8 and 9; 10 is a key frame
    assert watched.camera.counters.frames <= 2 * RATE - 3 + 1
    assert max(b - a for a, b in itertools.pairwise(whole)) >= 3


def test_a_file_plays_in_real_time_and_starts_again(clip: Path, watch: Callable[[str], Watched]) -> None:
    watched = watch(str(clip))
    frames = [watched.frame() for _ in range(2 * RATE + 5)]
    streams = [frame.stream_s for frame in frames]
    assert streams[0] == 0.0
    assert streams == sorted(set(streams))
    assert streams[-1] == pytest.approx(frames[-1].arrived_s - frames[0].arrived_s, abs=0.3)
    assert watched.states == ["connecting", "live"]


def test_a_missing_file_is_not_found(tmp_path: Path, watch: Callable[[str], Watched]) -> None:
    assert "file" in watch(str(tmp_path / "none.mp4")).until("not_found").reason


def test_a_file_without_video_is_down(tmp_path: Path, watch: Callable[[str], Watched]) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"no video at all" * 100)
    watch(str(path)).until("down")


def test_a_stream_of_gstreamer_is_read(clip: Path, watch: Callable[[str], Watched]) -> None:
    command = ["/usr/bin/python3", str(GSTREAMER), str(clip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "GStreamer's RTSP server is missing: run scripts/setup"
            watched = watch(url)
            first, second = watched.frame(), watched.frame()
            assert first.y.shape == (120, 160)
            assert second.stream_s > first.stream_s
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("rtsp://u:p@10.0.0.7:554/a/b?x=1 failed", "rtsp://10.0.0.7:554/… failed"),
        ("rtsp://u:p@ss@cam/a", "rtsp://cam/…"),
        ("rtsp://u:p/ss@cam/a", "rtsp://…"),
        ("rtsp://cam/user=admin&password=x", "rtsp://cam/…"),
        ("http://cam?password=x", "http://cam"),
        ("two: rtsp://a:b@c http://d:e@f/g", "two: rtsp://c http://f/…"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_urls_lose_everything_but_their_host(text: str, clean: str) -> None:
    assert redact(text) == clean
