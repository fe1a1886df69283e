"""The only door to streets by the minute and by the hour. Each new measure is folded in once, whatever the order."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import UNSET
from sqlalchemy import RowMapping, case, delete, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.history.rules import Span, Zone
from central.history.tables import street_purge, street_rollup
from models.wire.events import CrowdMeasured, Event

_log = logging.getLogger(__name__)
MINUTE_S, HOUR_S = 60, 3600
_AHEAD = timedelta(minutes=5)
"""A box's clock may be this far ahead of ours; what is further stands in no curve."""
_MOST = 1_000_000
"""Bodies in one picture; more is no count, and sums must not overflow."""
_LOCK = 0x73747265
_KEY = ("site", "edge", "camera", "zone", "span_s", "began")
_SUMS = (
    "looks", "people", "vehicles", "moving", "densities", "density_centi", "flows", "in_deci", "out_deci",
)  # fmt: skip


def _row(event: Event, measure: CrowdMeasured) -> dict[str, Any]:
    counts = measure.counts
    vehicles = counts.motorbike + counts.bicycle + counts.car + counts.bus + counts.truck
    density, flow = measure.density, measure.flow
    row: dict[str, Any] = {
        "looks": 1,
        "people": counts.person,
        "vehicles": vehicles,
        "moving": counts.unknown,
        "most": counts.person + vehicles + counts.unknown,
        "low": measure.low,
        "high": measure.high,
        "densities": int(density is not UNSET),
        "density_centi": 0 if density is UNSET else round(density * 100),
        "flows": int(flow is not UNSET),
        "in_deci": 0 if flow is UNSET else round(flow.in_ * 10),
        "out_deci": 0 if flow is UNSET else round(flow.out * 10),
    }
    told = {name: min(max(number, 0), _MOST) for name, number in row.items()}
    return {"site": event.site, "edge": event.edge, "camera": event.camera, "zone": measure.zone} | told


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    sums = {name: one[name] + other[name] for name in _SUMS}
    bounds = {"low": min(one["low"], other["low"]), **{n: max(one[n], other[n]) for n in ("high", "most")}}
    return one | sums | bounds


async def fold(
    connection: AsyncConnection, told: Sequence[tuple[Event, CrowdMeasured]], now: datetime, keep_days: int
) -> None:
    """Call once for each new measure. Older than events are kept it is left out: such an event could come a second
    time after its row was purged, and nobody would know it again.
    """
    since = now - timedelta(days=keep_days)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event, measure in told:
        if not since <= event.time < now + _AHEAD or event.clock == "unset":
            continue
        row = _row(event, measure)
        for span_s in (MINUTE_S, HOUR_S):
            mine = row | {"span_s": span_s, "began": _began(event.time, span_s)}
            key = tuple(mine[name] for name in _KEY)
            rows[key] = _joined(rows[key], mine) if key in rows else mine
    statement = db.insert(connection, street_rollup)
    held, new = street_rollup.c, statement.excluded
    await db.write_many(
        connection,
        statement.on_conflict_do_update(
            index_elements=list(_KEY),
            set_={name: held[name] + new[name] for name in _SUMS}
            | {"low": case((new.low < held.low, new.low), else_=held.low)}
            | {name: case((new[name] > held[name], new[name]), else_=held[name]) for name in ("high", "most")},
        ),
        [rows[key] for key in sorted(rows)],
    )


def _began(moment: datetime, span_s: int) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() // span_s * span_s, UTC)


async def recent(
    connection: AsyncConnection, now: datetime
) -> dict[tuple[str, ...], tuple[float | None, float | None]]:
    """Of each zone (site, edge, camera, zone): the mean of its last three minutes, and of the ten before them."""
    held = street_rollup.c
    turn, since = now - timedelta(minutes=3), now - timedelta(minutes=13)
    bodies = held.people + held.vehicles + held.moving
    late = held.began >= turn
    parts = [func.sum(case((which, what), else_=0)) for which in (late, ~late) for what in (bodies, held.looks)]
    zone = [held[name] for name in _KEY[:4]]
    rows = await connection.execute(
        select(*zone, *parts).where(held.span_s == MINUTE_S, held.began >= since, held.began <= now).group_by(*zone)
    )
    return {tuple(row[:4]): (_mean(row[4], row[5]), _mean(row[6], row[7])) for row in rows}


