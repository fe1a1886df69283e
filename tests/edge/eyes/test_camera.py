import itertools
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from edge.eyes.camera import Camera
from edge.eyes.frame import Frame
from edge.eyes.recorder import Reel
from edge.eyes.status import State, Status
from scripts.city.rtsp import Fault, RtspServer
from tests.clips import RATE, damage, render

GIVE_UP_SECONDS = 20.0
ROOT = Path(__file__).resolve().parents[3]
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

    def __init__(self, source: str, **how: Any) -> None:
        self.told: list[tuple[Status, State | None]] = []
        self.camera = Camera("cam-1", source, told=lambda status, was: self.told.append((status, was)), **how)
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

    def until_not(self, state: State) -> Status:
        """As `until`, for any other state."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up:
            if self.camera.status.state != state:
                return self.camera.status
            self.camera.take(0.05)
            self.camera.check(time.monotonic())
        pytest.fail(f"always {state}: {self.told}")


@pytest.fixture
def watch() -> Iterator[Callable[[str], Watched]]:
    started: list[Watched] = []

    def begin(source: str, **how: Any) -> Watched:
        started.append(Watched(source, **how))
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
    assert watched.until("refused").reason == "nobody_listens"
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
    assert watch(server.url("nothing")).until("not_found").reason == "no_stream"


def test_a_server_that_never_answers_is_stalled(watch: Callable[[str], Watched]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        watch(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam").until("stalled")


@pytest.mark.parametrize("fault", ["reports", "trickle", "black-hole", "slow", "reset", "garbage", "not-found"])
def test_whatever_a_camera_does_it_is_noticed_and_comes_back(
    server: RtspServer, watch: Callable[[str], Watched], fault: Fault
) -> None:
    watched = watch(server.url("cam"))
    watched.until("live")
    server.fail("cam", fault)
    watched.until_not("live")
    server.heal("cam")
    watched.until("live")


def test_a_stopped_camera_is_noticed_although_its_connection_lives(clip: Path, watch: Callable[[str], Watched]) -> None:
    command = [sys.executable, "-m", "scripts.city.rtsp", str(clip), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            watched = watch(process.stdout.readline().strip())
            watched.until("live")
            process.send_signal(signal.SIGSTOP)
            watched.until("stalled")
            process.send_signal(signal.SIGCONT)
            watched.until("live")
            process.kill()
            assert watched.until_not("live").state in {"down", "refused"}
        finally:
            process.kill()


def test_a_short_pause_breaks_no_connection(server: RtspServer, watch: Callable[[str], Watched]) -> None:
    watched = watch(server.url("cam"))
    before = watched.frame()
    server.pause("cam")
    time.sleep(1.2)
    server.resume("cam")
    while watched.frame().stream_s - before.stream_s < 1.5:
        watched.camera.check(time.monotonic())
    assert watched.states == ["connecting", "live"]
    assert watched.camera.counters.connects == 1


def test_a_camera_set_to_another_size_shows_it_unscaled(
    clip: Path, tmp_path: Path, watch: Callable[[str], Watched]
) -> None:
    server = RtspServer()
    server.add("cam", clip, other=render(tmp_path / "other.mp4", size=(320, 240)))
    server.start()
    watched = watch(server.url("cam"))
    assert watched.frame().y.shape == (120, 160)
    server.fail("cam", "resize")
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while (frame := watched.frame()).y.shape != (240, 320):
        assert time.monotonic() < give_up
    assert frame.bgr().shape == (240, 320, 3)
    assert watched.camera.counters.connects == 1
    server.stop()


def test_a_camera_whose_clock_leaps_keeps_the_streams_time(server: RtspServer, watch: Callable[[str], Watched]) -> None:
    watched = watch(server.url("cam"))
    before = watched.frame()
    server.fail("cam", "jump")
    time.sleep(1.0)
    after = watched.frame()
    assert after.stream_s - before.stream_s == pytest.approx(after.arrived_s - before.arrived_s, abs=0.5)
    assert watched.states == ["connecting", "live"]


def test_pictures_come_by_udp_where_that_is_asked_for(server: RtspServer, watch: Callable[..., Watched]) -> None:
    assert watch(server.url("cam"), transport="udp").frame().y.shape == (120, 160)


def test_key_frames_alone_are_decoded_where_that_is_enough(server: RtspServer, watch: Callable[..., Watched]) -> None:
    watched = watch(server.url("cam"), decode="keys")
    _, *streams = [watched.frame().stream_s for _ in range(4)]  # the first packet of a stream comes without a stamp
    assert [later - sooner for sooner, later in itertools.pairwise(streams)] == pytest.approx([0.5, 0.5], abs=0.2)
    assert watched.camera.counters.corrupt == 0


def test_a_stream_that_is_only_recorded_is_live_without_a_picture(
    server: RtspServer, watch: Callable[..., Watched]
) -> None:
    reel = Reel()
    watched = watch(server.url("cam"), decode="none", reel=reel)
    watched.until("live")
    assert watched.camera.counters.frames == 0
    assert reel.size_bytes > 0


def test_a_camera_that_is_switched_off_is_asked_nothing(server: RtspServer) -> None:
    told: list[Status] = []
    camera = Camera("cam-1", server.url("cam"), told=lambda status, _: told.append(status))
    camera.disable()
    camera.stop()
    camera.join(1)
    assert [(status.state, status.reason) for status in told] == [("disabled", "switched_off")]
    assert server.viewers("cam") == 0


def test_what_cannot_be_seen_in_is_blind_until_it_is_seen_again(
    server: RtspServer, watch: Callable[[str], Watched]
) -> None:
    watched = watch(server.url("cam"))
    watched.until("live")
    watched.camera.blind("covered")
    watched.frame()
    assert watched.camera.status.reason == "covered"
    watched.camera.blind(None)
    assert watched.states == ["connecting", "live", "blind", "live"]


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


def test_a_folder_gives_its_stills_in_order_and_what_comes_later_and_passes_over_what_is_none(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    def put(name: str, grey: int) -> None:
        cv2.imwrite(str(tmp_path / name), np.full((120, 160, 3), grey, np.uint8))

    put("a.jpg", 40)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    put("c.png", 120)
    watched = watch(str(tmp_path), every_s=0.3)
    greys = [round(float(watched.frame().y.mean()), -1) for _ in range(2)]
    put("d.jpg", 200)
    greys.append(round(float(watched.frame().y.mean()), -1))
    assert greys == sorted(greys)
    assert len(set(greys)) == 3
    assert watched.camera.counters.corrupt == 1


def test_a_picture_and_a_stream_by_http_are_read_and_a_missing_one_is_told(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    cv2.imwrite(str(tmp_path / "now.jpg"), np.full((120, 160, 3), 90, np.uint8))
    render(tmp_path / "clip.ts", seconds=6)
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        asked = watch(f"{address}/now.jpg", every_s=0.2)
        assert [asked.frame().y.shape for _ in range(3)] == [(120, 160)] * 3
        assert watch(f"{address}/clip.ts").frame().y.shape == (120, 160)
        assert watch(f"{address}/none.jpg").until("not_found").reason == "no_stream"
        server.shutdown()


def test_hls_is_read_as_its_pieces_come_and_one_that_ends_is_told(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    """A list that grows by a piece a second, as a camera's web server has it."""
    clip = render(tmp_path / "clip.mp4", seconds=6)
    with (
        av.open(str(clip)) as source,
        av.open(str(tmp_path / "all.m3u8"), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}) as out,
    ):
        video = source.streams.video[0]
        copy = out.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    head, *pieces = re.split(r"(?=#EXTINF)", (tmp_path / "all.m3u8").read_text().replace("#EXT-X-ENDLIST\n", ""))
    assert len(pieces) >= 4
    live = tmp_path / "live.m3u8"
    live.write_text(head + "".join(pieces[:2]))
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watched = watch(f"http://127.0.0.1:{server.server_port}/live.m3u8")
        assert watched.frame().y.shape == (120, 160)
        before = watched.camera.counters.frames
        live.write_text(head + "".join(pieces))
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while watched.camera.counters.frames < before + 20 and time.monotonic() < give_up:
            watched.camera.take(0.1)
        assert watched.camera.counters.frames >= before + 20
        assert "live" in watched.states
        server.shutdown()


def test_an_usb_camera_that_is_not_there_is_told(watch: Callable[[str], Watched]) -> None:
    assert watch("/dev/video63").until("not_found").reason == "no_file"


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="NO USB CAMERA: nobody has tried one here")
def test_an_usb_camera_gives_pictures(watch: Callable[[str], Watched]) -> None:
    assert watch("/dev/video0").frame().y.size > 0


def test_a_missing_file_is_not_found(tmp_path: Path, watch: Callable[[str], Watched]) -> None:
    assert watch(str(tmp_path / "none.mp4")).until("not_found").reason == "no_file"


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
