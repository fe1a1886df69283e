"""A pass that central issues is valid at a gate, until it is taken back."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.issuing import service
from central.issuing.tables import issued
from central.keys import trusted
from central.registry.rules import Row
from central.registry.service import take_rows
from models.passes import trust
from models.passes.classify import classify
from models.passes.revocation import NONE_REVOKED
from tests.central.city import NOW, City

AN = "001080000001"


def issue(city: City, number: str) -> tuple[str, str]:
    async def step(engine: AsyncEngine) -> tuple[str, str]:
        async with db.writing(engine) as connection:
            return await service.issue(connection, city.keys, "cccd", number, hours=500, by="lan", now=NOW)

    return city.run(step)


def take_back(city: City, name: str) -> tuple[bool, list[tuple[str, bytes]]]:
    async def step(engine: AsyncEngine) -> tuple[bool, list[tuple[str, bytes]]]:
        async with db.writing(engine) as connection:
            done = await service.revoke(connection, name, by="lan", now=NOW)
            return done, await service.for_gates(connection, NOW)

    return city.run(step)


def test_an_issued_pass_is_valid_at_a_gate_until_it_is_taken_back(city: City) -> None:
    row = Row((("cccd", AN),), "Nguyễn Văn An", "1980-02-01", "male", "Ba Đình", ())
    city.run(lambda engine: take_rows(engine, city.keys, {1: row}, "test", NOW - timedelta(days=1)))
    name, text = issue(city, AN)
    keys = trust.read_list(trusted(None, city.keys.passes))
    code = trust.confirm(classify(text.encode()), keys, now=NOW)
    assert (code.kind, code.signature, code.ids) == ("city", "valid", (("cccd", AN),))
    (kept,) = city.rows(issued)
    assert AN not in str(kept)
    assert kept["expires_at"] - kept["issued_at"] == timedelta(hours=72)
    done, ((kind, document),) = take_back(city, name)
    assert (done, kind) == (True, "revoked")
    revoked = NONE_REVOKED.updated(document)
    assert "revoked" in trust.confirm(classify(text.encode()), keys, now=NOW, revoked=revoked).reasons
    assert take_back(city, name)[0] is False


def test_nobody_gets_a_pass_who_is_in_no_registry(city: City) -> None:
    with pytest.raises(service.Unknown):
        issue(city, AN)
