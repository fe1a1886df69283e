import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import rules, service
from central.auth.rules import Role
from central.auth.service import Entered, Refused
from central.auth.tables import account, audit, session
from tests.central.city import NOW, City

PASSWORD = "ba con bò vàng"


def add(city: City, name: str = "lan", *, roles: tuple[Role, ...] = (Role.SUPERVISOR,)) -> None:
    async def step(engine: AsyncEngine) -> bool:
        return await service.add(
            engine, name=name, full_name="Lan", password=PASSWORD, roles=roles, places=("q-1",), now=NOW
        )

    assert city.run(step)
    assert not city.run(step), "a name is given once"


def enter(city: City, name: str, password: str, after_s: float = 0) -> Entered | Refused:
    return city.run(lambda engine: service.enter(engine, name, password, NOW + timedelta(seconds=after_s)))


def test_who_enters_is_known_by_the_cookie_until_the_shift_ends(city: City) -> None:
    add(city)
    entered = enter(city, "lan", PASSWORD)
    assert isinstance(entered, Entered)
    later = NOW + timedelta(hours=rules.SESSION_HOURS)
    known = city.run(lambda engine: service.by_cookie(engine, entered.cookie, later - timedelta(seconds=1)))
    assert known is not None
    assert (known.name, known.roles, known.places) == ("lan", frozenset({Role.SUPERVISOR}), ("q-1",))
    assert city.run(lambda engine: service.by_cookie(engine, entered.cookie, later)) is None
    assert city.run(lambda engine: service.by_cookie(engine, entered.cookie + "x", NOW)) is None


def test_neither_password_nor_cookie_is_kept_in_plain(city: City) -> None:
    add(city)
    entered = enter(city, "lan", PASSWORD)
    assert isinstance(entered, Entered)
    kept = str(city.rows(account)) + str(city.rows(session))
    assert PASSWORD not in kept
    assert entered.cookie not in kept
    assert "$argon2id$" in kept


def test_five_wrong_tries_lock_even_the_right_password_out_and_time_opens(city: City) -> None:
    add(city)
    for _ in range(rules.FREE_TRIES):
        assert isinstance(enter(city, "lan", "wrong"), Refused)
    assert enter(city, "lan", PASSWORD, 10) == Refused(NOW + timedelta(seconds=30))
    assert isinstance(enter(city, "lan", PASSWORD, 31), Entered)
    assert isinstance(enter(city, "lan", "wrong", 32), Refused)
    assert isinstance(enter(city, "lan", PASSWORD, 33), Entered), "an entry forgives what was before it"


def test_a_name_that_is_not_there_is_answered_as_a_wrong_password(city: City) -> None:
    assert enter(city, "nobody", PASSWORD) == Refused()


def test_a_change_of_rights_ends_every_session_and_who_is_switched_off_stays_out(city: City) -> None:
    add(city)
    entered = enter(city, "lan", PASSWORD)
    assert isinstance(entered, Entered)
    assert city.run(lambda engine: service.change(engine, "lan", active=False))
    assert city.run(lambda engine: service.by_cookie(engine, entered.cookie, NOW)) is None
    assert isinstance(enter(city, "lan", PASSWORD), Refused)
    assert not city.run(lambda engine: service.change(engine, "nobody", active=False))


def test_a_token_opens_until_it_ends_or_is_revoked(city: City) -> None:
    async def make(engine: AsyncEngine) -> str | None:
        async with db.writing(engine) as connection:
            return await service.make_token(
                connection,
                name="reports", roles=[Role.VIEWER], places=(), reads_only=True, by="lan", days=2, now=NOW,
            )  # fmt: skip

    secret = city.run(make)
    assert secret is not None
    assert city.run(make) is None, "a name is given once"
    known = city.run(lambda engine: service.by_token(engine, secret, NOW))
    assert known is not None
    assert known.name == "token:reports"
    assert known.reads_only
    assert city.run(lambda engine: service.by_token(engine, secret, NOW + timedelta(days=2))) is None

    async def revoke(engine: AsyncEngine) -> bool:
        async with db.writing(engine) as connection:
            return await service.revoke_token(connection, "reports", NOW)

    assert city.run(revoke)
    assert not city.run(revoke)
    assert city.run(lambda engine: service.by_token(engine, secret, NOW)) is None


def test_notes_of_many_at_once_are_one_whole_chain(city: City) -> None:
    async def step(engine: AsyncEngine) -> list[dict[str, str]]:
        async def one(number: int) -> None:
            async with db.writing(engine) as connection:
                await service.note(connection, who=f"n{number}", what="GET /x", why="=1+1", now=NOW)

        await asyncio.gather(*(one(number) for number in range(12)))
        async with db.reading(engine) as connection:
            return [row async for row in service.audit_trail(connection)]

    trail = city.run(step)
    assert len(trail) == 12
    assert rules.broken_at(trail) is None


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_the_log(city: City, statement: str) -> None:
    async def note(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            await service.note(connection, who="lan", what="GET /x", now=NOW)

    async def change(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            await connection.execute(text(statement))

    city.run(note)
    with pytest.raises(DBAPIError, match="append-only"):
        city.run(change)
    assert city.count(audit) == 1


def test_the_log_is_searched_by_its_words_and_paged(city: City) -> None:
    async def step(engine: AsyncEngine) -> tuple[list[int], list[int], list[int]]:
        async with db.writing(engine) as connection:
            for number in range(5):
                await service.note(connection, who="lan" if number % 2 else "an%", what="GET /x", now=NOW)
        async with db.reading(engine) as connection:
            found = [
                await service.audited(connection, words="an%"),
                await service.audited(connection, limit=2),
                await service.audited(connection, limit=2, before=4),
            ]
        return tuple([row["number"] for row in rows] for rows in found)  # type: ignore[return-value]

    assert city.run(step) == ([5, 3, 1], [5, 4], [3, 2])


def test_digits_end_after_ten_minutes_and_the_longest_waiting_gives_way(city: City) -> None:
    async def step(engine: AsyncEngine) -> None:
        async def let_in(code: str, now: datetime) -> bool | None:
            entry = {"code": code, "name": "w", "by": "admin"}
            return await service.let_in(connection, role=Role.VIEWER, places=(), now=now, **entry)

        async with db.writing(engine) as connection:
            code = await service.ask(connection, "one", NOW)
            assert await service.ask(connection, "one", NOW + timedelta(minutes=9)) == code
            late = NOW + service.CODE_LIVES
            assert await let_in(code, late) is False
            codes = [
                await service.ask(connection, str(number), late + timedelta(seconds=number))
                for number in range(service.MOST_WAITING + 1)
            ]
            now = late + timedelta(seconds=service.MOST_WAITING + 1)
            assert len(set(codes)) == len(codes)
            assert [await let_in(codes[0], now), await let_in(codes[1], now)] == [False, True]
            assert await let_in(codes[2], now) is None, "the name is taken"

    city.run(step)
