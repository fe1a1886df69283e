from pathlib import Path

import pytest

from edge.settings import EdgeSettings
from models.document import BadDocument, parse

GOOD = """\
site: cp-014
edge: edge-01
cameras:
  - id: cam-1
    source: rtsp://127.0.0.1/x
    watch: quarantine
    zones:
      - {id: yard, kind: stay-inside, polygon: [[0, 0], [1, 0], [1, 1]]}
"""


def test_a_short_document_is_enough() -> None:
    settings = parse(GOOD, EdgeSettings, name="box.yaml")
    assert settings.cameras[0].zones[0].hold_seconds == 1.0
    assert settings.central is None


@pytest.mark.parametrize(
    ("good", "bad", "line", "words"),
    [
        ("edge: edge-01", "edge: edge-01\nspeed: 3", 3, "unknown key"),
        ("watch: quarantine", "watch: sleep", 6, "quarantine"),
        ("[[0, 0], [1, 0], [1, 1]]", "[[0, 0], [1, 0]]", 8, "at least 3 corners"),
        ("[[0, 0], [1, 0], [1, 1]]", "[[0, 0], [1, 1], [1, 0], [0, 1]]", 8, "cross"),
        ("[[0, 0], [1, 0], [1, 1]]", "[[0, 0], [1, 0], [1, 2]]", 8, "less than or equal to 1"),
        ("kind: stay-inside", "kind: ignore, free: [{since: '06:00'}]", 8, "free and exits belong to"),
        ("watch: quarantine", "watch: quarantine\n    stop: vehicle", 4, "stop: vehicle is for a checkpoint"),
        ("watch: quarantine", "watch: checkpoint\n    stop: lorry", 7, "'person' or 'vehicle'"),
        ("site: cp-014\n", "", 1, "site: missing"),
        ("site: cp-014", "site: [", 3, "not YAML"),
        ("site: cp-014", "site: CP/014", 1, "pattern"),
    ],
)
def test_a_fault_is_named_with_its_line(good: str, bad: str, line: int, words: str) -> None:
    assert good in GOOD
    with pytest.raises(BadDocument) as told:
        parse(GOOD.replace(good, bad), EdgeSettings, name="box.yaml")
    assert str(told.value).startswith(f"box.yaml:{line}: ")
    assert words in str(told.value)


def test_two_cameras_of_one_name_are_refused() -> None:
    camera = "  - {id: cam-1, source: x, watch: traffic}\n"
    with pytest.raises(BadDocument, match="two cameras have the same id"):
        parse(GOOD + camera, EdgeSettings, name="box.yaml")


@pytest.mark.parametrize("broker", ["http://127.0.0.1", "mqtt://", "127.0.0.1:1883"])
def test_an_address_that_is_none_is_refused(broker: str) -> None:
    central = f"central: {{broker: '{broker}', http: 'http://h', seal_key: {'A' * 43}}}\n"
    with pytest.raises(BadDocument, match="is no address"):
        parse(GOOD + central, EdgeSettings, name=str(Path("box.yaml")))
