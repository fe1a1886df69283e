"""Bad lines for every day, and a power cut; `python -m tests.faults.weather` has the long ones."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.gate.outbox import Outbox
from tests.faults import rig
from tests.faults.weather import POISON, run

WRITER = """
import sys
from pathlib import Path
from edge.gate.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
number = 0
while True:
    number = outbox.put(lambda sequence, epoch: bytes(300), "now").result()
    print("kept", number, flush=True)
    if number % 40 == 0:
        outbox.receipt(outbox.epoch, [(number - 39, number - 20)])
        outbox.put(lambda sequence, epoch: bytes(300), "now").result()
        print("gone", number - 20, flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="weather-", dir="/tmp"))  # PostgreSQL's owner cannot enter pytest's own
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.service
@pytest.mark.timeout(400)
def test_no_line_no_stopped_central_no_clock_and_no_poison_loses_or_doubles_anything(folder: Path) -> None:
    ended = run(folder, seconds=6, freeze=2, seed=5)
    assert (ended.lost, ended.doubled) == (0, 0)
    assert min(ended.generated, ended.faults) > 0
    assert ended.dead >= len(POISON) - 1


def test_a_power_cut_at_any_moment_loses_no_committed_row_and_brings_no_receipted_one_back(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    said = tmp_path / "said"
    with said.open("wb") as out:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=out, cwd=rig.ROOT)
    try:
        rig.until(lambda: said.stat().st_size > 200, "the first rows", 30)
        for cut in range(25):
            time.sleep(0.013 * (cut % 7 + 1))
            writer.send_signal(signal.SIGSTOP)  # the disk as it is at this instant
            lines = said.read_text().splitlines()
            copy = tmp_path / f"cut-{cut}" / "outbox.db"
            copy.parent.mkdir()
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
            writer.send_signal(signal.SIGCONT)
            numbers = [tuple(line.split()) for line in lines if len(line.split()) == 2]
            kept = {int(number) for word, number in numbers if word == "kept"}
            gone = {n for word, last in numbers if word == "gone" for n in range(int(last) - 19, int(last) + 1)}
            with closing(Outbox(copy, ballast_bytes=0)) as again:
                assert not again.was_damaged
                again.resend()
                there = {row.sequence for row in again.unsent("now", limit=100_000, limit_bytes=1 << 30)}
            assert kept - gone - there <= receipted_meanwhile(kept)
            assert not gone & there
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()


def receipted_meanwhile(kept: set[int]) -> set[int]:
    """Receipts that were committed and not yet printed when the power went: the newest block of twenty alone."""
    block = max(kept, default=0) // 40 * 40
    return set(range(block - 39, block - 19))
