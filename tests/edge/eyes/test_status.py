import av.error

from edge.eyes.status import broken


def test_an_error_of_ffmpeg_loses_its_text_with_the_password() -> None:
    fault = broken(av.error.HTTPUnauthorizedError(1, "unauthorized", "rtsp://u:s3cr3t@cam/a"))
    assert (fault.state, fault.reason) == ("unauthorised", "password")
    assert "s3cr3t" not in f"{fault!r} {fault}"
