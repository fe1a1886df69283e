"""Every page of central in a real browser: in both languages it fits, everybody can use it, nothing is refused."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest
import schemathesis
import zxingcpp
from hypothesis import HealthCheck, given, settings
from msgspec import structs
from playwright.sync_api import Browser, Page
from schemathesis import APIOperation, Case
from schemathesis.core.result import Ok
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.rules import PEOPLE
from central.inbox.intake import Message, take_states
from central.keys import load as load_keys
from central.notify import service as notify
from central.notify.rules import Kind
from central.registry.rules import Row
from central.registry.service import take_rows
from models.passes.city_pass import PREFIX
from models.view.page import LANGS
from models.wire.events import CameraHealth, Counts, CrowdLevel, EdgeState, Machine, ZoneBreached, join, to_json
from scripts.city.screens import Central, chromium, probed, until
from tests.central.city import City
from tests.looks import unfit, violations

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(
        shutil.which("chromium") is None,
        reason="NO BROWSER: install chromium, else nobody has seen the pages",
    ),
]
PAGES = (
    "/", "/recipients", "/overview", "/supervisor", "/duty", "/alerts", "/quarantine", "/quarantine/cp-014", "/traffic",
    "/traffic/report", "/traffic/cp-014/edge-01/cam-2/nga-tu-so", "/traffic/cp-014/edge-01/cam-2/nga-tu-so/count",
    "/registry", "/delivery",
    "/imports", "/policies", "/officers", "/people", "/cameras", "/optics", "/audit", "/password",
)  # fmt: skip
AN = "001080000001"
# the smallest picture that a browser shows
JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300"
    + "01" * 64
    + "ffc0000b080001000101011100ffc4001400010000000000"
    "0000000000000000000009ffc40014100100000000000000000000000000000000ffda0008010100003f0054dfffd9"
)
LONG = "nha-b-tang-2-phong-201-den-216-hanh-lang-phia-dong"


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Central]:
    """With an alert, streets of every kind, and a person with a long name."""
    folder = tmp_path_factory.mktemp("central")
    made = Central(folder)
    now = datetime.now(UTC)
    city = City(f"sqlite+aiosqlite:///{folder}/central.db", load_keys(folder), Path(__file__).resolve().parents[2])
    breach = ZoneBreached(
        phase="open", incident="i-1", zone=LONG, track=1, box=(0.1, 0.1, 0.1, 0.2), foot=(0.15, 0.3), left_at=1.0,
        reported_at=2.0, certainty="probable",
    )  # fmt: skip
    told_late, long_ago = structs.replace(breach, incident="i-2", phase="close"), now - timedelta(hours=3)
    told = [
        city.event(breach, camera="cam-" + "w" * 30, time=now),
        city.event(CrowdLevel(zone="pho-hang-dao", level=4, since=1.0, counts=Counts(person=180)), time=now),
        city.event(CrowdLevel(zone="nga-tu-so", level="paused", since=1.0, counts=Counts()), camera="cam-2", time=now),
    ]
    taken = city.take(join(told), now=now)
    assert taken.new == 3, taken
    city.sequence = 40
    city.take(
        join([b'{"type":"tube.paired.v9","epoch":"k3f9","sequence":"9"}', city.event(told_late, time=long_ago)]),
        now=now,
    )
    health = CameraHealth(state="live", reason="frames", watch="quarantine", mode="armed", since=now)
    lost = CameraHealth(state="unauthorised", reason="password", watch="traffic", mode="armed", since=now)
    state = EdgeState(
        state="online", boot="b", epoch="k3f9", at=now, waiting=12, cameras={"cam-1": health, "cam-2": lost},
        version="0.1.0", machine=Machine(up_s=90_000, load=1.9, memory=0.95, disk=0.97, celsius=91.0),
    )  # fmt: skip

    async def tell(engine: AsyncEngine) -> None:
        await take_states(engine, [Message("v1/cp-014/edge-01/state", to_json(state))], now)
        async with db.writing(engine) as connection:
            for name in ("còi hành lang nhà B tầng 2 phòng 201 đến 216", "ca trực đêm"):
                address = "json://127.0.0.1:1/x"
                await notify.put(
                    connection, city.keys, name=name, address=address, kinds=tuple(Kind)[:2], places=["cp-014", LONG],
                    lang="vi", by="lan", now=now,
                )  # fmt: skip
            await notify.test(connection, 1, "Lan", now)

    city.run(tell)
    row = Row((("cccd", AN),), "Nguyễn Văn An", "1980", "male", "Ba Đình", ())
    city.run(lambda engine: take_rows(engine, city.keys, {1: row}, "test", now))
    made.start()
    yield made
    ended = made.kill()
    assert ended is None, f"central ended by itself ({ended}):\n{made.log.read_text(errors='replace')[-4000:]}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def page(central: Central, browser: Browser) -> Page:
    return central.supervisor(browser, central.port)


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_and_everybody_can_use_it(page: Page, central: Central, path: str, lang: str) -> None:
    faults: list[str] = []
    listen = lambda message: faults.append(message.text) if message.type == "error" else None  # noqa: E731
    page.on("console", listen)
    page.goto(f"http://127.0.0.1:{central.port}{path}?lang={lang}")
    page.wait_for_selector("main h1, main h2")
    wrong = unfit(page)
    pictures = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": 1366, "height": 768})
    page.screenshot(path=pictures / f"central{path.replace('/', '-')}-{lang}.png")
    page.remove_listener("console", listen)
    assert wrong + faults == []
    assert violations(page) == []


PEOPLE_FILE = (
    "STT,Họ và tên,Số CCCD,Năm sinh,Giới tính,Phường\n"
    "1,Nguyễn Văn An,001080000091,1980,Nam,Ba Đình\n"
    "2,=HYPERLINK(),12,1981,Nữ,Đống Đa\n"
    "3,Lê Thị Chi,001080000093,1990,Nữ,Tây Hồ\n"
)


def test_a_file_of_residents_is_brought_in_by_the_page(page: Page, central: Central, tmp_path: Path) -> None:
    file = tmp_path / "dân cư.csv"
    file.write_text(PEOPLE_FILE, encoding="utf-8")
    page.goto(f"http://127.0.0.1:{central.port}/imports?lang=en")
    page.set_input_files("input[type=file]", file)
    page.click("main form button")
    page.wait_for_url("**/imports/*")
    page.wait_for_selector("select[name=column]")
    page.goto(f"{page.url}?lang=en")
    chosen = "() => [...document.querySelectorAll('select[name=column]')].map((one) => one.value)"
    assert page.evaluate(chosen) == ["", "name", "number", "birth", "sex", "ward"]
    assert "1 of the first 3 rows would be refused" in page.inner_text("main")
    assert "neither 12 digits" in page.inner_text("main")
    assert "001080000091" not in page.content()
    assert unfit(page) == []
    assert violations(page) == []
    pictures = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"
    page.set_viewport_size({"width": 1366, "height": 768})
    page.screenshot(path=pictures / "central-import-columns.png")
    # what was named wrongly is said before anything is imported
    page.select_option("select[name=column] >> nth=1", "")
    page.click("button[formaction$=start]")
    page.wait_for_selector(".fault")
    page.select_option("select[name=column] >> nth=1", "name")
    page.click("button[formaction$=start]")
    page.wait_for_url("**/imports")
    page.goto(f"{page.url}?lang=en")  # whatever becomes of the page, the import goes on
    page.wait_for_selector("td:has-text('done')", timeout=60_000)
    page.screenshot(path=pictures / "central-imports-done.png")
    assert violations(page) == []
    counts = page.locator("[data-key^=upload] td").all_inner_texts()
    assert counts[2:4] == ["2", "0"]
    with page.expect_download() as waiting:
        page.click("a[download]")
    rows = Path(waiting.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert rows[1] == "3,number: neither 12 digits (CCCD) nor 9 (CMND),*,'=HYPERLINK(),**,1981,Nữ,Đống Đa"
    page.goto(f"http://127.0.0.1:{central.port}/audit")
    assert "imported" in page.inner_text("main")


def test_a_line_of_a_residents_history_is_corrected_on_its_page(page: Page, central: Central) -> None:
    page.goto(f"http://127.0.0.1:{central.port}/registry?lang=en")
    page.fill("[name=number]", AN)
    page.fill("[name=purpose]", "a call of 1022")
    page.click("form[action='/registry/find'] button")
    page.click(".found a")
    page.fill("form[action*='/order'] [name=place]", "home-7")
    page.fill("form[action*='/order'] [name=from]", "2026-11-20T08:00")
    page.click("form[action*='/order'] button")
    page.click("tr:has-text('home-7') summary")
    page.fill("tr:has-text('home-7') [name=value]", "home-8")
    page.click("tr:has-text('home-7') form:has([name=value]:not([type=hidden])) button")
    page.wait_for_selector("tr.gone:has-text('home-7')")
    assert "home-8" in page.inner_text("table")
    assert unfit(page) == []
    assert violations(page) == []


def test_a_picture_on_the_wall_gives_way_to_a_newer_one_without_a_blink(page: Page, central: Central) -> None:
    where = f"http://127.0.0.1:{central.port}/stills/cp-014/edge-01/cam-2"
    page.goto(f"http://127.0.0.1:{central.port}/traffic")
    for number in (1, 2):
        taken = datetime.now(UTC)
        answer = httpx.put(where, content=JPEG, headers={"Taken-At": taken.isoformat()}, trust_env=False)
        assert answer.status_code == 204
        until(page, f"document.querySelector('img[data-still]')?.src.includes('{taken.timestamp()}')")
        if number == 1:
            page.evaluate("document.querySelector('img[data-still]').mine = true")
    assert page.evaluate("document.querySelector('img[data-still]').mine")


@pytest.mark.parametrize("lang", LANGS)
def test_the_digits_of_a_new_screen_fit_and_everybody_can_read_them(
    central: Central, browser: Browser, lang: str
) -> None:
    page = probed(browser)
    page.goto(f"http://127.0.0.1:{central.port}/pair?lang={lang}")
    page.wait_for_selector("main h1")
    assert unfit(page) == []
    assert violations(page) == []
    page.screenshot(path=Path(__file__).resolve().parents[2] / ".cache" / "screenshots" / f"central-pair-{lang}.png")


@pytest.mark.parametrize("lang", LANGS)
def test_the_log_in_fits_and_everybody_can_use_it(central: Central, browser: Browser, lang: str) -> None:
    page = probed(browser)
    page.goto(f"http://127.0.0.1:{central.port}/login?lang={lang}")
    page.fill("[name=name]", "nobody")
    page.fill("[name=password]", "a wrong password")
    page.click("main button")
    page.wait_for_selector(".fault")
    assert unfit(page) == []
    assert violations(page) == []


# endless; and the words of whether we are ready, which without a broker are 503
UNTRIED = {("GET", "/live"), ("GET", "/health/ready")}


def test_whatever_is_sent_to_a_described_route_none_breaks(tmp_path: Path) -> None:
    """Each operation that an integrator is told of, tried by schemathesis with what fits its description."""
    central = Central(tmp_path)
    central.start()
    url = f"http://127.0.0.1:{central.port}"
    broken: list[str] = []
    seen: set[int] = set()
    try:
        with httpx.Client(base_url=url, headers={"origin": url}, trust_env=False) as client:
            assert client.post("/login", data=central.admin).status_code == 303
            wanted = {"name": "fuzz", "roles": sorted(PEOPLE), "writes": "true"}
            made = client.post("/tokens", data=wanted)
            assert made.status_code == 201, made.text
        secret = made.json()["token"]
        headers = {"Authorization": f"Bearer {secret}"}
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
        operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
        assert len(operations) > 15

        def attempt(operation: APIOperation[Any, Any, Any, Any]) -> None:
            @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy())
            def tried(case: Case[Any]) -> None:
                answer = case.call(headers=headers)
                seen.add(answer.status_code)
                if answer.status_code >= 500:
                    broken.append(f"{operation.method} {operation.path}: {answer.status_code} {answer.text[:100]}")

            tried()

        for operation in operations:
            if (operation.method.upper(), operation.path) not in UNTRIED:
                attempt(operation)
    finally:
        central.kill()
    assert broken == []
    assert {200, 422} <= seen, "nothing was let in, so nothing was tried"
    assert 401 not in seen


def test_a_pass_is_printed_alone_on_its_slip_and_is_read_from_the_paper(page: Page, central: Central) -> None:
    page.goto(f"http://127.0.0.1:{central.port}/passes?lang=vi")
    page.fill("[name=number]", AN)
    page.click("form[action='/passes'] button")
    page.wait_for_selector(".slip svg")
    assert violations(page) == []
    page.evaluate("window.print = () => (window.printed = true)")
    page.click("[data-print]")
    assert page.evaluate("window.printed")
    page.emulate_media(media="print")
    for gone in (".top", "form[action='/passes']", "[data-print]"):
        assert not page.is_visible(gone), gone
    picture = Path(__file__).resolve().parents[2] / ".cache" / "screenshots" / "slip.png"
    page.screenshot(path=picture)
    page.emulate_media(media="screen")
    (look,) = zxingcpp.read_barcodes(cv2.imread(str(picture)))
    assert look.text.startswith(PREFIX)
