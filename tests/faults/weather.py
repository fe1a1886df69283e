"""Bad lines, stopped centrals, wrong clocks and poison, by a seed; then the generated log against the table.

    .venv/bin/python -m tests.faults.weather --seconds 300 --freeze 30 --seed 7

The last line is JSON.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from paho.mqtt import publish
from paho.mqtt.enums import MQTTProtocolVersion

from tests.faults import rig
from tests.faults.kills import judge
from tests.faults.wire import FAULTS, Wire

RATE = 80.0
DRAIN_S = 240.0
_BAD = (
    '[{"specversion":"1.0","id":"%s","source":"%s","type":"%s","time":"%s","clock":"unset","sequence":"9","epoch":"e",'
)
POISON = (
    *(b"", b"junk", b"{}", b"[", b"[1,null]", b'["\\u0000"]', b"\xff\xfe", b"[" * 2000),
    b"[" + b"1," * 400_000 + b"1]",
    (_BAD % ("x", "/faults/edge-0/c", "tube.paired.v9", "2021-01-01T00:00:00Z") + '"data":{}}]').encode(),
    (_BAD % ("y", "/faults/edge-0/c", "crowd.level.v1", "0001-01-01T00:00:00Z") + '"data":{}}]').encode(),
)


@dataclass(frozen=True)
class Weather:
    generated: int
    lost: int
    doubled: int
    dead: int
    faults: int
    replayed: int
    receipts_dropped: int


def poison(port: int) -> None:
    """A stranger on the box's own topic."""
    told = [{"topic": "v1/faults/edge-0/event", "payload": payload, "qos": 1} for payload in POISON]
    publish.multiple(told, port=port, protocol=MQTTProtocolVersion.MQTTv5)  # type: ignore[arg-type]  # plain dicts will do


def run(folder: Path, *, seconds: float, freeze: float, seed: int, edges: int = 2) -> Weather:
    dice = random.Random(seed)
    port = rig.free_port()
    broker = rig.mosquitto(folder, port)
    wire = Wire(port, seed=seed, replayed=0.05, dropped_receipts=0.3)
    postgres = rig.Postgres(folder / "pg", rig.free_port())
    url = f"mqtt://127.0.0.1:{wire.port}"
    boxes = [
        rig.edge(folder, f"edge-{n}", broker=url, rate=RATE, seed=-1, clock_steps=n % 2 == 1) for n in range(edges)
    ]
    central = rig.central(folder, "central", broker=f"mqtt://127.0.0.1:{port}", database=postgres.url)
    faults = 0
    try:
        broker.start()
        postgres.start()
        for part in (central, *boxes):
            part.start()
        rig.until(lambda: postgres.query("SELECT 1 FROM pg_tables WHERE tablename = 'event'"), "the tables")
        rig.until(lambda: postgres.rows("SELECT 1 FROM event LIMIT 1"), "the first event")
        poison(port)
        until = time.monotonic() + seconds
        frozen = False
        while time.monotonic() < until:
            time.sleep(dice.uniform(0.3, 1.5))
            fault = dice.choice(FAULTS)
            wire.suffer(fault)
            faults += 1
            time.sleep(dice.uniform(0.2, 2.0))
            wire.heal()
            if not frozen and time.monotonic() > until - seconds / 2:
                frozen = True
                central.freeze()
                time.sleep(freeze)
                central.thaw()
        wire.calm()
        for box in boxes:
            box.kill()
            box.words = [*box.words, "--drain"]
            box.start()
        give_up = time.monotonic() + DRAIN_S
        while any(box.alive for box in boxes) and time.monotonic() < give_up:
            time.sleep(0.1)
        made: dict[str, str] = {}
        for box in boxes:
            made |= rig.generated(folder, box.name)
        ended = judge(postgres, made)
        ((dead,),) = postgres.rows("SELECT count(*) FROM dead_letter")
        counted = wire.counted
        return Weather(
            ended.generated, ended.lost, ended.doubled, int(dead), faults, counted["replayed"],
            counted["receipts_dropped"],
        )  # fmt: skip
    finally:
        for part in (*boxes, central, broker, postgres.part):
            part.kill()
        wire.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--freeze", type=float, default=30.0, help="seconds for which central is stopped (SIGSTOP)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {given.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="weather-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        ended = run(folder, seconds=given.seconds, freeze=given.freeze, seed=given.seed)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(asdict(ended)))
    return int(bool(ended.lost or ended.doubled))


if __name__ == "__main__":
    sys.exit(main())
