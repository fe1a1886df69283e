"""The only door to boxes and cameras."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import RowMapping, Table, bindparam, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.sites import rules
from central.sites.rules import Came, CameraRow, EdgeRow, Seen
from central.sites.tables import camera_health, camera_status, edge, sequence_seen, watch_span
from models.wire.events import CameraStatus, EdgeState, Event, Machine
from models.wire.topics import Box

_CAMERA_KEY = ("site", "edge", "camera")
_SEEN_KEY = ("box", "epoch", "chunk")


@dataclass(frozen=True)
class Told:
    """A box's birth, heartbeat or last will. `replayed`: the broker had kept it, so it says nothing of the clock."""

    box: Box
    state: EdgeState
    replayed: bool


async def record_states(connection: AsyncConnection, told: Sequence[Told], received_at: datetime) -> None:
    """In the order in which they came."""
    boxes = sorted({one.box for one in told})
    if not boxes:
        return
    query = select(edge).where(edge.c.site.in_([b.site for b in boxes]), edge.c.edge.in_([b.edge for b in boxes]))
    held: dict[Box, dict[str, Any]] = {
        Box(row["site"], row["edge"]): dict(row) for row in (await connection.execute(query)).mappings()
    }
    cameras: dict[tuple[str, str, str], dict[str, Any]] = {}
    changed: dict[Box, dict[str, Any]] = {}
    beats: dict[tuple[str, str, str], rules.Beat] = {}
    steps: dict[Box, float] = {}
    for one in told:
        box, state = one.box, one.state
        known = changed.get(box) or held.get(box)
        if rules.outdated(state.state, state.boot, known["boot"] if known else None):
            continue
        untold = dict.fromkeys(("skew", "waiting", "version", "machine"))
        row = dict(known or {"site": box.site, "edge": box.edge, **untold})
        row |= {"boot": state.boot, "state": state.state, "at": received_at}
        if state.at is not UNSET:
            row["at"] = state.at if one.replayed else received_at
            if not one.replayed:
                row["skew"] = (state.at - received_at).total_seconds()
                if known is not None and known["skew"] is not None and known["boot"] == state.boot:
                    steps[box] = row["skew"] - known["skew"]
        row |= {name: value for name in ("waiting", "version") if (value := getattr(state, name)) is not UNSET}
        if state.machine is not UNSET:
            row["machine"] = msgspec.json.encode(state.machine).decode()
        changed[box] = row
        for name, health in {} if state.cameras is UNSET else state.cameras.items():
            if state.at is not UNSET and not one.replayed:
                # both on the box's clock, so that its error goes out
                began = received_at - max(state.at - health.since, timedelta())
                kind = rules.seeing(health.state, health.mode)
                beats[box.site, box.edge, name] = rules.Beat(kind=kind, began=began, at=received_at)
            cameras[box.site, box.edge, name] = {
                "state": health.state,
                "reason": health.reason,
                "watch": health.watch,
                "mode": health.mode,
                "since": health.since,
                "at": received_at if state.at is UNSET else state.at,
                "picture_at": None
                if health.frame_age_s is UNSET or one.replayed
                else received_at - timedelta(seconds=health.frame_age_s),
            }
    await _upsert(connection, edge, ("site", "edge"), [changed[box] for box in sorted(changed)])
    rows = [dict(zip(_CAMERA_KEY, key, strict=True)) | cameras[key] for key in sorted(cameras)]
    await _upsert(connection, camera_health, _CAMERA_KEY, rows, newer="at")
    await _cover(connection, beats, steps, received_at)


async def _cover(
    connection: AsyncConnection,
    beats: Mapping[tuple[str, str, str], rules.Beat],
    steps: Mapping[Box, float],
    now: datetime,
) -> None:
    """Spans go on or begin; a box's clock that was set is a row of its own and no time."""
    if not beats:
        return
    held = await _spans(connection, now - timedelta(days=1), {site for site, _, _ in beats})
    changed = []
    for key in sorted(beats):
        span = rules.beat(held[key][-1] if held.get(key) else None, beats[key])
        if span is not None:
            changed.append(_span_row(key, span.kind, span.started, span.until, 0.0))
        step_s = steps.get(Box(*key[:2]), 0.0)
        if abs(step_s) > rules.STEP_SECONDS:
            changed.append(_span_row(key, "step", now, now, step_s))
    await _upsert(connection, watch_span, (*_CAMERA_KEY, "started", "kind"), changed)


