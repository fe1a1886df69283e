"""Who may look at a post's screen from elsewhere than the box itself."""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from edge.gate.screen import Pairing, Screen
from edge.gate.screen.pairing import CODE_SECONDS, MOST_WAITING

AT = datetime(2021, 9, 21, 0, 0, tzinfo=UTC)
HERE = "http://post.test"


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def visit(
    pairing: Pairing, step: Callable[[httpx.AsyncClient, httpx.AsyncClient], Awaitable[None]], **headers: str
) -> None:
    """A browser on the gate's network, and one on the box."""

    async def go() -> None:
        app = Screen("phap-van", ["gate-1"], pairing=pairing).app

        def client(address: str, headers: dict[str, str]) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app=app, client=(address, 4000))
            return httpx.AsyncClient(transport=transport, base_url=HERE, headers={"origin": HERE} | headers)

        async with client("192.168.1.20", headers) as far, client("127.0.0.1", {}) as near:
            await step(far, near)

    asyncio.run(go())


def code_of(page: httpx.Response) -> str:
    return page.text.partition("<h1>")[2][:7].replace(" ", "")


def test_a_screen_of_the_network_is_let_in_by_its_six_digits_and_out_again(tmp_path: Path) -> None:
    pairing = Pairing(tmp_path / "screens.json")

    async def step(far: httpx.AsyncClient, near: httpx.AsyncClient) -> None:
        sent = await far.get("/holder?camera=cam-1", headers={"accept": "text/html"})
        wanted = "/pair?next=/holder%3Fcamera%3Dcam-1"
        assert (sent.status_code, sent.headers["location"]) == (303, wanted)
        for path in ("/", "/live?topics=line", "/crop/x", "/still/gate-1.jpg", "/me", "/screens"):
            assert (await far.get(path)).status_code == 401, path
        assert (await far.post("/dismiss/gate-1/x")).status_code == 401
        shown = await far.get("/pair")
        assert "HttpOnly" in shown.headers["set-cookie"]
        code = code_of(shown)
        assert code.isdigit()
        assert code_of(await far.get("/pair")) == code, "the same digits until they end"
        assert (await far.post("/screens", data={"code": code, "name": "own"})).status_code == 401
        assert (await near.post("/screens", data={"code": code, "name": "Lane 2"})).status_code == 303
        assert (await far.get("/")).status_code == 200
        assert (await far.get("/screens")).status_code == 401, "who may look may not let others in"
        assert "Lane 2" in (await near.get("/screens")).text
        again = Pairing(tmp_path / "screens.json")
        assert [row.name for row in again.paired.values()] == ["Lane 2"]
        assert (await near.post(f"/screens/{next(iter(pairing.paired))}/revoke")).status_code == 303
        assert (await far.get("/")).status_code == 401

    visit(pairing, step)
    assert stat.S_IMODE((tmp_path / "screens.json").stat().st_mode) == 0o600


def test_a_screen_that_faces_the_queue_sees_how_to_hold_a_code_and_nothing_else(tmp_path: Path) -> None:
    async def step(far: httpx.AsyncClient, near: httpx.AsyncClient) -> None:
        code = code_of(await far.get("/pair?next=/holder"))
        given = {"code": code, "name": "Lane 2", "faces": "holder"}
        assert (await near.post("/screens", data=given)).status_code == 303
        back = await far.get("/pair?next=//evil.test/holder")
        assert (back.status_code, back.headers["location"]) == (303, "/evil.test/holder")
        assert (await far.get("/holder")).status_code == 200
        home = await far.get("/", headers={"accept": "text/html"})
        assert (home.status_code, home.headers["location"]) == (303, "/holder")
        for path in (
            "/",
            "/live?topics=panel.gate-1",
            "/live?topics=holder.gate-1,panel.gate-1",
            "/crop/x",
            "/screens",
        ):
            assert (await far.get(path)).status_code == 403, path
        assert (await far.post("/dismiss/gate-1/x")).status_code == 403
        assert (await far.get("/me")).status_code == 204

    visit(Pairing(tmp_path / "screens.json"), step)
    assert [row.is_facing for row in Pairing(tmp_path / "screens.json").paired.values()] == [True]


def test_a_browser_on_the_box_needs_no_pairing_and_a_proxy_on_it_does(tmp_path: Path) -> None:
    async def step(_far: httpx.AsyncClient, near: httpx.AsyncClient) -> None:
        assert (await near.get("/")).status_code == 200
        assert (await near.get("/", headers={"x-forwarded-for": "192.168.1.20"})).status_code == 401

    visit(Pairing(tmp_path / "screens.json"), step)


@pytest.mark.parametrize("origin", ["http://evil.test", ""])
def test_no_foreign_page_lets_a_screen_in(tmp_path: Path, origin: str) -> None:
    pairing = Pairing(tmp_path / "screens.json")

    async def step(far: httpx.AsyncClient, near: httpx.AsyncClient) -> None:
        code = code_of(await far.get("/pair"))
        answer = await near.post("/screens", data={"code": code, "name": "x"}, headers={"origin": origin})
        assert answer.status_code == 403

    visit(pairing, step)
    assert pairing.paired == {}


def test_digits_end_and_those_that_wait_stay_few(tmp_path: Path) -> None:
    hand = Hand()
    pairing = Pairing(tmp_path / "screens.json", hand)
    code = pairing.ask("screen")
    hand.now += CODE_SECONDS
    assert not pairing.redeem(code, "late", AT)
    codes = [pairing.ask(f"screen {number}") for number in range(MOST_WAITING + 5)]
    assert not pairing.redeem(codes[0], "pushed out", AT)
    assert pairing.redeem(codes[-1], "newest", AT)
    assert not pairing.redeem(codes[-1], "twice", AT)
    assert len(set(codes)) == len(codes)
    assert pairing.knows(f"screen {MOST_WAITING + 4}")
    assert not pairing.knows("screen")
