import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gate.outbox import InUse, Outbox

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys
from pathlib import Path
from edge.gate.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
while True:
    print(outbox.put(lambda sequence, epoch: b"%d" % sequence, "now").result(), flush=True)
"""


def body(sequence: int, epoch: str) -> bytes:
    return f"{epoch}/{sequence}".encode()


def waiting(outbox: Outbox) -> list[int]:
    """Every row that is kept, whatever its class."""
    outbox.resend()
    kept = [
        row.sequence
        for urgency in ("now", "history")
        for row in outbox.unsent(urgency, limit=10_000, limit_bytes=1 << 30)
    ]
    outbox.resend()
    return sorted(kept)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db")
    yield box
    box.close()


def test_an_event_knows_its_own_sequence_and_epoch(outbox: Outbox) -> None:
    assert [outbox.put(body, "now").result() for _ in range(3)] == [1, 2, 3]
    assert [row.body for row in outbox.unsent("now")] == [f"{outbox.epoch}/{n}".encode() for n in (1, 2, 3)]


def test_the_newest_is_sent_first_and_nothing_twice(outbox: Outbox) -> None:
    for _ in range(5):
        outbox.put(body, "now").result()
    assert [row.sequence for row in outbox.unsent("now", limit=2)] == [4, 5]
    assert [row.sequence for row in outbox.unsent("now", limit=2)] == [2, 3]
    outbox.resend([5])
    assert [row.sequence for row in outbox.unsent("now")] == [1, 5]
    assert outbox.unsent("now") == []


def test_history_does_not_stand_in_the_way_of_now(outbox: Outbox) -> None:
    outbox.put(body, "now").result()
    outbox.put(body, "history").result()
    assert [row.sequence for row in outbox.unsent("now")] == [1]
    assert [row.sequence for row in outbox.unsent("history")] == [2]


def test_a_batch_has_a_size_but_never_leaves_a_large_event_behind(outbox: Outbox) -> None:
    for _ in range(3):
        outbox.put(lambda *_: bytes(1000), "now").result()
    assert len(outbox.unsent("now", limit_bytes=2500)) == 2
    assert len(outbox.unsent("now", limit_bytes=10)) == 1


def test_a_receipt_for_another_epoch_deletes_nothing_and_is_counted(outbox: Outbox) -> None:
    outbox.put(body, "now").result()
    outbox.receipt("another", [(1, 1)])
    outbox.put(body, "now").result()
    assert waiting(outbox) == [1, 2]
    assert outbox.strange_receipts == 1


def test_an_emptied_outbox_does_not_give_a_number_twice(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox.db")
    first.put(body, "now").result()
    first.receipt(first.epoch, [(1, 1)])
    first.close()
    again = Outbox(tmp_path / "outbox.db")
    assert (again.epoch, again.waiting, again.generated) == (first.epoch, 0, 1)
    assert again.put(body, "now").result() == 2
    again.close()


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 40),
    receipts=st.lists(st.lists(st.tuples(st.integers(1, 45), st.integers(0, 8)), max_size=4), max_size=6),
)
def test_what_waits_is_what_was_put_and_not_receipted(count: int, receipts: list[list[tuple[int, int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.db")
        for n in range(count):
            outbox.put(body, "now" if n % 3 else "history")
        gone = set()
        outbox.put(body, "now").result()
        for receipt in receipts:
            ranges = [(first, first + more) for first, more in receipt]
            gone |= {n for first, last in ranges for n in range(first, last + 1)}
            outbox.receipt(outbox.epoch, ranges)
        last = outbox.put(body, "now").result()
        expected = sorted({*range(1, count + 2)} - gone | {last})
        assert waiting(outbox) == expected
        assert (outbox.waiting, outbox.generated) == (len(expected), count + 2)
        outbox.close()


ORDER = ("crowd.measured.v1", "camera.status.v1")


def test_near_the_cap_measurements_go_first_then_repeats_and_nothing_else(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", cap_bytes=1000, thin_order=ORDER)
    for thin in ("camera.status.v1", "crowd.measured.v1", "crowd.measured.v1", None, None):
        outbox.put(lambda *_: bytes(150), "now", thin=thin).result()
    assert outbox.thinned == {}
    outbox.put(lambda *_: bytes(150), "now").result()
    assert (outbox.thinned, waiting(outbox)) == ({"crowd.measured.v1": ((2, 2),)}, [1, 3, 4, 5, 6])
    for _ in range(2):
        outbox.put(lambda *_: bytes(150), "now").result()
    assert outbox.thinned == {"crowd.measured.v1": ((2, 3),), "camera.status.v1": ((1, 1),)}
    for _ in range(9):
        outbox.put(lambda *_: bytes(150), "now").result()
    assert waiting(outbox) == list(range(4, 18))
    outbox.close()

    again = Outbox(tmp_path / "outbox.db", cap_bytes=1000, thin_order=ORDER)
    again.put(body, "history", settles=((2, 2),)).result()
    assert again.thinned == {"crowd.measured.v1": ((3, 3),), "camera.status.v1": ((1, 1),)}
    again.close()


def test_what_is_on_its_way_is_not_thinned(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", cap_bytes=1000, thin_order=ORDER)
    for _ in range(5):
        outbox.put(lambda *_: bytes(150), "history", thin="crowd.measured.v1").result()
    assert [row.sequence for row in outbox.unsent("history", limit=3)] == [3, 4, 5]
    for _ in range(4):
        outbox.put(lambda *_: bytes(150), "now").result()
    assert outbox.thinned == {"crowd.measured.v1": ((1, 2),)}
    outbox.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"NO MOUNT: nobody has seen a full disk here ({mounted.stderr.decode().strip()})")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> Path:
    """Another program takes all that is left."""
    hog = disk / "hog"
    file = os.open(hog, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(file, bytes(4096))
    os.close(file)
    return hog


def test_a_full_disk_and_then_room_loses_nothing_that_counts(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "outbox.db", ballast_bytes=512 << 10, thin_order=ORDER)
    with contextlib.closing(outbox):
        outbox.put(body, "now").result(timeout=30)
        for _ in range(200):
            measured = outbox.put(lambda *_: bytes(500), "history", thin=ORDER[0])
        measured.result(timeout=30)
        hog = fill(small_disk)
        passes = []
        for _ in range(1500):
            passes.append(outbox.put(lambda *_: bytes(500), "now"))
            outbox.put(lambda *_: bytes(500), "history", thin=ORDER[0])
        passes[200].result(timeout=30)
        assert (outbox.is_full, outbox.is_tight) == (True, True)
        assert not (small_disk / "outbox.db.ballast").exists()
        hog.unlink()
        numbers = {one.result(timeout=30) for one in passes}
        thinned = {n for first, last in outbox.thinned[ORDER[0]] for n in range(first, last + 1)}
        kept = set(waiting(outbox))
        assert numbers <= kept
        assert thinned | kept == set(range(1, outbox.generated + 1))
        deadline = time.monotonic() + 30
        while outbox.is_full and time.monotonic() < deadline:
            outbox.put(body, "now").result(timeout=30)
            time.sleep(0.2)
        assert (small_disk / "outbox.db.ballast").exists()


def test_an_event_that_cannot_be_made_costs_no_number_and_harms_no_other(outbox: Outbox) -> None:
    def fails(sequence: int, epoch: str) -> bytes:
        raise ValueError("no event")

    bad, good = outbox.put(fails, "now"), outbox.put(body, "now")
    with pytest.raises(ValueError, match="no event"):
        bad.result()
    assert good.result() == 1


def test_every_acknowledged_event_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(60)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        writer.wait()
        writer.stdout.close()
        outbox = Outbox(path)
        kept = waiting(outbox)
        assert set(acknowledged) <= set(kept)
        assert kept == list(range(1, len(kept) + 1))
        outbox.close()


def test_two_processes_never_share_an_outbox(outbox: Outbox, tmp_path: Path) -> None:
    with pytest.raises(InUse, match="another edge process"):
        Outbox(tmp_path / "outbox.db")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_file_is_moved_aside_and_a_new_epoch_begins(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(content)
    outbox = Outbox(path)
    assert outbox.was_damaged
    assert outbox.put(body, "now").result() == 1
    assert [kept.read_bytes() for kept in tmp_path.glob("outbox.db.damaged-*")] == [content]
    assert "moved aside" in caplog.text
    outbox.close()
