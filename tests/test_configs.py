from pathlib import Path

import pytest

from central.settings import CentralSettings
from edge.settings import EdgeSettings
from models.document import Section, load

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def kind(path: Path) -> type[Section]:
    return EdgeSettings if path.name.startswith("edge") else CentralSettings


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_loads(path: Path) -> None:
    load(path, kind(path))


def test_every_watch_has_an_example() -> None:
    found = {camera.watch for path in CONFIGS.glob("edge*.yaml") for camera in load(path, EdgeSettings).cameras}
    assert found == {"checkpoint", "quarantine", "traffic"}


def test_every_edge_example_can_be_run() -> None:
    assert all(load(path, EdgeSettings).central for path in CONFIGS.glob("edge*.yaml"))
