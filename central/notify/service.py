"""The only door to recipients and to what they are sent. A message is a row before it is sent, and stays one after."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import apprise
from sqlalchemy import ColumnElement, RowMapping, and_, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.keys import Keys
from central.notify import rules
from central.notify.rules import Kind, State
from central.notify.tables import message, recipient
from models.view.page import LANGS, Lang, text
from models.wire.seal import Unopenable

_log = logging.getLogger(__name__)
_AT_ONCE = 8
_SHOWN = 50
# its name goes into a header of HTTP, where no Vietnamese letter may stand
_ASSET = apprise.AppriseAsset(app_id="Cua O", app_desc="Cua O", async_mode=False, plugin_paths=[])
_SOUND = {
    Kind.BREACH: apprise.NotifyType.FAILURE,
    Kind.STREET: apprise.NotifyType.WARNING,
    Kind.TEST: apprise.NotifyType.INFO,
}

Words = Callable[[Lang], tuple[str, str]]
"""A title and a text in a language; neither names a person."""


class BadAddress(ValueError):
    """What apprise cannot send to. The message never repeats it: it may hold a password."""


@dataclass(frozen=True, kw_only=True)
class News:
    """What is to be told. `key` names it: told again, it is not sent again."""

    key: str
    kind: Kind
    place: str
    """A site; of a street, its district."""
    words: Words


@dataclass(frozen=True, kw_only=True)
class Recipient:
    id: int
    name: str
    way: str
    kinds: tuple[str, ...]
    places: tuple[str, ...]
    lang: Lang
    active: bool
    waiting: int = 0
    dropped: int = 0
    tested_at: datetime | None = None
    """When a test last came through."""
    last: "Message | None" = None


@dataclass(frozen=True, kw_only=True)
class Message:
    id: int
    recipient: str
    key: str
    kind: str
    title: str
    made_at: datetime
    state: str
    tries: int
    due_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class _Claimed:
    id: int
    address: str = field(repr=False)
    kind: Kind
    title: str
    body: str
    made_at: datetime
    tries: int


def _read(address: str) -> apprise.NotifyBase:
    """Raises BadAddress."""
    read = apprise.Apprise.instantiate(address, asset=_ASSET, suppress_exceptions=True)
    if not isinstance(read, apprise.NotifyBase):
        raise BadAddress(
            "no address that can be sent to; write json://host/path for a webhook, or as apprise spells it"
        )
    return read


async def put(
    connection: AsyncConnection,
    keys: Keys,
    *,
    name: str,
    address: str,
    kinds: Sequence[Kind],
    places: Sequence[str],
    lang: Lang,
    by: str,
    now: datetime,
) -> None:
    """A new recipient, or another address for the one of this name. Raises BadAddress."""
    values = {
        "address": keys.close(address),
        "way": str(_read(address).service_name),
        "kinds": " ".join(kinds),
        "places": "\n".join(places),
        "lang": lang,
        "active": True,
        "made_by": by,
        "made_at": now,
    }
    statement = db.insert(connection, recipient).values(name=name, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


async def switch(connection: AsyncConnection, number: int, *, active: bool) -> bool:
    """Whether there is such a recipient. What waits for one that is off is given up in its time."""
    changed = await connection.execute(update(recipient).where(recipient.c.id == number).values(active=active))
    return bool(changed.rowcount)


async def tell(connection: AsyncConnection, news: News, now: datetime) -> int:
    """Everybody who is to hear of it, in the caller's transaction; how many new messages that makes."""
    told = 0
    for row in (await connection.execute(select(recipient).where(recipient.c.active))).mappings():
        if rules.hears(row["kinds"].split(), row["places"].splitlines(), news.kind, news.place):
            told += await _put(connection, row, news, now)
    return told


