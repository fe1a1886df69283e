from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.city.people import CAST
from scripts.city.rtsp import RtspServer
from tests.conftest import Broker
from tests.flow.street import Street, render

LAST_WORDS = 4000


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cast of the checkpoint, one after another."""
    return render(tmp_path_factory.mktemp("clip") / "checkpoint.mp4", [role.text for role in CAST])


@pytest.fixture
def camera(clip: Path) -> Iterator[RtspServer]:
    """A camera that shows the clip for ever, at `gate`."""
    server = RtspServer()
    server.add("gate", clip)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def street(request: pytest.FixtureRequest, tmp_path: Path, mosquitto: Broker) -> Iterator[Street]:
    """On SQLite, or on the database that a test is parametrised with. What its processes said last is shown when the
    test fails.
    """
    kind = getattr(request, "param", "sqlite")
    database = request.getfixturevalue("postgres") if kind == "postgres" else f"sqlite+aiosqlite:///{tmp_path}/c.db"
    made = Street(tmp_path, database, mosquitto.url)
    yield made
    made.end()
    for log in sorted(tmp_path.glob("*.log")):
        # pytest shows what is printed only when the test fails
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-LAST_WORDS:]}")
