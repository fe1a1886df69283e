"""A short storm for every day; `python -m tests.faults.kills --kills 1000` is the long one."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kills import run

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]


@pytest.fixture
def folder() -> Iterator[Path]:
    # not pytest's own folder: PostgreSQL's owner cannot enter it
    made = Path(tempfile.mkdtemp(prefix="kills-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_kill_minus_nine_loses_nothing_and_doubles_nothing(folder: Path) -> None:
    ended = run(folder, kills=10, seed=11)
    assert (ended.lost, ended.doubled) == (0, 0)
    assert ended.generated > 0


def test_the_same_storm_shows_what_an_outbox_loses_that_believes_the_broker(folder: Path) -> None:
    assert run(folder, kills=6, seed=11, puback=True, edges=1, centrals=1).lost > 0