async def test(connection: AsyncConnection, number: int, by: str, now: datetime) -> bool:
    """One message to one recipient; whether there is such a one."""
    row = (await connection.execute(select(recipient).where(recipient.c.id == number))).mappings().one_or_none()
    if row is None:
        return False

    def words(lang: Lang) -> tuple[str, str]:
        return text(lang, "notify.test_title"), text(lang, "notify.test_body", by=by)

    await _put(connection, row, News(key=f"test/{now.isoformat()}", kind=Kind.TEST, place="", words=words), now)
    return True


async def _put(connection: AsyncConnection, row: RowMapping, news: News, now: datetime) -> int:
    waiting = select(func.count()).where(message.c.recipient == row["id"], message.c.state == State.WAITING)
    crowded = (await connection.execute(waiting)).scalar_one() >= rules.MOST_WAITING
    lang: Lang = row["lang"]
    title, body = news.words(lang)
    statement = db.insert(connection, message).values(
        key=news.key,
        recipient=row["id"],
        kind=news.kind,
        title=title,
        body=body,
        made_at=now,
        state=State.DROPPED if crowded else State.WAITING,
        tries=0,
        due_at=now,
        done_at=now if crowded else None,
    )
    return int((await connection.execute(statement.on_conflict_do_nothing())).rowcount)


async def take_back(connection: AsyncConnection, key: str, now: datetime) -> int:
    """It is no news any more: what still waits to be sent is not; how many messages that is."""
    mine = and_(message.c.key == key, message.c.state == State.WAITING)
    return int(
        (await connection.execute(update(message).where(mine).values(state=State.NEEDLESS, done_at=now))).rowcount
    )


async def deliver(engine: AsyncEngine, keys: Keys, now: Callable[[], datetime]) -> int:
    """Send what is due, each recipient's oldest; how many were tried. Two centrals never have the same message."""
    async with db.reading(engine) as connection:  # a writer would hold the others up, each second
        if (await connection.execute(select(message.c.id).where(_due(now())).limit(1))).first() is None:
            return 0
    async with db.writing(engine) as connection:
        claimed = await _claim(connection, keys, now())
    if not claimed:
        return 0
    sent = await asyncio.gather(*(asyncio.to_thread(_send, one) for one in claimed))
    async with db.writing(engine) as connection:
        for one, came in zip(claimed, sent, strict=True):
            await _settle(connection, one, came, now())
    return len(claimed)


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(message.c.state == State.WAITING, message.c.due_at <= now)


async def _claim(connection: AsyncConnection, keys: Keys, now: datetime) -> list[_Claimed]:
    """Ours until `HELD` is over: then whoever had them is taken for dead."""
    old = and_(_due(now), message.c.made_at <= now - rules.GIVEN_UP)
    await connection.execute(update(message).where(old).values(state=State.FAILED, done_at=now))
    joined = message.join(recipient, recipient.c.id == message.c.recipient)
    oldest = select(func.min(message.c.id)).select_from(joined).where(_due(now), recipient.c.active)
    oldest = oldest.group_by(message.c.recipient)
    free = select(message.c.id).where(message.c.id.in_(oldest), _due(now)).order_by(message.c.due_at).limit(_AT_ONCE)
    numbers = (await connection.execute(free.with_for_update(skip_locked=True))).scalars().all()
    if not numbers:
        return []
    held = update(message).where(message.c.id.in_(numbers))
    await connection.execute(held.values(due_at=now + rules.HELD, tries=message.c.tries + 1))
    rows = await connection.execute(
        select(message, recipient.c.address).select_from(joined).where(message.c.id.in_(numbers))
    )
    return [
        _Claimed(
            id=row["id"],
            address=_opened(keys, row["address"]),
            kind=Kind(row["kind"]),
            title=row["title"],
            body=row["body"],
            made_at=row["made_at"],
            tries=row["tries"],
        )
        for row in rows.mappings()
    ]


def _opened(keys: Keys, sealed: str) -> str:
    """Empty where central's key is another now: what cannot be opened cannot be sent, and that is seen."""
    try:
        return keys.opened(sealed)
    except Unopenable as error:
        _log.error("a recipient's address: %s; enter it again", error)
        return ""


