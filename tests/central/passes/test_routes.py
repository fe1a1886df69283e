"""Whose PIN counts at which gate, set through the real door."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from central import db
from central.auth import service as auth
from central.auth.rules import Role
from central.passes import service
from central.passes.tables import decision
from models.wire.snapshot import Officer, pin_hash
from tests.central.auth.test_door import PASSWORD, House

PIN = "482913"


async def told(house: House) -> dict[str, Officer]:
    """What gates get."""
    async with db.reading(house.engine) as connection:
        parts = dict(await service.for_gates(connection, datetime.now(UTC)))
    return {one.name: one for one in msgspec.json.decode(parts.get("officers", b"[]"), type=list[Officer])}


def test_an_admin_sets_and_takes_a_pin_and_gates_hear_of_it(project_root: Path, tmp_path: Path) -> None:
    async def step(house: House) -> None:
        async with house.client(Role.ADMIN) as client:
            for body in ({"officer": "officer", "pin": "1234567"}, {"officer": "viewer", "pin": PIN}, {}):
                assert (await client.post("/officers", json=body)).status_code == 422
            sent = await client.post("/officers", data={"officer": "officer", "pin": PIN})
            assert sent.status_code == 204
            listed = {one["name"]: one["has_pin"] for one in (await client.get("/officers")).json()}
            assert listed == {"officer": True, "supervisor": False}
            known = (await told(house))["officer"]
            assert known.hash == pin_hash(PIN, known.salt)
            assert known.places == ("cp-014",)
            page = await client.post(
                "/officers", data={"officer": "officer", "pin": "1"}, headers={"accept": "text/html"}
            )
            assert page.status_code == 422
            assert "6 đến 12" in page.text
            # whoever is switched off decides nothing any more
            await auth.change(house.engine, "officer", active=False)
            assert await told(house) == {}
            await auth.change(house.engine, "officer", active=True)
            assert (await client.post("/officers/officer/revoke")).status_code == 204
            assert await told(house) == {}
        assert [row["what"] for row in await house.trail()][-1] == "POST /officers/{officer}/revoke"
        assert PIN not in str(await house.trail())

    House(project_root, tmp_path, Role.ADMIN, Role.OFFICER, Role.SUPERVISOR, Role.VIEWER, places=("cp-014",)).run(step)


def test_officers_choose_their_own_by_their_password(project_root: Path, tmp_path: Path) -> None:
    async def step(house: House) -> None:
        async with house.client(Role.OFFICER) as client:
            assert (await client.get("/officers")).status_code == 403
            assert (await client.post("/pin", data={"old": "wrong", "pin": PIN})).status_code == 422
            assert await told(house) == {}
            assert (await client.post("/pin", data={"old": PASSWORD, "pin": "111222"})).status_code == 422
            assert (await client.post("/pin", data={"old": PASSWORD, "pin": PIN})).status_code == 200
            assert set(await told(house)) == {"officer"}

    House(project_root, tmp_path, Role.OFFICER).run(step)


def test_the_page_says_what_a_new_policy_would_have_done_before_it_is_published(
    project_root: Path, tmp_path: Path
) -> None:
    document = (project_root / "configs/policies/directive-16.json").read_text(encoding="utf-8")
    page = {"accept": "text/html"}

    async def step(house: House) -> None:
        row = {
            "scan": "s-1", "site": "cp-014", "edge": "e", "camera": "c", "kind": "cccd", "outcome": "PASS",
            "scanned_at": datetime.now(UTC), "decided_at": datetime.now(UTC), "reasons": "[]", "policy": "p",
            "local_outcome": "PASS", "late": False, "code": '{"kind":"cccd","signature":"none"}',
        }  # fmt: skip
        async with db.writing(house.engine) as connection:
            await connection.execute(decision.insert().values(row))
        async with house.client(Role.ADMIN) as client:
            tried = await client.post("/policies/preview", data={"document": document}, headers=page)
            assert "Với 1 lượt quét tuần qua, 1 kết quả sẽ khác" in tried.text
            assert "KIỂM TRA" in tried.text
            wrong = await client.post("/policies", data={"document": "{}"}, headers=page)
            assert (wrong.status_code, "fault" in wrong.text) == (422, True)
            assert (await client.post("/policies", data={"document": document}, headers=page)).status_code == 303
            listed = await client.get("/policies")
            assert sha256(document.encode()).hexdigest()[:12] in listed.text

    House(project_root, tmp_path, Role.ADMIN).run(step)
