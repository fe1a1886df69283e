"""A real webhook on a real socket takes, refuses, or is away."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.notify import service
from central.notify.rules import GIVEN_UP, HELD, MOST_WAITING, Kind
from central.notify.service import BadAddress, News
from central.notify.tables import message, recipient
from tests.central.city import NOW, City


class Webhook(ThreadingHTTPServer):
    """Keeps what it is sent; answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.got: list[dict[str, Any]] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"json://night:secret@127.0.0.1:{self.server_address[1]}/siren"


class _Take(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def news(key: str = "breach/1/180", place: str = "qs-003") -> News:
    return News(key=key, kind=Kind.BREACH, place=place, words=lambda lang: (f"{lang} title", "yard, cam-2"))


def put(city: City, webhook: Webhook, *places: str, name: str = "còi khu B") -> None:
    async def step(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            await service.put(
                connection, city.keys, name=name, address=webhook.address, kinds=[Kind.BREACH], places=places,
                lang="vi", by="lan", now=NOW,
            )  # fmt: skip

    city.run(step)


def tell(city: City, *told: News) -> list[int]:
    async def step(engine: AsyncEngine) -> list[int]:
        async with db.writing(engine) as connection:
            return [await service.tell(connection, one, NOW) for one in told]

    return city.run(step)


def deliver(city: City, after: timedelta = timedelta(0), centrals: int = 1) -> list[int]:
    async def step(engine: AsyncEngine) -> list[int]:
        rounds = [service.deliver(engine, city.keys, lambda: NOW + after) for _ in range(centrals)]
        return list(await asyncio.gather(*rounds))

    return city.run(step)


def states(city: City) -> list[tuple[str, int]]:
    return [(row["state"], row["tries"]) for row in city.rows(message)]


def test_a_webhook_hears_of_what_happens_at_its_place_once(city: City, webhook: Webhook) -> None:
    put(city, webhook, "qs-003")
    assert tell(city, news(), news(), news("breach/2/180", place="cp-014")) == [1, 0, 0]
    assert deliver(city, centrals=3).count(1) == 1
    (got,) = webhook.got
    assert (got["title"], got["message"], got["type"]) == ("vi title", "yard, cam-2", "failure")
    assert states(city) == [("sent", 1)]
    assert sum(deliver(city, HELD * 2)) == 0


def test_one_that_refuses_is_tried_again_with_longer_pauses_until_it_takes_it(city: City, webhook: Webhook) -> None:
    put(city, webhook)
    tell(city, news())
    webhook.status = 503
    assert deliver(city) == [1]
    assert deliver(city) == [0], "it is not due yet"
    assert deliver(city, timedelta(seconds=3)) == [1]
    webhook.status = 200
    assert deliver(city, timedelta(seconds=8)) == [1]
    assert states(city) == [("sent", 3)]


def test_what_could_not_be_told_within_an_hour_is_given_up_and_stays_to_be_seen(city: City, webhook: Webhook) -> None:
    put(city, webhook)
    tell(city, news())
    assert deliver(city, GIVEN_UP) == [0]
    assert webhook.got == []
    assert states(city) == [("failed", 0)]


def test_what_a_central_died_over_another_sends(city: City, webhook: Webhook) -> None:
    put(city, webhook)
    tell(city, news())

    async def die(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            assert len(await service._claim(connection, city.keys, NOW)) == 1

    city.run(die)
    assert deliver(city, HELD / 2) == [0]
    assert deliver(city, HELD) == [1]
    assert states(city) == [("sent", 2)]


def test_one_that_is_away_holds_nobody_else_up(city: City, webhook: Webhook) -> None:
    put(city, webhook, name="a, away")
    put(city, webhook, name="b")

    async def lose(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            await service.put(
                connection, city.keys, name="a, away", address="json://127.0.0.1:1/x", kinds=[Kind.BREACH], places=(),
                lang="en", by="lan", now=NOW,
            )  # fmt: skip

    city.run(lose)
    assert tell(city, news(), news("breach/2/180")) == [2, 2]
    assert [deliver(city), deliver(city), deliver(city)] == [[2], [2], [0]]
    assert [one["title"] for one in webhook.got] == ["vi title", "vi title"]


def test_beyond_a_hundred_waiting_the_rest_is_dropped_and_counted(city: City, webhook: Webhook) -> None:
    put(city, webhook)
    tell(city, *(news(f"breach/{number}/180") for number in range(MOST_WAITING + 3)))

    async def read(engine: AsyncEngine) -> list[service.Recipient]:
        async with db.reading(engine) as connection:
            return await service.recipients(connection)

    (row,) = city.run(read)
    assert (row.waiting, row.dropped) == (MOST_WAITING, 3)


def test_whoever_is_off_duty_is_told_nothing_and_a_test_says_when_it_came(city: City, webhook: Webhook) -> None:
    put(city, webhook)

    async def step(engine: AsyncEngine) -> list[service.Recipient]:
        async with db.writing(engine) as connection:
            (row,) = await service.recipients(connection)
            assert await service.test(connection, row.id, "Lan", NOW)
        await service.deliver(engine, city.keys, lambda: NOW + timedelta(seconds=1))
        async with db.writing(engine) as connection:
            assert await service.switch(connection, row.id, active=False)
            assert await service.tell(connection, news(), NOW) == 0
            assert not await service.test(connection, row.id + 1, "Lan", NOW)
            return await service.recipients(connection)

    (row,) = city.run(step)
    assert (row.tested_at, row.active) == (NOW + timedelta(seconds=1), False)
    assert [one["type"] for one in webhook.got] == ["info"]


def test_an_address_is_never_at_rest_in_plain_and_a_bad_one_is_not_repeated(city: City, webhook: Webhook) -> None:
    put(city, webhook)
    (row,) = city.rows(recipient)
    assert "secret" not in str(row)
    assert row["way"] == "JSON"
    with pytest.raises(BadAddress) as told:
        service._read("nonsense://night:secret@x")
    assert "secret" not in str(told.value)


def test_old_messages_go(city: City, webhook: Webhook) -> None:
    put(city, webhook)
    tell(city, news())
    assert city.run(lambda engine: service.purge(engine, NOW)) == 0
    assert city.run(lambda engine: service.purge(engine, NOW + timedelta(seconds=1))) == 1