def _send(one: _Claimed) -> bool:
    """Blocks for seconds at most: apprise gives up after 4 s without an answer."""
    try:
        return bool(_read(one.address).notify(title=one.title, body=one.body, notify_type=_SOUND[one.kind]))
    except Exception as error:  # noqa: BLE001  (one of a hundred plug-ins; its fault is no other recipient's)
        _log.warning("message %d: %s", one.id, type(error).__name__)
        return False


async def _settle(connection: AsyncConnection, one: _Claimed, came: bool, now: datetime) -> None:
    again = None if came else rules.next_try(one.tries, one.made_at, now)
    values = {"due_at": again} if again else {"state": State.SENT if came else State.FAILED, "done_at": now}
    if not came:
        _log.warning(
            "message %d (%s) was not taken, try %d%s", one.id, one.kind, one.tries, "" if again else ": given up"
        )
    # one that was held too long belongs to somebody else by now, but sent is sent
    mine = and_(message.c.id == one.id, message.c.state == State.WAITING)
    await connection.execute(
        update(message).where(mine if came else and_(mine, message.c.tries == one.tries)).values(values)
    )


async def purge(engine: AsyncEngine, before: datetime) -> int:
    """How many messages went."""
    async with db.writing(engine) as connection:
        return int((await connection.execute(delete(message).where(message.c.made_at < before))).rowcount)


def _message(row: RowMapping) -> Message:
    return Message(**{name: row[name] for name in Message.__dataclass_fields__})


_NAMED = select(
    *(message.c[name] for name in Message.__dataclass_fields__ if name != "recipient"),
    recipient.c.name.label("recipient"),
).join(recipient, recipient.c.id == message.c.recipient)


async def messages(connection: AsyncConnection, key: str | None = None) -> list[Message]:
    """The newest, or those of one piece of news (`key` and what is under it)."""
    query = _NAMED.order_by(message.c.id.desc()).limit(_SHOWN)
    if key is not None:
        query = query.where((message.c.key == key) | message.c.key.startswith(f"{key}/", autoescape=True))
    return [_message(row) for row in (await connection.execute(query)).mappings()]


async def recipients(connection: AsyncConnection) -> list[Recipient]:
    """With what waits for each and how the last message went."""
    counts = select(
        message.c.recipient,
        func.sum(case((message.c.state == State.WAITING, 1), else_=0)).label("waiting"),
        func.sum(case((message.c.state == State.DROPPED, 1), else_=0)).label("dropped"),
        func.max(message.c.id).label("last"),
        func.max(case((and_(message.c.kind == Kind.TEST, message.c.state == State.SENT), message.c.id))).label(
            "tested"
        ),
    ).group_by(message.c.recipient)
    counted = {row["recipient"]: row for row in (await connection.execute(counts)).mappings()}
    wanted = {number for row in counted.values() for number in (row["last"], row["tested"]) if number is not None}
    found = (await connection.execute(_NAMED.where(message.c.id.in_(wanted)))).mappings()
    last = {row["id"]: _message(row) for row in found}
    rows = (await connection.execute(select(recipient).order_by(recipient.c.name))).mappings().all()
    made = []
    for row in rows:
        counts_of = counted.get(row["id"])
        tested = last.get(counts_of["tested"]) if counts_of else None
        made.append(
            Recipient(
                id=row["id"],
                name=row["name"],
                way=row["way"],
                kinds=tuple(row["kinds"].split()),
                places=tuple(row["places"].splitlines()),
                lang=row["lang"] if row["lang"] in LANGS else LANGS[0],
                active=row["active"],
                waiting=counts_of["waiting"] if counts_of else 0,
                dropped=counts_of["dropped"] if counts_of else 0,
                tested_at=tested.done_at if tested else None,
                last=last.get(counts_of["last"]) if counts_of else None,
            )
        )
    return made
