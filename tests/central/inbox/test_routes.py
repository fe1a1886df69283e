"""The delivery page and its routes, over the real app."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from central import db
from central.auth.rules import Role
from central.inbox.tables import dead_letter
from tests.central.auth.test_door import House


def test_a_letter_is_looked_at_as_text_and_tried_again(project_root: Path, tmp_path: Path) -> None:
    async def step(house: House) -> None:
        topic, payload = "v1/cp-014/edge-01/event", b"<script>alert(1)</script>"
        digest = hashlib.sha256(topic.encode() + b"\0" + payload).digest()
        row = {
            "digest": digest, "topic": topic, "payload": payload, "reason": "batch: not a CloudEvents batch",
            "received_at": datetime.now(UTC),
        }  # fmt: skip
        async with db.writing(house.engine) as connection:
            await connection.execute(dead_letter.insert().values(row))
        name = digest.hex()
        async with house.client(Role.ADMIN) as client:
            (listed,) = (await client.get("/letters")).json()
            assert (listed["digest"], listed["bytes"]) == (name, 25)
            looked = await client.get(f"/letters/{name}")
            assert looked.headers["content-type"].startswith("text/plain")
            assert looked.headers["x-content-type-options"] == "nosniff"
            assert looked.content == payload
            tried = await client.post("/letters/replay")
            assert tried.json() == {"used": 0, "still": 1}
            page = await client.post(f"/letters/{name}/replay", headers={"accept": "text/html"}, follow_redirects=True)
            assert page.url.path == "/delivery"
            assert name in page.text
            for unknown in ("00", "no-hex"):
                assert (await client.get(f"/letters/{unknown}")).status_code == 404
                assert (await client.post(f"/letters/{unknown}/replay")).status_code == 404
            assert (await client.get("/gaps")).json() == []
        async with house.client(Role.SUPERVISOR) as client:
            assert (await client.get(f"/letters/{name}")).status_code == 403

    House(project_root, tmp_path, Role.ADMIN, Role.SUPERVISOR).run(step)
