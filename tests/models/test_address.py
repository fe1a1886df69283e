import pytest

from models.address import redact


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
