"""The only door to people, their sessions and tokens, and to the log of what they did."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.auth import rules
from central.auth.rules import Role, Who
from central.auth.tables import account, audit, session, token, waiting_screen

_AUDIT_LOCK = 0x6175646974
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""What OWASP asks for at least: a small box that serves a whole shift's log-ins has other work too."""
_HASHING = ThreadPoolExecutor(2, "argon2")
"""Each hash takes 19 MiB: a flood of log-ins shall wait, not fill the memory."""

_SEEN_EACH = timedelta(minutes=1)
CODE_LIVES = timedelta(minutes=10)
MOST_WAITING = 100
"""Screens that wait to be let in; the longest waiting gives way."""
_SCREEN_DAYS = 3650

_here: ContextVar[Who | None] = ContextVar("who", default=None)


def who() -> Who | None:
    """Who has sent the request that is being answered. Not for what is rendered once for many readers."""
    return _here.get()


def places_here() -> tuple[str, ...]:
    """The places that the present reader is bound to; none: the whole city."""
    person = _here.get()
    return person.places if person is not None else ()


def set_who(person: Who | None) -> None:
    _here.set(person)


@dataclass(frozen=True)
class Entered:
    who: Who
    cookie: str


@dataclass(frozen=True)
class Refused:
    """`until`: locked; the same answer for a wrong name as for a wrong password."""

    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Account:
    name: str
    full_name: str
    roles: tuple[str, ...]
    places: tuple[str, ...]
    active: bool
    locked_until: datetime | None
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class Token:
    name: str
    roles: tuple[str, ...]
    places: tuple[str, ...]
    reads_only: bool
    screen: bool
    made_by: str
    ends_at: datetime
    seen_at: datetime | None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@cache
def _nobody() -> str:
    """What a name that is not there is compared with, so that it takes as long as one that is."""
    return _HASHER.hash(secrets.token_urlsafe(16))


async def _hashed(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_HASHING, _HASHER.hash, password)