def _span_row(
    key: tuple[str, str, str], kind: str, started: datetime, until: datetime, step_s: float
) -> dict[str, Any]:
    told = {"kind": kind, "started": started, "until": until, "step_s": step_s}
    return dict(zip(_CAMERA_KEY, key, strict=True)) | told


async def _spans(
    connection: AsyncConnection, since: datetime, sites: Collection[str] = ()
) -> dict[tuple[str, str, str], list[rules.Span]]:
    """Of each camera, oldest first."""
    query = select(watch_span).where(watch_span.c.until > since, watch_span.c.kind != "step")
    if sites:
        query = query.where(watch_span.c.site.in_(sorted(sites)))
    found: dict[tuple[str, str, str], list[rules.Span]] = defaultdict(list)
    for row in (await connection.execute(query.order_by(watch_span.c.started))).mappings():
        key = row["site"], row["edge"], row["camera"]
        found[key].append(rules.Span(kind=row["kind"], started=row["started"], until=row["until"]))
    return found


async def steps(connection: AsyncConnection, since: datetime) -> list[rules.ClockStep]:
    """When which box's clock was set, newest first."""
    query = (
        select(watch_span.c.site, watch_span.c.edge, watch_span.c.started, watch_span.c.step_s)
        .where(watch_span.c.kind == "step", watch_span.c.until > since)
        .distinct()
        .order_by(watch_span.c.started.desc(), watch_span.c.site, watch_span.c.edge)
        .limit(100)
    )
    rows = await connection.execute(query)
    return [rules.ClockStep(site=row.site, edge=row.edge, at=row.started, seconds=row.step_s) for row in rows]


async def purge(engine: AsyncEngine, before: datetime) -> int:
    """What cameras saw before then goes; how many spans went."""
    async with db.writing(engine) as connection:
        return int((await connection.execute(delete(watch_span).where(watch_span.c.until < before))).rowcount)


async def coverage(
    connection: AsyncConnection, since: datetime, until: datetime
) -> dict[tuple[str, str, str], rules.Coverage]:
    """What each camera (site, edge, camera) saw of this time."""
    spans = await _spans(connection, since)
    return {key: rules.coverage(all_, since, until) for key, all_ in spans.items()}


async def _upsert(
    connection: AsyncConnection,
    table: Table,
    key: Sequence[str],
    rows: Sequence[dict[str, Any]],
    *,
    newer: str | None = None,
) -> None:
    """Write the rows, or with `newer` only those that are not older by that column than what is there."""
    if not rows:
        return
    statement = db.insert(connection, table)
    await db.write_many(
        connection,
        statement.on_conflict_do_update(
            index_elements=list(key),
            set_={name: statement.excluded[name] for name in rows[0] if name not in key},
            where=None if newer is None else statement.excluded[newer] >= table.c[newer],
        ),
        rows,
    )


