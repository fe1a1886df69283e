"""A page with a list that rings: the kit alone, in a process that can be killed, frozen and started again.

`python -m tests.models.view.static.board PORT FILE`: each line of the file is a row; the state is the file's.
"""

import asyncio
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from models.view.feed import Feed
from models.view.page import Secured, environment, mount_static

_PAGE = """{% extends "base.html" %}{% block main %}{{ state|safe }}{% endblock %}"""
_LIST = """<section id="board"><ul data-list>
{% for row in rows %}
<li data-key="{{ row }}" data-v="1" class="open" data-alarm tabindex="-1">{{ row }}
<input name="note-{{ row }}" aria-label="note">
<button data-press="a" data-takes="{{ row }}">A</button></li>
{% endfor %}
</ul></section>"""


def main() -> None:
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    pages = environment()

    def rows() -> list[str]:
        return file.read_text(encoding="utf-8").split()

    async def render(lang: str, _places: tuple[str, ...]) -> str:
        return pages.from_string(_LIST).render(lang=lang, rows=rows())

    feed = Feed({"board": render}, beat_seconds=1.0)

    async def page(request: Request) -> Response:
        state = await feed.state("board", "en")
        html = pages.from_string(_PAGE).render(lang="en", live="/live", state=state, login="/login")
        return HTMLResponse(html)

    async def live(request: Request) -> Response:
        if file.with_suffix(".locked").exists():
            return JSONResponse({}, 401)
        return feed.stream(["board"], "en")

    async def watch() -> None:
        before: list[str] = []
        while True:
            if (now := rows()) != before:
                before = now
                feed.touch("board")
            await asyncio.sleep(0.05)

    async def serve() -> None:
        routes = [Route("/", page), Route("/live", live), Route("/me", live), Route("/login", page), mount_static()]
        config = uvicorn.Config(Secured(Starlette(routes=routes)), port=port, log_level="warning")
        watching = asyncio.create_task(watch())
        await uvicorn.Server(config).serve()
        watching.cancel()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
