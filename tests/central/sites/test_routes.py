"""The calculator as the desk and a program ask it; the arithmetic itself is tested in tests/models/test_optics.py."""

import asyncio

import httpx
import jinja2
import pytest
from fastapi import FastAPI

from central.app import _PAGES
from central.sites.routes import routes
from models.view.feed import Feed
from models.view.page import LANGS, catalogue, environment


def get(address: str) -> httpx.Response:
    pages: jinja2.Environment = environment(_PAGES)
    pages.globals |= {"who": lambda: None, "may": lambda _what: False}
    app = FastAPI()
    app.include_router(routes(Feed({}), pages))

    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://central") as client:
            return await client.get(address)

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("lens", "distance", "kind", "verdict"),
    [
        (30, 1.0, "personal", "readable"),
        (30, 1.0, "city", "readable"),
        (60, 0.5, "hcert", "readable"),
        (60, 0.15, "cccd", "readable"),
        (60, 0.5, "cccd", "unreadable"),
    ],
)
def test_what_the_page_says_is_what_the_optics_say(lens: float, distance: float, kind: str, verdict: str) -> None:
    asked = f"?width=1920&lens={lens}&distance={distance}"
    rows = {row["kind"]: row for row in get("/optics/prospects" + asked).json()}
    assert rows[kind]["verdict"] == verdict
    assert f'data-kind="{kind}" data-verdict="{verdict}"' in get("/optics" + asked).text


@pytest.mark.parametrize("lang", LANGS)
def test_whoever_is_too_far_away_is_told_how_near_or_which_lens(lang: str) -> None:
    page = get(f"/optics?lens=90&distance=2&lang={lang}").text
    assert catalogue()[lang]["optics.unreadable"] in page
    assert get("/optics?lens=180").status_code == 422
    assert get("/optics/prospects?distance=0").status_code == 422
