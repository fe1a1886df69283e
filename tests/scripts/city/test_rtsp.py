import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest

from scripts.city.rtsp import FAULTS, H264, H265, PACKET_BYTES, Fault, RtspServer, Unservable, packets, read_clip
from tests.clips import RATE, render

ROOT = Path(__file__).resolve().parents[3]
TCP = {"rtsp_transport": "tcp", "analyzeduration": "100000", "probesize": "50000"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def server(clip: Path) -> Iterator[RtspServer]:
    server = RtspServer()
    server.add("a", clip)
    server.add("b", clip)
    server.start()
    yield server
    server.stop()


def test_a_clip_keeps_every_picture_and_its_parameter_sets(clip: Path) -> None:
    found = read_clip(clip)
    assert len(found.pictures) == 2 * RATE
    assert [number for number, picture in enumerate(found.pictures) if picture.key] == [0, 5, 10, 15]
    assert (found.codec, sorted(found.sets), found.ticks, found.rate) == (H264, ["pps", "sps"], 180_000, RATE)


def test_a_file_that_is_no_h264_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 64, "yuvj420p"
        for packet in (*video.encode(av.VideoFrame(64, 64, "yuvj420p")), *video.encode(None)):
            container.mux(packet)
    with pytest.raises(Unservable, match="holds no H"):
        read_clip(path)


def test_a_large_unit_travels_in_fragments_that_make_it_again() -> None:
    unit = bytes([0x65]) + bytes(range(256)) * 20
    small, *parts = packets((b"\x67small", unit), H264)
    assert small == b"\x67small"
    assert all(len(part) <= PACKET_BYTES and part[0] == 0x7C for part in parts)
    assert [part[1] for part in parts] == [0x85, *[0x05] * (len(parts) - 2), 0x45]
    assert bytes([0x65]) + b"".join(part[2:] for part in parts) == unit


def test_a_viewer_begins_at_a_key_frame_and_the_loop_has_no_seam(server: RtspServer) -> None:
    with av.open(server.url("a"), options=TCP, timeout=5) as container:
        frames = list(islice(container.decode(video=0), 2 * RATE + 5))
    assert frames[0].key_frame
    stamps = [frame.pts for frame in frames if frame.pts is not None]
    assert {b - a for a, b in pairwise(stamps)} == {9000}


def test_two_streams_are_served_and_the_log_says_what_left_when(server: RtspServer) -> None:
    for path in ("a", "b"):
        with av.open(server.url(path), options=TCP, timeout=5) as container:
            assert next(container.decode(video=0)).width == 160
    log = list(server.sent("a"))
    assert [entry.frame for entry in log[:5]] == [0, 1, 2, 3, 4]
    assert [entry.at_s for entry in log] == sorted(entry.at_s for entry in log)


def test_an_unknown_path_is_not_found_and_a_wrong_password_unauthorised(server: RtspServer, clip: Path) -> None:
    with pytest.raises(av.error.HTTPNotFoundError):
        av.open(server.url("c"), options=TCP, timeout=5)
    guarded = RtspServer(user="u", password="p")
    guarded.add("a", clip)
    guarded.start()
    with pytest.raises(av.error.HTTPUnauthorizedError):
        av.open(guarded.url("a"), options=TCP, timeout=5)
    av.open(guarded.url("a").replace("//", "//u:p@"), options=TCP, timeout=5).close()
    guarded.stop()


def test_a_viewer_that_goes_away_is_forgotten(server: RtspServer) -> None:
    with av.open(server.url("a"), options=TCP, timeout=5):
        assert server.viewers("a") == 1
    give_up = time.monotonic() + 10
    while server.viewers("a") and time.monotonic() < give_up:
        time.sleep(0.02)
    assert server.viewers("a") == 0


def test_multicast_is_refused_and_reports_between_requests_are_passed_over(server: RtspServer) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url("").split(":")[2].strip("/"))), timeout=5) as viewer:
        report = b"$\x01\x00\x04abcd"
        viewer.sendall(report + f"SETUP {server.url('a')}/track0 RTSP/1.0\r\nCSeq: 7\r\n".encode())
        viewer.sendall(b"Transport: RTP/AVP;multicast;port=5000-5001\r\n\r\n")
        answer = viewer.recv(4096).decode()
    assert answer.startswith("RTSP/1.0 461 ")
    assert "CSeq: 7\r\n" in answer


def test_pictures_travel_by_udp_when_they_are_asked_for(server: RtspServer) -> None:
    options = TCP | {"rtsp_transport": "udp"}
    with av.open(server.url("a"), options=options, timeout=5) as container:
        assert next(container.decode(video=0)).width == 160


def test_h265_is_served_with_its_three_parameter_sets(server: RtspServer, tmp_path: Path) -> None:
    clip = render(tmp_path / "clip.mp4", codec="libx265", size=(320, 240))
    found = read_clip(clip)
    assert (found.codec, sorted(found.sets)) == (H265, ["pps", "sps", "vps"])
    server.add("h265", clip)
    with av.open(server.url("h265"), options=TCP, timeout=5) as container:
        frames = list(islice(container.decode(video=0), 3))
    assert frames[0].key_frame
    assert not any(frame.is_corrupt for frame in frames)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_spoils_a_stream_and_is_healed(clip: Path, tmp_path: Path, fault: Fault) -> None:
    server = RtspServer()
    server.add("a", clip, other=render(tmp_path / "other.mp4", size=(320, 240)))
    server.start()
    try:
        assert _seen(server) == (160, 120)
        server.fail("a", fault)
        during = _seen(server, 5.0 if fault in {"jump", "lossy", "damaged", "resize"} else 0.4)
        assert during == {"jump": (160, 120), "lossy": during, "damaged": during, "resize": (320, 240)}.get(fault)
        server.heal("a")
        assert _seen(server) == (160, 120)
    finally:
        server.stop()


def _seen(server: RtspServer, patience_s: float = 5.0) -> tuple[int, int] | None:
    """The size of the first whole picture, None when none comes."""
    try:
        with av.open(server.url("a"), options=TCP, timeout=patience_s) as container:
            for frame in islice(container.decode(video=0), 5):
                if not frame.is_corrupt:
                    return frame.width, frame.height
    except av.error.FFmpegError:
        return None
    return None


def test_the_command_serves_a_clip_and_prints_its_address(clip: Path) -> None:
    command = [sys.executable, "-m", "scripts.city.rtsp", str(clip), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            with av.open(url, options=TCP, timeout=5) as container:
                assert next(container.decode(video=0)).height == 120
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0
