"""The live feed over real HTTP: a server on a free port, a client that reads the stream."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from models.view.feed import Feed
from models.view.page import lang_of


@dataclass
class Board:
    """A topic whose whole state is one number."""

    value: int = 0
    rendered: list[str] = field(default_factory=list)

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        self.rendered.append(lang)
        return f'<p id="board">\n{lang} {self.value}</p>'


@contextmanager
def serving(feed: Feed, port: int = 0) -> Iterator[int]:
    async def live(request: Request) -> StreamingResponse:
        return feed.stream(request.query_params["topics"].split(","), lang_of(request))

    config = uvicorn.Config(Starlette(routes=[Route("/live", live)]), port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        feed.close()
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@contextmanager
def reading(port: int, query: str = "topics=board") -> Iterator[Callable[[str], str]]:
    """Gives `until(words)`: reads on until a line holds the words."""
    with (
        httpx.Client(timeout=10, trust_env=False) as client,
        client.stream("GET", f"http://127.0.0.1:{port}/live?{query}") as answer,
    ):
        assert answer.status_code == 200, answer.status_code
        lines = answer.iter_lines()
        yield lambda words: next(line for line in lines if words in line)


def test_a_connection_begins_with_the_whole_state_and_changes_follow() -> None:
    board = Board(7)
    feed = Feed({"board": board.render})
    with serving(feed) as port, reading(port) as until:
        assert until("vi ") == "data: vi 7</p>"
        board.value = 8
        feed.touch("board")
        assert until("vi ") == "data: vi 8</p>"


def test_a_state_is_rendered_once_for_all_readers_of_a_language() -> None:
    board = Board()
    feed = Feed({"board": board.render})
    with (
        serving(feed) as port,
        reading(port) as first,
        reading(port) as second,
        reading(port, "topics=board&lang=en") as third,
    ):
        for until in (first, second, third):
            until(" 0</p>")
        board.value = 1
        feed.touch("board")
        for until in (first, second, third):
            until(" 1</p>")
    assert sorted(board.rendered) == ["en", "en", "vi", "vi"]


def test_changes_while_a_reader_is_slow_are_one_change() -> None:
    async def body() -> list[str]:
        board = Board()
        feed = Feed({"board": board.render})
        stream = aiter(feed.stream(["board"], "vi").body_iterator)
        heard = [await anext(stream), await anext(stream)]
        for board.value in range(1, 100):
            feed.touch("board")
        await asyncio.sleep(0)
        heard.append(await anext(stream))
        await stream.aclose()  # type: ignore[attr-defined]
        assert feed.readers == 0
        return [bytes(part).decode() for part in heard if not isinstance(part, str)]

    beat, first, second = asyncio.run(body())
    assert beat.startswith("event: beat\ndata: {")
    assert "vi 0" in first
    assert "vi 99" in second


def test_a_restarted_server_tells_the_state_of_now() -> None:
    board = Board(1)
    with serving(Feed({"board": board.render})) as port, reading(port) as until:
        until("vi 1")
    board.value = 2
    with serving(Feed({"board": board.render}), port) as again, reading(again) as until:
        assert again == port
        until("vi 2")


def test_a_closed_feed_ends_its_streams_so_that_the_server_can_stop() -> None:
    feed = Feed({"board": Board().render})
    with serving(feed) as port, reading(port) as until:
        until("vi 0")
        feed.close()
        with pytest.raises(StopIteration):
            until("never said")


def test_a_topic_that_cannot_be_rendered_ends_its_stream_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(lang: str, places: tuple[str, ...]) -> str:
        raise LookupError(lang)

    with serving(Feed({"board": broken})) as port, reading(port) as until, pytest.raises(StopIteration):
        until("never said")
    assert "topic board cannot be rendered" in caplog.text


def test_each_set_of_places_has_a_state_of_its_own() -> None:
    async def render(lang: str, places: tuple[str, ...]) -> str:
        return f"<p>{lang} {' '.join(places) or 'all'}</p>"

    async def states() -> list[str]:
        feed = Feed({"board": render})
        return [await feed.state("board", "vi", places) for places in ((), ("q-1",), ("q-1", "q-2"))]

    assert asyncio.run(states()) == ["<p>vi all</p>", "<p>vi q-1</p>", "<p>vi q-1 q-2</p>"]


def test_an_unknown_topic_is_not_found() -> None:
    with serving(Feed({"board": Board().render})) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/live?topics=other", trust_env=False).status_code == 404


def test_touching_an_unknown_topic_is_a_fault() -> None:
    with pytest.raises(KeyError, match="other"):
        Feed({"board": Board().render}).touch("other")


def test_a_view_is_a_state_of_its_own_that_changes_with_its_topic() -> None:
    async def render(lang: str, _places: tuple[str, ...], view: str = "whole") -> str:
        return f"<p>{lang} {view} {board.value}</p>"

    board = Board(7)
    feed = Feed({"wall": render, "board": board.render}, views={"wall"})
    with serving(feed) as port, reading(port, "topics=wall~2.Hue") as until:
        assert until("vi ") == "data: <p>vi 2.Hue 7</p>"
        board.value = 8
        feed.touch("wall")
        assert until("vi ") == "data: <p>vi 2.Hue 8</p>"
        for asked in ("board~2", "wall~" + "x" * 500, "strange~2"):
            assert httpx.get(f"http://127.0.0.1:{port}/live?topics={asked}", trust_env=False).status_code == 404


def test_what_changes_all_the_time_is_told_at_its_pace_and_the_last_change_is_never_lost() -> None:
    board = Board()
    feed = Feed({"board": board.render}, paces={"board": 0.2})
    with serving(feed) as port, reading(port) as until:
        until("vi 0")
        for board.value in range(1, 200):
            feed.touch("board")
            time.sleep(0.001)
        until("vi 199")
    assert len(board.rendered) < 20
