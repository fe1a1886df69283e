"""kill -9, a thousand times: edges, broker, centrals, overlapping, and the generated log against the table.

    .venv/bin/python -m tests.faults.kills --kills 1000 --seed 7

The last line is JSON. The same storm meets an outbox that believes the broker's PUBACK. It loses: so the harness can
fail.
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
from dataclasses import dataclass
from pathlib import Path

from tests.faults import rig

RATE = 120.0
"""Events a second of each edge."""
DRAIN_S = 300.0


@dataclass(frozen=True)
class Result:
    generated: int
    lost: int
    doubled: int
    repeated: int


def _start(part: rig.Part) -> None:
    if not part.alive:
        part.start()


def storm(parts: Sequence[rig.Part], weights: Sequence[float], kills: int, dice: random.Random) -> int:
    """Kill and start again; an outage of one often meets an outage of another."""
    down: dict[str, float] = {}
    done = 0
    while done < kills:
        time.sleep(dice.uniform(0.1, 0.7))
        now = time.monotonic()
        for part in parts:
            if not part.alive and down.get(part.name, 0.0) <= now:
                _start(part)
        victim = dice.choices(parts, weights)[0]
        if victim.alive:
            victim.kill()
            down[victim.name] = time.monotonic() + dice.choice((0.0, 0.2, 1.5))
            done += 1
    for part in parts:
        _start(part)
    return done


def judge(postgres: rig.Postgres, made: dict[str, str]) -> Result:
    """Ids in the log against ids in the table, and what they caused against what they should have caused."""
    stored = [row[0] for row in postgres.rows("SELECT id FROM event")]
    doubled = len(stored) - len(set(stored))
    types = dict(postgres.rows("SELECT type, count(DISTINCT id) FROM event GROUP BY type"))
    ((alerted,),) = postgres.rows("SELECT coalesce(sum(count), 0) FROM alert WHERE kind = 'breach'")
    ((decided,),) = postgres.rows("SELECT count(*) FROM decision")
    doubled += abs(int(alerted) - types.get("zone.breached.v1", 0))
    doubled += abs(int(decided) - types.get("pass.scanned.v1", 0))
    ((repeated,),) = postgres.rows("SELECT coalesce(sum(repeated), 0) FROM sequence_seen")
    return Result(len(made), len(made.keys() - set(stored)), doubled, int(repeated))


def run(folder: Path, *, kills: int, seed: int, puback: bool = False, edges: int = 3, centrals: int = 2) -> Result:
    """One city, one storm, then quiet until everything has come or nothing more comes."""
    dice = random.Random(seed)
    broker_port = rig.free_port()
    broker = rig.mosquitto(folder, broker_port)
    url = f"mqtt://127.0.0.1:{broker_port}"
    postgres = rig.Postgres(folder / "pg", rig.free_port())
    boxes = [
        rig.edge(folder, f"edge-{number}", broker=url, rate=RATE, seed=-1, puback=puback) for number in range(edges)
    ]
    cities = [rig.central(folder, f"central-{number}", broker=url, database=postgres.url) for number in range(centrals)]
    everything = [broker, *cities, *boxes]
    try:
        postgres.start()
        for part in everything:
            part.start()
        rig.until(lambda: postgres.query("SELECT 1 FROM pg_tables WHERE tablename = 'event'"), "the tables")
        rig.until(lambda: postgres.rows("SELECT 1 FROM event LIMIT 1"), "the first event")
        weights = [3.0, *[1.0] * centrals, *[1.5] * edges]
        storm(everything, weights, kills, dice)
        for box in boxes:
            box.kill()
            box.words = [*box.words, "--drain"]  # it makes no more, and ends when its outbox is empty
            box.start()
        give_up = time.monotonic() + DRAIN_S
        while any(box.alive for box in boxes) and time.monotonic() < give_up:
            time.sleep(0.1)
        made: dict[str, str] = {}
        for box in boxes:
            made |= rig.generated(folder, box.name)
        return judge(postgres, made)
    finally:
        for part in [*everything, postgres.part]:
            part.kill()


def _end(_number: int, _frame: object) -> None:
    sys.exit(1)  # by way of every `finally`: no part is left running


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--puback-kills", type=int, help="of the PUBACK variant; as many at most")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--keep", action="store_true", help="the folder with the logs")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    print(f"seed {given.seed}", flush=True)
    results = []
    for puback in (False, True):
        kills = min(given.kills, given.puback_kills or 60) if puback else given.kills
        folder = Path(tempfile.mkdtemp(prefix="kills-", dir="/tmp"))
        folder.chmod(0o755)
        try:
            results.append(run(folder, kills=kills, seed=given.seed, puback=puback))
        finally:
            if given.keep:
                print(f"logs: {folder}")
            else:
                shutil.rmtree(folder)
        one = results[-1]
        name = "PUBACK outbox" if puback else "ours"
        print(f"{name:14} kills {kills:5} generated {one.generated:7} lost {one.lost:6} doubled {one.doubled:4} "
              f"redelivered {one.repeated:5}", flush=True)  # fmt: skip
    ours, peer = results
    share = ours.repeated / max(ours.generated, 1)
    print(
        json.dumps(
            {
                "lost": ours.lost,
                "doubled": ours.doubled,
                "redelivered_share": round(share, 5),
                "kills": given.kills,
                "lost_puback_variant": peer.lost,
            }
        )
    )
    return int(bool(ours.lost or ours.doubled or not peer.lost))


if __name__ == "__main__":
    sys.exit(main())
