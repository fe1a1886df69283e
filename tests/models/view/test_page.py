import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import get_args

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edge.eyes.status import Reason, State
from models.view.page import (
    LANGS,
    STATIC,
    TEMPLATES,
    Secured,
    catalogue,
    doing,
    kind,
    lang_of,
    language_route,
    mount_static,
    reason,
    same_origin,
    text,
)

ROOT = Path(__file__).resolve().parents[3]
PAGES = [path for room in ("models", "edge", "central") for path in (ROOT / room).rglob("*.html")]


def _fields(words: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(words) if name}


def test_both_languages_have_the_same_keys_and_want_the_same_values() -> None:
    vi, en = catalogue()["vi"], catalogue()["en"]
    assert vi.keys() == en.keys()
    assert [key for key in vi if _fields(vi[key]) != _fields(en[key])] == []
    assert [key for key in vi if not vi[key].strip() or not en[key].strip()] == []


def test_every_key_that_a_template_names_is_written() -> None:
    used = {
        (page.relative_to(ROOT), key)
        for page in PAGES
        for key in re.findall(r"""\bt\(lang, ["']([\w.]+)["'](?! ~)""", page.read_text(encoding="utf-8"))
    }
    assert len(used) > 20
    assert [one for one in used if one[1] not in catalogue()["vi"]] == []


def test_no_page_and_no_static_file_reaches_outside_or_runs_inline() -> None:
    for path in [*PAGES, *(path for path in STATIC.rglob("*") if path.suffix in {".js", ".css", ".svg"})]:
        content = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|//[a-z]+\.[a-z]", content), path
        if path.suffix == ".html":
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", content), path


def test_a_reason_and_a_kind_that_nobody_wrote_have_general_words() -> None:
    assert reason("vi", "f1_of_the_future") == text("vi", "reason.other")
    assert kind("en", "future") == text("en", "kind.unknown")


async def _show(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{lang_of(request)} {same_origin(request)}")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = Secured(Starlette(routes=[Route("/", _show), language_route(), mount_static()]))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def test_the_language_is_asked_for_kept_and_else_vietnamese(client: httpx.Client) -> None:
    assert client.get("/").text.startswith("vi")
    assert client.get("/?lang=en").text.startswith("en")
    assert client.get("/?lang=xx").text.startswith("vi")
    answer = client.get("/lang/en", headers={"referer": f"{client.base_url.copy_with(path='/')}?camera=g"})
    assert answer.headers["location"] == "/?camera=g"
    assert client.get("/").text.startswith("en")
    assert client.get("/lang/fr").status_code == 404


@pytest.mark.parametrize("referer", ["http://evil.test/away", "SELF//evil.test", ""])
def test_choosing_a_language_never_leads_away(client: httpx.Client, referer: str) -> None:
    answer = client.get("/lang/vi", headers={"referer": referer.replace("SELF", str(client.base_url).rstrip("/"))})
    assert answer.headers["location"] in {"/", "/evil.test"}


def test_only_a_page_of_ours_may_post(client: httpx.Client) -> None:
    assert client.get("/", headers={"origin": str(client.base_url).rstrip("/")}).text.endswith("True")
    assert client.get("/", headers={"origin": "http://evil.test"}).text.endswith("False")
    assert client.get("/").text.endswith("False")


def test_every_answer_says_what_it_may_load(client: httpx.Client) -> None:
    for path in ("/", "/static/live.js", "/missing"):
        assert "default-src 'self'" in client.get(path).headers["content-security-policy"]
    assert TEMPLATES.is_dir()


def test_what_a_camera_does_has_words_also_when_a_newer_box_knows_more() -> None:
    assert doing("en", "live", "pictures") == "live"
    assert doing("en", "unauthorised", "password") == "wrong password: the camera refuses the user or the password"
    assert doing("vi", "levitating", "gravity") == "không rõ: lý do khác"


@pytest.mark.parametrize("lang", LANGS)
def test_every_state_and_reason_of_a_camera_has_words(lang: str) -> None:
    texts = catalogue()[lang]
    wanted = {f"state.{state}" for state in get_args(State)} | {f"camera.{reason}" for reason in get_args(Reason)}
    assert wanted - texts.keys() == set()