async def record_statuses(connection: AsyncConnection, told: Sequence[tuple[Event, CameraStatus]]) -> None:
    """New camera.status events, in any order: of each camera and outbox the newest."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for event, status in sorted(told, key=lambda one: one[0].sequence):
        newest[event.site, event.edge, status.camera, event.epoch] = {
            "state": status.state,
            "reason": status.reason,
            "at": event.time,
            "sequence": event.sequence,
        }
    key = (*_CAMERA_KEY, "epoch")
    rows = [dict(zip(key, names, strict=True)) | newest[names] for names in sorted(newest)]
    await _upsert(connection, camera_status, key, rows, newer="sequence")


async def record_seen(connection: AsyncConnection, came: Sequence[Came], now: datetime) -> None:
    """Which sequences of which outbox have come. Bits are only ever added, so any order leaves the same ones."""
    chunks = rules.chunks(came)
    if not chunks:
        return
    keys = sorted(chunks)
    statement = db.insert(connection, sequence_seen)
    held = await _lock(connection, keys)
    if missing := [key for key in keys if key not in held]:
        # First they are there, then they are locked: so two replicas that hear of the same outbox at once add to each
        # other's bits.
        empty = [dict(zip(_SEEN_KEY, key, strict=True)) | {"bits": b"", "repeated": 0, "at": now} for key in missing]
        await db.write_many(connection, statement.on_conflict_do_nothing(index_elements=list(_SEEN_KEY)), empty)
        held = await _lock(connection, keys)
    rows = [
        dict(zip(_SEEN_KEY, key, strict=True))
        | {"bits": rules.joined(held[key], chunks[key].bits), "repeated": chunks[key].repeated, "at": now}
        for key in keys
    ]
    adding = {
        "bits": statement.excluded.bits,
        "repeated": sequence_seen.c.repeated + statement.excluded.repeated,
        "at": statement.excluded.at,
    }
    await db.write_many(connection, statement.on_conflict_do_update(index_elements=list(_SEEN_KEY), set_=adding), rows)


async def _lock(connection: AsyncConnection, keys: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str, int], bytes]:
    """Their bits, held for us until the commit, in the order of their keys."""
    columns = [sequence_seen.c[name] for name in _SEEN_KEY]
    among = [columns[place].in_(sorted({key[place] for key in keys})) for place in range(len(columns))]
    query = select(*columns, sequence_seen.c.bits).where(*among).order_by(*columns).with_for_update()
    return {(row[0], row[1], row[2]): row[3] for row in await connection.execute(query)}


async def seen(
    connection: AsyncConnection, box: Box, epoch: str, asked: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Of the sequences asked for, those that have come; of very many only the newest are looked up."""
    rows = await connection.execute(
        select(sequence_seen).where(
            sequence_seen.c.box == f"{box.site}/{box.edge}",
            sequence_seen.c.epoch == epoch,
            or_(sequence_seen.c.chunk.in_(rules.chunks_of(asked)), sequence_seen.c.whole > 0),
        )
    )
    return rules.came_of(asked, [_seen(row) for row in rows.mappings()])


def _outbox(row: RowMapping) -> tuple[str, str]:
    return row["box"], row["epoch"]


def _seen(row: RowMapping) -> Seen:
    return Seen(row["chunk"], row["bits"], row["whole"], row["repeated"])


async def gaps(connection: AsyncConnection, places: Sequence[str] = ()) -> list[rules.Gap]:
    """Of every outbox, what has not come; the most missing first. No places: the whole city."""
    rows = await connection.execute(select(sequence_seen).order_by(*(sequence_seen.c[name] for name in _SEEN_KEY)))
    found = [
        rules.gap(box, epoch, [_seen(row) for row in group])
        for (box, epoch), group in groupby(rows.mappings(), key=_outbox)
        if not places or box.partition("/")[0] in places
    ]
    return sorted(found, key=lambda gap: (-gap.missing, gap.box, gap.epoch))


async def fold_seen(engine: AsyncEngine) -> int:
    """Outboxes of which whole chunks have come: those become one row each. How many outboxes that were."""
    columns = [sequence_seen.c[name] for name in _SEEN_KEY]
    mine = [sequence_seen.c.box == bindparam("its_box"), sequence_seen.c.epoch == bindparam("its_epoch")]
    async with db.reading(engine) as connection:
        due = select(sequence_seen.c.box, sequence_seen.c.epoch).where(sequence_seen.c.bits == rules.FULL).distinct()
        outboxes = sorted((row.box, row.epoch) for row in await connection.execute(due))
    for box, epoch in outboxes:
        named = {"its_box": box, "its_epoch": epoch}
        async with db.writing(engine) as connection:
            query = select(sequence_seen).where(*mine).order_by(*columns).with_for_update()
            held = {row["chunk"]: row for row in (await connection.execute(query, named)).mappings()}
            before = [_seen(row) for row in held.values()]
            kept = rules.folded(before)
            gone = [{**named, "its_chunk": chunk} for chunk in held.keys() - {row.chunk for row in kept}]
            if gone:
                one = sequence_seen.c.chunk == bindparam("its_chunk")
                await connection.execute(delete(sequence_seen).where(*mine, one), gone)
            rows = [
                {"box": box, "epoch": epoch, "chunk": row.chunk, "bits": row.bits, "whole": row.whole,
                 "repeated": row.repeated, "at": max(one["at"] for one in held.values())}
                for row in kept
                if row not in before
            ]  # fmt: skip
            await _upsert(connection, sequence_seen, _SEEN_KEY, rows)
    return len(outboxes)


