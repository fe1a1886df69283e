"""The counting page over the real app; what a box has to say is tried with its configuration's own tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from central.auth.rules import Role
from tests.central.auth.test_door import House

ZONE = "/traffic/cp-014/edge-01/cam-1/road"
JPEG = b"\xff\xd8\xff\xe0 a street"


def test_the_page_shows_the_picture_and_refuses_an_old_one_and_a_factor_of_nothing(
    project_root: Path, tmp_path: Path
) -> None:
    async def step(made: House) -> None:
        now = datetime.now(UTC)
        async with made.client(address="127.0.0.1") as box, made.client(Role.TRAFFIC) as desk:
            assert "No new picture" in (await desk.get(f"{ZONE}/count?lang=en")).text
            await box.put("/stills/cp-014/edge-01/cam-1", content=JPEG, headers={"Taken-At": now.isoformat()})
            assert f'value="{now.isoformat()}"' in (await desk.get(f"{ZONE}/count?lang=en")).text
            for taken_at in (now - timedelta(hours=2), now + timedelta(hours=1)):
                told = {"seen": "7", "taken_at": taken_at.isoformat()}
                assert (await desk.post(f"{ZONE}/count", data=told)).status_code == 422
            assert (
                await desk.post(f"{ZONE}/count", data={"seen": "-1", "taken_at": now.isoformat()})
            ).status_code == 422
            assert (await desk.post(f"{ZONE}/scale")).status_code == 409

    House(project_root, tmp_path, Role.TRAFFIC).run(step)


def test_nobody_else_counts(project_root: Path, tmp_path: Path) -> None:
    async def step(made: House) -> None:
        async with made.client(Role.VIEWER) as desk:
            assert (await desk.get(f"{ZONE}/count")).status_code == 403
            assert (await desk.post(f"{ZONE}/scale")).status_code == 403

    House(project_root, tmp_path, Role.VIEWER, places=("cp-014",)).run(step)