def _mean(total: int, looks: int) -> float | None:
    return int(total) / int(looks) if looks else None


def _span(row: RowMapping) -> Span:
    densities, flows = row["densities"], row["flows"]
    return Span(
        began=row["began"],
        looks=row["looks"],
        bodies=(row["people"] + row["vehicles"] + row["moving"]) / row["looks"],
        most=row["most"],
        low=row["low"],
        high=row["high"],
        density=row["density_centi"] / densities / 100 if densities else None,
        flow_in=row["in_deci"] / flows / 10 if flows else None,
        flow_out=row["out_deci"] / flows / 10 if flows else None,
    )


async def minutes(connection: AsyncConnection, zone: Zone, since: datetime, until: datetime) -> list[Span]:
    """Of one zone, oldest first."""
    held = street_rollup.c
    mine = [held[name] == value for name, value in zip(_KEY[:4], zone, strict=True)]
    when = held.span_s == MINUTE_S, held.began >= since, held.began < until
    rows = await connection.execute(select(street_rollup).where(*mine, *when).order_by(held.began))
    return [_span(row) for row in rows.mappings()]


async def hours(connection: AsyncConnection, since: datetime, until: datetime) -> dict[Zone, list[Span]]:
    """Of every zone, oldest first."""
    held = street_rollup.c
    when = held.span_s == HOUR_S, held.began >= since, held.began < until
    found: dict[Zone, list[Span]] = defaultdict(list)
    for row in (await connection.execute(select(street_rollup).where(*when).order_by(held.began))).mappings():
        found[row["site"], row["edge"], row["camera"], row["zone"]].append(_span(row))
    return found


# ---- what may be kept


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How long. The minutes reach back to the curve of last week, the hours over a year."""

    minute_days: int = 8
    hour_days: int = 400


async def purge(
    engine: AsyncEngine,
    keep: Keep,
    now: datetime,
    *,
    since: datetime,
    warnings: Callable[[AsyncConnection, datetime], Awaitable[int]],
) -> int | None:
    """Delete what is older, and by `warnings` those that were closed as long ago as an hour is kept. One row says what
    went and that nothing is left. None when there is such a row `since` then: another replica was here.
    """
    before = {MINUTE_S: now - timedelta(days=keep.minute_days), HOUR_S: now - timedelta(days=keep.hour_days)}
    old = {
        span_s: (street_rollup.c.span_s == span_s) & (street_rollup.c.began < moment)
        for span_s, moment in before.items()
    }
    async with db.writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        done = await connection.execute(select(street_purge.c.at).order_by(street_purge.c.at.desc()).limit(1))
        last = done.scalar_one_or_none()
        if last is not None and last >= since:
            return None
        gone = {s: (await connection.execute(delete(street_rollup).where(which))).rowcount for s, which in old.items()}
        forgotten = await warnings(connection, before[HOUR_S])
        counted = await connection.execute(select(func.count()).select_from(street_rollup).where(or_(*old.values())))
        row = {
            "at": now,
            "minutes_before": before[MINUTE_S],
            "hours_before": before[HOUR_S],
            "minutes": gone[MINUTE_S],
            "hours": gone[HOUR_S],
            "warnings": forgotten,
            "left": counted.scalar_one(),
        }
        await connection.execute(street_purge.insert().values(**row))
    _log.info("purged of streets: %(minutes)d minutes, %(hours)d hours, %(warnings)d warnings; %(left)d left", row)
    return gone[MINUTE_S] + gone[HOUR_S] + forgotten