async def forget_seen(connection: AsyncConnection, limit: datetime) -> int:
    """Rows that nothing has been added to since then, and what lies before them; how many sequences never came.

    They are forgotten, not taken for come: a box that still has them sends them, and they are new.
    """
    newest = (
        select(sequence_seen.c.box, sequence_seen.c.epoch, func.max(sequence_seen.c.chunk).label("chunk"))
        .where(sequence_seen.c.at < limit)
        .group_by(sequence_seen.c.box, sequence_seen.c.epoch)
    )
    missing = 0
    for box, epoch, chunk in sorted((row.box, row.epoch, row.chunk) for row in await connection.execute(newest)):
        old = [sequence_seen.c.box == box, sequence_seen.c.epoch == epoch, sequence_seen.c.chunk <= chunk]
        rows = await connection.execute(select(sequence_seen).where(*old).order_by(sequence_seen.c.chunk))
        missing += rules.gap(box, epoch, [_seen(row) for row in rows.mappings()]).missing
        await connection.execute(delete(sequence_seen).where(*old))
    return missing


async def totals(connection: AsyncConnection) -> dict[str, float]:
    """Boxes, what waits on them, and what came of them, as numbers."""
    rows = await edges(connection)
    found = await gaps(connection)
    return {
        "edges": len(rows),
        "edges_online": sum(row.online for row in rows),
        "edge_waiting": sum(row.waiting or 0 for row in rows),
        "edge_skew_seconds_max": max((abs(row.skew) for row in rows if row.skew is not None), default=0.0),
        "sequences_missing": sum(gap.missing for gap in found),
        "sequences_repeated": sum(gap.repeated for gap in found),
    }


async def edges(connection: AsyncConnection, places: Sequence[str] = ()) -> list[EdgeRow]:
    """Offline ones first, then those that want something, then by place. No places: the whole city."""
    found = (dict(row) for row in (await connection.execute(select(edge))).mappings())
    rows = [
        EdgeRow(**row | {"machine": msgspec.json.decode(row["machine"], type=Machine) if row["machine"] else None})
        for row in found
        if not places or row["site"] in places
    ]
    return sorted(rows, key=lambda row: (row.online, -len(row.wants), row.site, row.edge))


async def cameras(connection: AsyncConnection, places: Sequence[str] = ()) -> list[CameraRow]:
    """Every camera that a box has ever told of, as it was last told: unseen ones first, then by place."""
    boxes = {(row.site, row.edge): row.state for row in await edges(connection)}
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for health in (await connection.execute(select(camera_health))).mappings():
        told = dict(health)
        del told["since"]
        rows[health["site"], health["edge"], health["camera"]] = told
    statuses = await connection.execute(select(camera_status).order_by(camera_status.c.at, camera_status.c.epoch))
    for status in statuses.mappings():
        row = rows.setdefault(
            (status["site"], status["edge"], status["camera"]),
            {name: status[name] for name in ("site", "edge", "camera", "state", "reason", "at")}
            | {"watch": "", "mode": ""},
        )
        if status["at"] >= row["at"]:
            row |= {name: status[name] for name in ("state", "reason", "at")}
    now = datetime.now(UTC)
    covered = await coverage(connection, now - timedelta(hours=1), now)
    found = [
        CameraRow(
            **row,
            seen=rules.seen(row["state"], boxes.get((row["site"], row["edge"]))),
            unseen_minutes=_unseen_minutes(covered.get((row["site"], row["edge"], row["camera"]))),
        )
        for row in rows.values()
        if not places or row["site"] in places
    ]
    return sorted(found, key=lambda row: (row.seen, row.site, row.edge, row.camera))


def _unseen_minutes(covered: rules.Coverage | None) -> int:
    hour = timedelta(hours=1)
    return ceil((hour - (timedelta() if covered is None else covered.seen)) / timedelta(minutes=1))
