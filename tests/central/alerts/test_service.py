"""Phòng 201's camera sees somebody leave; Lan and Minh are on duty."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any, Literal

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.alerts import service
from central.alerts.rules import Alert, Cause, Outcome, Patience
from central.alerts.service import Acknowledged, Resolved, Taken
from central.alerts.tables import alert
from central.notify import service as notify
from central.notify.rules import Kind
from models.wire.events import ZoneBreached, join
from tests.central.city import NOW, City

PATIENCE = Patience()


def left(
    city: City,
    incident: str = "i1",
    *,
    track: int = 1,
    after_s: float = 0.0,
    phase: Literal["open", "update", "close"] = "open",
    **told: Any,
) -> bytes:
    breach = ZoneBreached(
        phase=phase,
        incident=incident,
        zone="yard",
        track=track,
        box=(0.1, 0.1, 0.1, 0.2),
        foot=(0.15, 0.3),
        left_at=1.0,
        reported_at=2.0,
        certainty="left",
        **told,
    )
    return join([city.event(breach, time=NOW + timedelta(seconds=after_s))])


def writing(city: City, step: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
    async def run(engine: AsyncEngine) -> Any:
        async with db.writing(engine) as connection:
            return await step(connection)

    return city.run(run)


def waiting(city: City) -> list[Alert]:
    found: list[Alert] = writing(city, service.open_alerts)
    return found


def acknowledge(city: City, alert: int, by: str = "Lan") -> Acknowledged | Taken:
    answer: Acknowledged | Taken = writing(city, lambda c: service.acknowledge(c, alert, by, NOW))
    return answer


def resolve(
    city: City, alert: int, outcome: Outcome = Outcome.RETURNED, cause: Cause | None = None, by: str = "Lan"
) -> Resolved | Taken:
    answer: Resolved | Taken = writing(
        city, lambda c: service.resolve(c, alert, outcome, cause=cause, note="", by=by, now=NOW)
    )
    return answer


def escalate(city: City, after_s: float) -> bool:
    went: bool = writing(city, lambda c: service.escalate(c, PATIENCE, NOW + timedelta(seconds=after_s)))
    return went


def test_of_two_who_acknowledge_one_gets_it_and_the_other_is_told_who(city: City) -> None:
    city.take(left(city))
    (one,) = waiting(city)
    assert [acknowledge(city, one.id, by) for by in ("Lan", "Minh")] == [Acknowledged("Lan"), Taken("Lan")]
    assert acknowledge(city, one.id + 1) == Taken(None)


def test_of_two_who_resolve_one_does_and_what_nobody_had_taken_is_taken_too(city: City) -> None:
    city.take(left(city))
    (one,) = waiting(city)
    assert isinstance(resolve(city, one.id, by="Minh"), Resolved)
    assert resolve(city, one.id, Outcome.STAFF) == Taken("Minh")
    ((done),) = writing(city, service.resolved)
    assert (done.by, done.outcome, done.resolved_by) == ("Minh", "returned", "Minh")
    assert acknowledge(city, one.id) == Taken("Minh")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_one_persons_breaches_within_half_a_minute_are_one_row_in_any_order(city: City, order: tuple[int, ...]) -> None:
    told = [left(city, "a"), left(city, "b", after_s=25), left(city, "c", after_s=50)]
    for one in order:
        city.take(told[one])
    (row,) = waiting(city)
    assert (len(row.joined), row.first_at) == (2, NOW)
    assert acknowledge(city, row.joined[0]) == Acknowledged("Lan")
    assert waiting(city) == []


def test_two_persons_and_what_is_further_apart_are_rows_of_their_own(city: City) -> None:
    city.take(left(city, "a"), left(city, "b", track=2, after_s=1), left(city, "c", after_s=31))
    assert [len(row.joined) for row in waiting(city)] == [0, 0, 0]


def test_who_leaves_again_after_a_breach_was_resolved_is_a_new_row(city: City) -> None:
    city.take(left(city, "a"))
    resolve(city, waiting(city)[0].id)
    city.take(left(city, "b", after_s=10))
    assert [row.first_at for row in waiting(city)] == [NOW + timedelta(seconds=10)]


def test_who_leaves_again_while_somebody_sees_to_it_does_not_ring_again(city: City) -> None:
    city.take(left(city, "a"))
    acknowledge(city, waiting(city)[0].id)
    city.take(left(city, "b", after_s=10))
    assert waiting(city) == []
    (row,) = writing(city, service.unresolved)
    assert (row.state, len(row.joined)) == ("acknowledged", 1)


def test_the_end_of_a_breach_stays_when_its_film_comes_later(city: City) -> None:
    film = left(city, phase="close", after_s=20, end_reason="returned")
    city.take(left(city), left(city, phase="close", after_s=7, end_reason="returned"), film)
    (row,) = waiting(city)
    assert (row.ended_at, row.end_reason) == (NOW + timedelta(seconds=7), "returned")


@pytest.mark.parametrize("quiet", ["trial", "hours", "line", "escort"])
def test_what_is_quiet_raises_nothing_until_it_is_not(city: City, quiet: str) -> None:
    city.take(left(city, quiet=quiet))
    assert waiting(city) == []
    city.take(left(city, phase="update", after_s=60))
    assert len(waiting(city)) == 1


def test_after_a_minute_a_second_screen_is_called_and_after_three_whoever_is_outside_once(city: City) -> None:
    city.take(left(city))

    async def recipient(connection: AsyncConnection) -> None:
        await notify.put(
            connection, city.keys, name="còi", address="json://127.0.0.1:1/", kinds=[Kind.BREACH], places=["cp-014"],
            lang="vi", by="lan", now=NOW,
        )  # fmt: skip

    writing(city, recipient)
    assert [escalate(city, after) for after in (59, 60, 61, 179, 180, 181)] == [False, True, False, False, True, False]
    (row,) = waiting(city)
    assert (row.second_at, row.out_at) == (NOW + timedelta(seconds=60), NOW + timedelta(seconds=180))
    (message,) = writing(city, lambda c: notify.messages(c, f"breach/{row.id}"))
    assert (message.recipient, message.title) == ("còi", "Rời vùng cách ly: cp-014 · yard")


def test_what_somebody_has_taken_and_what_came_late_goes_no_further(city: City) -> None:
    city.take(left(city, "late", track=2), now=NOW + timedelta(minutes=10))
    city.take(left(city))
    acknowledge(city, next(row.id for row in waiting(city) if not row.late))
    assert not escalate(city, 3600)


def test_central_counts_the_wait_from_when_it_heard_of_it(city: City) -> None:
    city.take(left(city), now=NOW + timedelta(seconds=100))
    assert not escalate(city, 159)
    assert escalate(city, 160)


def test_a_zones_false_alarms_suggest_a_band(city: City) -> None:
    wrong = [left(city, f"f{n}", track=n, beyond=0.3) for n in range(5)]
    city.take(*wrong, left(city, "true", track=9, beyond=0.9))
    for row in waiting(city):
        outcome = Outcome.RETURNED if row.beyond == 0.9 else Outcome.FALSE_ALARM
        resolve(city, row.id, outcome, Cause.LINE if outcome is Outcome.FALSE_ALARM else None)
    later: datetime = NOW + timedelta(days=1)
    (zone,) = writing(city, lambda c: service.zones(c, later))
    assert (zone.breaches, zone.false, dict(zone.causes), zone.band) == (6, 5, {"line": 5}, 0.35)
    assert writing(city, lambda c: service.zones(c, NOW + timedelta(days=31))) == []


def test_whoever_takes_an_alert_takes_back_what_has_not_been_sent(city: City) -> None:
    city.take(left(city))

    async def recipient(connection: AsyncConnection) -> None:
        await notify.put(
            connection, city.keys, name="còi", address="json://127.0.0.1:1/", kinds=[Kind.BREACH], places=[],
            lang="vi", by="lan", now=NOW,
        )  # fmt: skip

    writing(city, recipient)
    assert escalate(city, 200)
    (row,) = waiting(city)
    acknowledge(city, row.id)
    (message,) = writing(city, lambda c: notify.messages(c, f"breach/{row.id}"))
    assert message.state == "needless"


def test_what_nobody_resolves_never_pushes_an_open_alert_away(city: City) -> None:
    city.take(left(city, "oldest"))
    many = service._MOST_TAKEN + 5
    told = [left(city, f"i{number}", track=number + 2, after_s=60) for number in range(many)]
    city.take(*told)
    first = waiting(city)[0]

    async def take_all(connection: AsyncConnection) -> None:
        taken = {"state": "acknowledged", "by": "Lan", "by_at": NOW}
        await connection.execute(alert.update().where(alert.c.id != first.id).values(taken))

    writing(city, take_all)
    assert [row.id for row in waiting(city)] == [first.id]
    assert len(writing(city, service.unresolved)) == service._MOST_TAKEN + 1
