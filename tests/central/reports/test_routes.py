"""A street's day and the districts' reports over the real app."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from central import db
from central.auth.rules import Role
from central.crowd import service
from central.crowd.load import Feature
from central.inbox.intake import Desk, Message, take
from central.keys import load as load_keys
from models.hours import LOCAL
from models.passes.policy import load as load_policy
from models.wire.events import Counts, CrowdLevel, CrowdMeasured, join
from tests.central.auth.test_door import House
from tests.central.city import TOPIC, City

STREET = "=cmd|' /C calc'!A0"
ZONE = "/traffic/cp-014/edge-01/cam-1/road"


async def fill(made: House, root: Path) -> datetime:
    now = datetime.now(UTC)
    city = City(made.settings.database, load_keys(Path(made.settings.data)), root)
    properties = {"street": STREET, "district": "Hai Bà Trưng", "zones": ["cp-014/cam-1/road"]}
    async with db.writing(made.engine) as connection:
        await service.put_streets(
            connection, [Feature.model_validate({"type": "Feature", "properties": properties, "geometry": None})]
        )
    told = [
        city.event(
            CrowdMeasured(zone="road", counts=Counts(person=12, car=3), low=13, high=18, basis="detector"),
            time=now - timedelta(minutes=minutes),
        )
        for minutes in (1, 2, 7 * 24 * 60 + 1)
    ]
    told.append(city.event(CrowdLevel(zone="road", level=3, since=1.0, counts=Counts(person=12)), time=now))
    desk = Desk(engine=made.engine, keys=city.keys, policy=load_policy(Path(made.settings.policy)))
    await take(desk, [Message(TOPIC, join(told))], now)
    return now


def test_a_streets_day_comes_as_a_page_as_json_and_as_csv(project_root: Path, tmp_path: Path) -> None:
    async def step(made: House) -> None:
        await fill(made, project_root)
        async with made.client(Role.TRAFFIC) as desk:
            page = await desk.get(f"{ZONE}?lang=en")
            assert '<path class="last-week" d="M' in page.text
            told = (await desk.get(f"{ZONE}/series.json")).json()
            assert [(row["bodies"], row["low"], row["high"]) for row in told] == [(15.0, 13, 18)] * 2
            lines = (await desk.get(f"{ZONE}/series.csv")).text.splitlines()
            assert lines[0].endswith("flow_in,flow_out")
            assert len(lines) == 3
            assert (await desk.get(f"{ZONE}?day=x")).status_code == 422
            assert "No figures" in (await desk.get("/traffic/cp-014/edge-01/cam-9/road?lang=en")).text

    House(project_root, tmp_path, Role.TRAFFIC).run(step)


def test_the_report_of_today_has_the_street_and_its_warning_and_no_formula(project_root: Path, tmp_path: Path) -> None:
    async def step(made: House) -> None:
        now = await fill(made, project_root)
        day = f"day={now.astimezone(LOCAL).date()}"
        async with made.client(Role.TRAFFIC) as desk:
            (told,) = (await desk.get(f"/traffic/report.json?{day}")).json()
            assert (told["district"], len(told["warnings"])) == ("Hai Bà Trưng", 1)
            assert told["lines"][0]["most"] in {15, None}, "None only when midnight has just passed"
            page = (await desk.get(f"/traffic/report?{day}&lang=en")).text
            assert "1 warnings, 1 of them nobody answered" in page
            sheet = (await desk.get(f"/traffic/report.csv?{day}")).text
            assert f"'{STREET}" in sheet
            assert f",{STREET}" not in sheet
            assert (await desk.get("/traffic/report")).status_code == 200

    House(project_root, tmp_path, Role.TRAFFIC).run(step)


def test_whoever_is_bound_to_another_place_sees_neither(project_root: Path, tmp_path: Path) -> None:
    async def step(made: House) -> None:
        now = await fill(made, project_root)
        async with made.client(Role.TRAFFIC) as desk:
            assert (await desk.get(ZONE)).status_code == 404
            assert (await desk.get(f"{ZONE}/series.json")).status_code == 404
            assert (await desk.get(f"/traffic/report.json?day={now.astimezone(LOCAL).date()}")).json() == []

    House(project_root, tmp_path, Role.TRAFFIC, places=("q-1",)).run(step)
