"""The registry's desk over HTTP: nothing is read without a purpose, everything entered is a line, nothing is lost."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jinja2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.tables import audit
from central.records.routes import routes
from central.registry.rules import Row
from central.registry.service import facts_of, resolve, take_rows
from central.registry.tables import fact
from models.passes.facts import Fact
from models.view.page import environment
from tests.central.city import City

AN = "001080000001"
BROWSER = {"accept": "text/html", "origin": "http://central"}
WHY = {"purpose": "tracing episode 7"}
NOW = datetime.now(UTC).replace(microsecond=0)

Talk = Callable[[httpx.AsyncClient], Awaitable[Any]]


def _pages(city: City) -> jinja2.Environment:
    pages = environment(city.root / "central/pages")
    pages.globals |= {"who": lambda: None, "may": lambda _: True}
    return pages


def talk(city: City, conversation: Talk) -> Any:
    async def step(engine: AsyncEngine) -> Any:
        app = FastAPI()
        app.include_router(routes(engine, city.keys, _pages(city)))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://central") as client:
            return await conversation(client)

    return city.run(step)


@pytest.fixture
def person(city: City) -> str:
    row = Row((("cccd", AN), ("cmnd", "123456789")), "Nguyễn Văn An", "1980-02-01", "male", "Ba Đình", ())
    city.run(lambda engine: take_rows(engine, city.keys, {1: row}, "test", NOW - timedelta(days=30)))

    async def find(client: httpx.AsyncClient) -> str:
        found = (await client.post("/registry/find", json={"number": AN, **WHY})).json()
        return str(found[0]["id"])

    return str(talk(city, find))


def enter(city: City, person: str, record: str, **fields: Any) -> int:
    async def post(client: httpx.AsyncClient) -> int:
        return (await client.post(f"/residents/{person}/{record}", json=fields, params=WHY)).status_code

    return int(talk(city, post))


def known(city: City, at: datetime) -> dict[str, Fact]:
    async def step(engine: AsyncEngine) -> dict[str, Fact]:
        async with db.reading(engine) as connection:
            resident = await resolve(connection, [city.keys.key("cccd", AN)])
            assert resident
            return await facts_of(connection, resident, at)

    return city.run(step)


def ago(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).isoformat()


def test_what_is_entered_is_what_a_decision_reads(city: City, person: str) -> None:
    assert enter(city, person, "declaration", at=ago(1), symptoms=["ho"], exposed=True) == 201
    assert enter(city, person, "dose", number=2, given_on="2026-01-05") == 201
    assert enter(city, person, "sample", taken_at=ago(2), result="negative") == 201
    assert enter(city, person, "permit", groups=["doctor"], zones=["1"], **{"from": ago(3), "until": ago(-3)}) == 201
    assert enter(city, person, "order", place="home-7", **{"from": ago(3)}) == 201
    facts = known(city, NOW)
    assert facts["symptoms"].value == ("ho",)
    assert (facts["doses"].value, facts["permit_groups"].value) == (2, ("doctor",))
    assert facts["order_active"].value == "home-7"
    assert facts["last_test_negative_at"].value == NOW - timedelta(hours=2)
    assert "permit_groups" not in known(city, NOW + timedelta(hours=4))


def test_an_f1_that_becomes_an_f0_is_one_person_with_one_history(city: City, person: str) -> None:
    enter(city, person, "episode", level=1, state="open", at=ago(48))
    assert known(city, NOW - timedelta(hours=40))["status_f1"].value is True
    enter(city, person, "episode", level=0, state="open", at=ago(24))
    facts = known(city, NOW)
    assert (facts["status_f0"].value, facts["status_f1"].value) == (True, False)
    enter(city, person, "episode", level=0, state="recovered", at=ago(1))
    assert known(city, NOW)["status_f0"].value is False
    assert "recovered_on" in known(city, NOW)


def test_a_correction_stands_in_the_others_place_and_the_other_stays_to_be_read(city: City, person: str) -> None:
    enter(city, person, "order", place="home-7", **{"from": ago(5)})
    (line,) = (row["id"] for row in city.rows(fact) if row["kind"] == "order_active")

    async def correct(client: httpx.AsyncClient) -> None:
        changed = await client.post(f"/facts/{line}/correct", json={"value": "home-8"}, params=WHY)
        assert changed.status_code == 201
        assert (await client.post("/facts/99999/correct", json={}, params=WHY)).status_code == 404
        assert (await client.post(f"/facts/{line}/correct", json={"value": 7}, params=WHY)).status_code == 422

    talk(city, correct)
    assert known(city, NOW - timedelta(hours=4))["order_active"].value == "home-8"
    assert len([row for row in city.rows(fact) if row["kind"] == "order_active"]) == 2


def test_a_decree_gives_a_wards_residents_their_zone_from_an_hour(city: City, person: str) -> None:
    async def decree(client: httpx.AsyncClient) -> None:
        for level, hours in (("green", 48), ("red", 2)):
            sent = await client.post("/zones", json={"ward": "Ba Đình", "level": level, "from": ago(hours)})
            assert sent.status_code == 201

    talk(city, decree)
    assert known(city, NOW - timedelta(hours=3))["home_zone"].value == "green"
    assert known(city, NOW)["home_zone"].value == "red"


def test_nobody_reads_a_history_without_a_purpose_and_every_look_leaves_a_row(city: City, person: str) -> None:
    async def look(client: httpx.AsyncClient) -> None:
        assert (await client.get(f"/residents/{person}")).status_code == 422
        assert (await client.post("/registry/find", json={"number": AN})).status_code == 422
        told = (await client.get(f"/residents/{person}", params=WHY)).json()
        assert told["resident"]["name"] == "Nguyễn Văn An"
        assert AN not in str(told)
        page = await client.get(f"/residents/{person}", params=WHY, headers=BROWSER)
        assert "Nguyễn Văn An" in page.text

    talk(city, look)
    # the door writes down whoever reads a history; a search that showed somebody is noted here
    assert [(row["what"], row["why"]) for row in city.rows(audit)] == [("found", WHY["purpose"])]


def test_a_name_only_proposes_candidates(city: City, person: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        asked = {"name": "nguyen van an", "birth": "1980", **WHY}
        assert [found["id"] for found in (await client.post("/registry/find", json=asked)).json()] == [person]
        asked["birth"] = "1981"
        assert (await client.post("/registry/find", json=asked)).json() == []
        asked["birth"] = ""
        assert (await client.post("/registry/find", json=asked)).status_code == 422

    talk(city, ask)


@pytest.mark.parametrize(
    ("record", "fields", "word"),
    [
        ("episode", {"level": 7, "state": "open", "at": ago(1)}, "level"),
        ("order", {"place": "x", "from": ago(1), "until": ago(2)}, "until"),
        ("dose", {"number": 1, "given_on": "31/02/2021"}, "given_on"),
        ("declaration", {"at": "soon"}, ""),
        ("declaration", {"at": ago(1), "strange": 1}, "strange"),
    ],
)
def test_a_wrong_field_is_named(city: City, person: str, record: str, fields: dict[str, Any], word: str) -> None:
    async def post(client: httpx.AsyncClient) -> None:
        sent = await client.post(f"/residents/{person}/{record}", json=fields, params=WHY)
        assert (sent.status_code, word in sent.text) == (422, True)

    talk(city, post)


def test_the_pages_stand(city: City, person: str, tmp_path: Path) -> None:
    async def read(client: httpx.AsyncClient) -> None:
        assert (await client.get("/registry")).status_code == 200
        form = {"number": AN, **WHY}
        found = await client.post("/registry/find", data=form, headers=BROWSER)
        assert "Nguyễn Văn An" in found.text
        assert (await client.post("/registry/find", data=form, headers={"origin": "http://evil"})).status_code == 403
        form = {"at": "2026-11-20T08:00", "symptoms": "ho, sốt", "exposed": "false"}
        sent = await client.post(f"/residents/{person}/declaration", data=form, params=WHY, headers=BROWSER)
        assert sent.status_code == 303

    talk(city, read)


@pytest.mark.parametrize(
    ("told", "changed", "expected"),
    [
        (("declaration", {"at": ago(1), "symptoms": ["ho"]}), ("symptoms", "ho, sốt"), ("ho", "sốt")),
        (("declaration", {"at": ago(1), "exposed": True}), ("exposed", "false"), False),
        (("dose", {"number": 1, "given_on": "2026-01-05"}), ("doses", "2"), 2),
        (
            ("sample", {"taken_at": ago(2), "result": "negative"}),
            ("last_test_negative_at", ago(3)),
            NOW - timedelta(hours=3),
        ),
        (("permit", {"groups": ["doctor"], "from": ago(3)}), ("permit_groups", "nurse"), ("nurse",)),
        (("episode", {"level": 1, "state": "open", "at": ago(3)}), ("status_f1", "false"), False),
        (("order", {"place": "home-7", "from": ago(3)}), ("order_active", "home-8"), "home-8"),
        (("flag", {"flagged": True}), ("flagged", "false"), False),
    ],
)
def test_every_record_can_be_seen_and_corrected_on_the_page(
    city: City, person: str, told: tuple[str, dict[str, Any]], changed: tuple[str, str], expected: object
) -> None:
    (record, fields), (kind, value) = told, changed
    enter(city, person, record, **fields)
    line = max(row["id"] for row in city.rows(fact) if row["kind"] == kind)

    async def correct(client: httpx.AsyncClient) -> None:
        page = await client.get(f"/residents/{person}", params=WHY, headers=BROWSER)
        assert f'action="/facts/{line}/correct' in page.text
        form = {"person": person, "value": value, "until": ""}
        sent = await client.post(f"/facts/{line}/correct", data=form, params=WHY, headers=BROWSER)
        assert sent.status_code == 303

    talk(city, correct)
    assert known(city, datetime.now(UTC))[kind].value == expected
    rows = [row for row in city.rows(fact) if row["kind"] == kind]
    assert [row["supersedes"] for row in rows if row["id"] != line] == [line]
    assert all(row["source"] and row["recorded_at"] for row in rows)