async def _fits(password: str, hashed: str | None) -> bool:
    def verify() -> bool:
        try:
            return _HASHER.verify(_nobody() if hashed is None else hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    return await asyncio.get_running_loop().run_in_executor(_HASHING, verify)


def _roles(words: str) -> frozenset[Role]:
    return frozenset(Role(word) for word in words.split())


# ---- people


async def enter(engine: AsyncEngine, name: str, password: str, now: datetime) -> Entered | Refused:
    """A log-in. Its session is always a new one; what the browser held before is worth nothing afterwards."""
    async with db.reading(engine) as connection:
        row = (await connection.execute(select(account).where(account.c.name == name))).mappings().one_or_none()
    if row is not None and row["locked_until"] is not None and row["locked_until"] > now:
        return Refused(row["locked_until"])
    fits = await _fits(password, None if row is None else row["password"])
    if row is None or not row["active"]:
        return Refused()
    async with db.writing(engine) as connection:
        mine = update(account).where(account.c.name == name)
        if not fits:
            # counted by the database: of many tries at once, each one counts
            failures = await connection.execute(
                mine.values(failures=account.c.failures + 1).returning(account.c.failures)
            )
            until = rules.locked_until(failures.scalar_one(), now)
            await connection.execute(mine.values(locked_until=until))
            return Refused(until)
        await connection.execute(mine.values(failures=0, locked_until=None))
        cookie = await begin(connection, name, now)
    return Entered(_who(dict(row), _hash(cookie)), cookie)


async def begin(connection: AsyncConnection, name: str, now: datetime) -> str:
    """A new session of this person, by its cookie."""
    cookie = secrets.token_urlsafe(32)
    await connection.execute(delete(session).where(session.c.ends_at <= now))
    await connection.execute(
        session.insert().values(
            hash=_hash(cookie), account=name, made_at=now, ends_at=now + timedelta(hours=rules.SESSION_HOURS)
        )
    )
    return cookie


def _who(row: dict[str, Any], hashed: str) -> Who:
    return Who(
        name=row["name"],
        full_name=row["full_name"],
        roles=_roles(row["roles"]),
        places=tuple(row["places"].split()),
        session=hashed,
    )


async def by_cookie(engine: AsyncEngine, cookie: str, now: datetime) -> Who | None:
    async with db.reading(engine) as connection:
        found = await connection.execute(
            select(account, session.c.hash)
            .join(session, session.c.account == account.c.name)
            .where(session.c.hash == _hash(cookie), session.c.ends_at > now, account.c.active)
        )
        row = found.mappings().one_or_none()
    return None if row is None else _who(dict(row), row["hash"])


async def by_token(engine: AsyncEngine, secret: str, now: datetime) -> Who | None:
    async with db.reading(engine) as connection:
        found = await connection.execute(select(token).where(token.c.hash == _hash(secret), token.c.ends_at > now))
        row = found.mappings().one_or_none()
    if row is None:
        return None
    if row["seen_at"] is None or now - row["seen_at"] > _SEEN_EACH:
        async with db.writing(engine) as connection:
            await connection.execute(update(token).where(token.c.name == row["name"]).values(seen_at=now))
    return Who(
        name=f"token:{row['name']}",
        roles=_roles(row["roles"]),
        places=tuple(row["places"].split()),
        reads_only=row["reads_only"],
        screen=row["screen"],
    )


async def leave(connection: AsyncConnection, hashed: str) -> None:
    await connection.execute(delete(session).where(session.c.hash == hashed))


async def accounts(connection: AsyncConnection) -> list[Account]:
    rows = (await connection.execute(select(account).order_by(account.c.name))).mappings()
    return [
        Account(
            name=row["name"],
            full_name=row["full_name"],
            roles=tuple(row["roles"].split()),
            places=tuple(row["places"].split()),
            active=row["active"],
            locked_until=row["locked_until"],
            made_at=row["made_at"],
        )
        for row in rows
    ]


async def has_admin(connection: AsyncConnection) -> bool:
    return any(Role.ADMIN in row.roles and row.active for row in await accounts(connection))


def _written(words: Iterable[str]) -> str:
    return " ".join(sorted({word.strip() for word in words} - {""}))


async def add(
    engine: AsyncEngine,
    *,
    name: str,
    full_name: str,
    password: str,
    roles: Iterable[Role],
    places: Iterable[str],
    now: datetime,
) -> bool:
    """Whether the name was free."""
    hashed = await _hashed(password)
    row = {
        "name": name,
        "full_name": full_name,
        "password": hashed,
        "roles": _written(roles),
        "places": _written(places),
        "active": True,
        "failures": 0,
        "made_at": now,
    }
    async with db.writing(engine) as connection:
        return bool(await db.insert_new(connection, account, "name", [row]))


async def change(
    engine: AsyncEngine,
    name: str,
    *,
    roles: Iterable[Role] | None = None,
    places: Iterable[str] | None = None,
    active: bool | None = None,
    password: str | None = None,
    keep_session: str | None = None,
) -> bool:
    """Whether there is such a person. Whoever is changed logs in again: no old session keeps old rights."""
    values: dict[str, Any] = {"failures": 0, "locked_until": None}
    if roles is not None:
        values["roles"] = _written(roles)
    if places is not None:
        values["places"] = _written(places)
    if active is not None:
        values["active"] = active
    if password is not None:
        values["password"] = await _hashed(password)
    async with db.writing(engine) as connection:
        done = await connection.execute(
            update(account).where(account.c.name == name).values(**values).returning(account.c.name)
        )
        if done.scalar_one_or_none() is None:
            return False
        others = delete(session).where(session.c.account == name)
        await connection.execute(others.where(session.c.hash != keep_session) if keep_session else others)
    return True


async def fits(engine: AsyncEngine, name: str, password: str) -> bool:
    async with db.reading(engine) as connection:
        hashed = (await connection.execute(select(account.c.password).where(account.c.name == name))).scalar_one()
    return await _fits(password, hashed)


# ---- tokens


async def make_token(
    connection: AsyncConnection,
    *,
    name: str,
    roles: Iterable[Role],
    places: Iterable[str],
    reads_only: bool,
    by: str,
    days: int,
    now: datetime,
) -> str | None:
    """The secret, which nobody can read again; None when the name is taken."""
    secret = f"cuao_{secrets.token_urlsafe(32)}"
    row = {
        "name": name,
        "hash": _hash(secret),
        "roles": _written(roles),
        "places": _written(places),
        "reads_only": reads_only,
        "screen": False,
        "made_by": by,
        "made_at": now,
        "ends_at": now + timedelta(days=days),
    }
    return secret if await db.insert_new(connection, token, "name", [row]) else None


async def tokens(connection: AsyncConnection, now: datetime) -> list[Token]:
    rows = await connection.execute(select(token).where(token.c.ends_at > now).order_by(token.c.name))
    return [
        Token(
            name=row["name"],
            roles=tuple(row["roles"].split()),
            places=tuple(row["places"].split()),
            reads_only=row["reads_only"],
            screen=row["screen"],
            made_by=row["made_by"],
            ends_at=row["ends_at"],
            seen_at=row["seen_at"],
        )
        for row in rows.mappings()
    ]


async def revoke_token(connection: AsyncConnection, name: str, now: datetime) -> bool:
    done = await connection.execute(
        update(token).where(token.c.name == name, token.c.ends_at > now).values(ends_at=now).returning(token.c.name)
    )
    return done.scalar_one_or_none() is not None


# ---- screens on a wall


async def ask(connection: AsyncConnection, secret: str, now: datetime) -> str:
    """The six digits that the browser with this cookie shows; the same ones until they end."""
    await connection.execute(delete(waiting_screen).where(waiting_screen.c.asked_at <= now - CODE_LIVES))
    mine = select(waiting_screen.c.code).where(waiting_screen.c.hash == _hash(secret))
    if (code := (await connection.execute(mine)).scalar_one_or_none()) is not None:
        return str(code)
    newest = select(waiting_screen.c.hash).order_by(waiting_screen.c.asked_at.desc()).limit(MOST_WAITING - 1)
    await connection.execute(delete(waiting_screen).where(waiting_screen.c.hash.not_in(newest)))
    while True:
        code = f"{secrets.randbelow(10**6):06}"
        row = {"hash": _hash(secret), "code": code, "asked_at": now}
        if await db.insert_new(connection, waiting_screen, "code", [row]):
            return code


async def let_in(
    connection: AsyncConnection, *, code: str, name: str, role: Role, places: Iterable[str], by: str, now: datetime
) -> bool | None:
    """The screen that shows these digits may look from now on. False: none shows them, or no longer; None: the name is
    taken."""
    shown = waiting_screen.c.code == code, waiting_screen.c.asked_at > now - CODE_LIVES
    hashed = (await connection.execute(select(waiting_screen.c.hash).where(*shown))).scalar_one_or_none()
    if hashed is None:
        return False
    row = {
        "name": name,
        "hash": hashed,
        "roles": str(role),
        "places": _written(places),
        "reads_only": True,
        "screen": True,
        "made_by": by,
        "made_at": now,
        "ends_at": now + timedelta(days=_SCREEN_DAYS),
    }
    if not await db.insert_new(connection, token, "name", [row]):
        return None
    await connection.execute(delete(waiting_screen).where(waiting_screen.c.hash == hashed))
    return True


# ---- the log


async def note(
    connection: AsyncConnection,
    *,
    who: str,
    what: str,
    whom: str = "",
    place: str = "",
    why: str = "",
    outcome: str = "",
    now: datetime | None = None,
) -> None:
    """One more row of the audit log, in the caller's transaction. `whom` is never a plain identity number."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _AUDIT_LOCK})
    last = (
        await connection.execute(select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1))
    ).one_or_none()
    number, previous = (last.number + 1, last.hash) if last else (1, rules.GENESIS)
    at = (now or datetime.now(UTC)).isoformat(timespec="milliseconds")
    row = {"at": at, "who": who, "what": what, "whom": whom, "place": place, "why": why, "outcome": outcome}
    await connection.execute(
        audit.insert().values(number=number, previous=previous, hash=rules.chained(previous, row), **row)
    )


async def audited(
    connection: AsyncConnection, *, words: str = "", before: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """The newest rows first; `words` are looked for in who, what, whom, place and why."""
    query = select(audit).order_by(audit.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.number < before)
    if words:
        columns = (audit.c.who, audit.c.what, audit.c.whom, audit.c.place, audit.c.why)
        query = query.where(or_(*(column.icontains(words, autoescape=True) for column in columns)))
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def audit_trail(connection: AsyncConnection) -> AsyncIterator[dict[str, str]]:
    """Every row, oldest first."""
    async for row in (await connection.stream(select(audit).order_by(audit.c.number))).mappings():
        yield dict(row)


async def audit_size(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(func.count()).select_from(audit))).scalar_one())
