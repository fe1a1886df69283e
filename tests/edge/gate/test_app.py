"""A gate whose eye dies while somebody is out."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from edge.gate.app import Gate
from edge.settings import EdgeSettings
from edge.sighting import Last, Outside, Told
from models.document import load
from models.wire import events
from models.wire.events import Event, ZoneBreached

NOW = datetime.now(UTC)
LEFT = ZoneBreached(
    phase="open",
    incident="a1b2",
    zone="yard",
    track=1,
    box=(0.1, 0.1, 0.1, 0.2),
    foot=(0.15, 0.3),
    left_at=1.0,
    reported_at=2.0,
    certainty="left",
)


def gate(folder: Path) -> Gate:
    """With no broker and a camera that is away."""
    file = folder / "box.yaml"
    file.write_text(
        f"""site: qs-003
edge: edge-01
data: {folder}/data
central: {{broker: 'mqtt://127.0.0.1:1', http: 'http://127.0.0.1:1', seal_key: {"CQ" + "A" * 41}}}
cameras: [{{id: cam-2, source: {folder}/absent.mp4, watch: quarantine, detector: motion}}]
"""
    )
    settings = load(file, EdgeSettings)
    assert settings.central is not None
    return Gate(settings, settings.central, file)


def breaches(one: Gate) -> list[Event]:
    """What is kept for central, in its order."""
    one.outbox.resend()
    rows = sorted(one.outbox.unsent("now", limit=1000, limit_bytes=1 << 30), key=lambda row: row.sequence)
    told = [events.read(events.open_envelope(row.body)) for row in rows]
    return [event for event in told if isinstance(event.data, ZoneBreached)]


def until_ended(one: Gate) -> list[Event]:
    give_up = time.monotonic() + 60
    while len(found := breaches(one)) < 2:
        assert time.monotonic() < give_up, f"only {found}"
        time.sleep(0.05)
    return found


def say(one: Gate) -> None:
    one.take(Told(camera="cam-2", seen_at=NOW, stream_s=2.0, event="zone.breached.v1", raw=msgspec.json.encode(LEFT)))
    one.take(Outside(camera="cam-2", last={"a1b2": Last(NOW + timedelta(seconds=5), 7.0)}))


def check_end(told: list[Event]) -> None:
    left, ended = told
    assert isinstance(left.data, ZoneBreached)
    assert isinstance(ended.data, ZoneBreached)
    assert (left.data.phase, left.time) == ("open", NOW)
    assert (ended.data.phase, ended.data.end_reason, ended.data.incident) == ("close", "restart", "a1b2")
    assert (ended.data.reported_at, ended.time) == (7.0, NOW + timedelta(seconds=5)), "never a moment that was made up"


def test_an_eye_that_is_killed_leaves_no_breach_open(tmp_path: Path) -> None:
    one = gate(tmp_path)
    one.start()
    try:
        say(one)
        while "cam-2" not in one.state().cameras:  # type: ignore[operator]  # until the eye has spoken
            time.sleep(0.05)
        os.kill(one._eyes[0].pid, signal.SIGKILL)
        check_end(until_ended(one))
    finally:
        one.close()


def test_a_box_that_dies_ends_its_breaches_when_it_is_back(tmp_path: Path) -> None:
    dying = gate(tmp_path)
    say(dying)
    dying.evidence.close()
    dying.outbox.close()  # no more than what the disk has is left
    again = gate(tmp_path)
    again.start()
    try:
        check_end(until_ended(again))
    finally:
        again.close()
