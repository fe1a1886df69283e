"""The wall and its pictures over the real app, without a socket."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from central import db
from central.auth.rules import Role
from central.crowd import service
from central.crowd.load import Feature
from central.inbox.intake import Desk, Message, take, take_states
from central.keys import load as load_keys
from models.passes.policy import load as load_policy
from models.wire.events import CameraHealth, Counts, CrowdLevel, EdgeState, join, to_json
from tests.central.auth.test_door import House
from tests.central.city import TOPIC, City

JPEG = b"\xff\xd8\xff\xe0 a street"
PICTURE = "/stills/cp-014/edge-01/cam-1"


def taken_at(seconds_ago: float = 0.0) -> dict[str, str]:
    return {"Taken-At": (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()}


def house(root: Path, folder: Path, *, places: tuple[str, ...] = ()) -> House:
    return House(root, folder, Role.TRAFFIC, Role.OFFICER, places=places)


async def fill(made: House, root: Path, zones: int) -> None:
    """Streets of two districts, all seen; the first is overcrowded, the others are calm."""
    now = datetime.now(UTC)
    city = City(made.settings.database, load_keys(Path(made.settings.data)), root)
    told = [
        city.event(CrowdLevel(zone=f"z-{n}", level=4 if n == 0 else 1, since=1.0, counts=Counts(person=9)), time=now)
        for n in range(zones)
    ]
    desk = Desk(engine=made.engine, keys=city.keys, policy=load_policy(Path(made.settings.policy)))
    features = [
        Feature.model_validate(
            {
                "type": "Feature",
                "properties": {"street": f"Phố {n}", "district": "AB"[n % 2], "zones": [f"cp-014/cam-1/z-{n}"]},
            }
        )
        for n in range(zones)
    ]
    async with db.writing(made.engine) as connection:
        await service.put_streets(connection, features)
    await take(desk, [Message(TOPIC, join(told))], now)
    health = CameraHealth(state="live", reason="frames", watch="traffic", mode="armed", since=now)
    state = EdgeState(state="online", boot="b", epoch="k3f9", at=now, cameras={"cam-1": health})
    await take_states(made.engine, [Message("v1/cp-014/edge-01/state", to_json(state))], now)


def test_a_box_brings_a_picture_and_the_desk_sees_it_with_its_age(project_root: Path, tmp_path: Path) -> None:
    async def step(made: House) -> None:
        await fill(made, project_root, 1)
        async with made.client(address="127.0.0.1") as box, made.client(Role.TRAFFIC) as desk:
            assert (await box.put(PICTURE, content=JPEG, headers=taken_at())).status_code == 204
            shown = await desk.get(PICTURE)
            assert (shown.content, shown.headers["content-type"]) == (JPEG, "image/jpeg")
            page = await desk.get("/traffic?lang=vi")
            assert f'src="{PICTURE}?t=' in page.text
            assert "Quá đông" in page.text
            assert (await desk.get("/stills/cp-014/edge-01/cam-9")).status_code == 404

    house(project_root, tmp_path).run(step)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"GIF89a", taken_at(), 400),
        (JPEG, {}, 400),
        (JPEG, {"Taken-At": "tomorrow"}, 400),
        (JPEG, taken_at(-7200), 400),
        (JPEG + bytes(600_000), taken_at(), 400),
    ],
)
def test_what_is_no_picture_of_now_is_refused(
    project_root: Path, tmp_path: Path, content: bytes, headers: dict[str, str], status: int
) -> None:
    async def step(made: House) -> None:
        async with made.client(address="127.0.0.1") as box:
            assert (await box.put(PICTURE, content=content, headers=headers)).status_code == status

    house(project_root, tmp_path).run(step)


def test_nobody_but_a_box_brings_pictures_and_another_places_are_not_seen(project_root: Path, tmp_path: Path) -> None:
    async def step(made: House) -> None:
        async with made.client(address="127.0.0.1") as box, made.client(Role.TRAFFIC) as desk:
            await box.put(PICTURE, content=JPEG, headers=taken_at())
            assert (await desk.get(PICTURE)).status_code == 404
            assert (await desk.put(PICTURE, content=JPEG, headers=taken_at())).status_code == 403
            assert (await made.client(Role.OFFICER).get(PICTURE)).status_code == 403
        transport = httpx.ASGITransport(app=_shown(made, "edge-02"), client=("10.0.0.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://central.test") as other:
            assert (await other.put(PICTURE, content=JPEG, headers=taken_at())).status_code == 403

    house(project_root, tmp_path, places=("q-1",)).run(step)


def _shown(made: House, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  (an ASGI app)
    """The app as a box of this name reaches it by its certificate."""

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        await made.central.app(scope | {"peer": name}, receive, send)

    return app


def test_the_wall_is_paged_and_filtered_by_district(project_root: Path, tmp_path: Path) -> None:
    async def step(made: House) -> None:
        await fill(made, project_root, 100)
        async with made.client(Role.TRAFFIC) as desk:
            first = (await desk.get("/traffic")).text
            last = (await desk.get("/traffic?page=3")).text
            mine = (await desk.get("/traffic?district=B")).text
            every = (await desk.get("/traffic/streets.json")).json()
            warned = (await desk.get("/traffic/warnings.json")).json()
        assert [text.count('class="street card') for text in (first, last, mine)] == [48, 4, 48]
        assert ">Phố 0</a>" in first
        assert ">Phố 0</a>" not in mine
        assert len(every) == 100
        assert (every[0]["street"], every[0]["level"], every[0]["seen"]) == ("Phố 0", 4, True)
        assert [(one["street"], one["district"], one["state"]) for one in warned] == [("Phố 0", "A", "sent")]

    house(project_root, tmp_path).run(step)
