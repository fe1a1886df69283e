"""The live feed: state, not events. A connection begins with the whole state of its topics; each change is one too.

Server-sent events over a plain streaming response: the bytes of a state are made once and handed to every reader.
"""

import asyncio
import json
import logging
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from models.view.page import BUILD

_log = logging.getLogger(__name__)

Render = Callable[..., Awaitable[str]]
"""A language and the places that the reader may see (none: all) to the HTML of a topic's whole present state: one
element with an id. It is made once for all readers of both, so it must not look at who is asking. Of a topic that has
views, as third the words after its `~`, whatever a reader wrote there."""
_LONGEST_VIEW = 400
_KEPT_STATES = 512
"""Bounds the states that are kept: as many as topics, languages and sets of places that are read at a time."""


_Key = tuple[str, str, tuple[str, ...]]


class Feed:
    """Topics that screens follow. Everything but `touch` and `close` belongs to one event loop.

    A reader holds no queue: it remembers the version it was sent and is sent the newest one, however slow it is.
    """

    def __init__(
        self,
        topics: Mapping[str, Render],
        *,
        build: str = BUILD,
        beat_seconds: float = 2.0,
        views: Collection[str] = (),
        paces: Mapping[str, float] | None = None,
    ) -> None:
        """`views`: topics that may be asked for as `topic~view`. `paces`: the least seconds between two states of a
        topic that changes all the time; a change after a quiet while is told at once.
        """
        self._topics = dict(topics)
        self._views = frozenset(views)
        self._paces = dict(paces or {})
        self._advanced: dict[str, float] = {}
        self._due: set[str] = set()
        self._build = build
        self._beat_seconds = beat_seconds
        self._versions = dict.fromkeys(self._topics, 0)
        self._states: OrderedDict[_Key, tuple[int, asyncio.Task[bytes | None]]] = OrderedDict()
        self._readers: set[asyncio.Event] = set()
        self._beating: asyncio.Task[None] | None = None
        self._beats = 0
        self._last_beat = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def hold(self, topics: Mapping[str, Render]) -> None:
        """These topics from now on. A stream that follows one that is gone ends. From any thread."""

        def change() -> None:
            self._versions = {topic: self._versions.get(topic, 0) for topic in topics}
            self._wake()

        self._topics = dict(topics)
        if self._loop is None:
            change()
        else:
            self._in_loop(change)

    def touch(self, topic: str) -> None:
        """Say, after the change, that the topic's state has changed. From any thread."""
        if topic not in self._topics:
            raise KeyError(topic)
        self._in_loop(lambda: self._advance(topic))

    def close(self) -> None:
        """End every stream; new ones end at once. From any thread.

        Call it when the stop is asked for, before the server waits for its open connections: it would wait for ever.
        """
        self._closed = True
        self._in_loop(self._wake)

    async def state(self, topic: str, lang: str, places: tuple[str, ...] = ()) -> str:
        """The topic's present HTML for a page's first load: what the stream would send. Raises HTTPException(503)."""
        self._loop = asyncio.get_running_loop()
        message = await self._state((topic, lang, places))
        if message is None:
            raise HTTPException(503)
        return "\n".join(line.removeprefix("data: ") for line in message.decode().rstrip("\n").split("\n"))

    def stream(self, topics: Sequence[str], lang: str, places: tuple[str, ...] = ()) -> StreamingResponse:
        """The endless answer of `GET /live`. Raises HTTPException(404) on a topic that is not here."""
        if not topics or not all(map(self._knows, topics)):
            raise HTTPException(404)
        self._loop = asyncio.get_running_loop()
        return StreamingResponse(
            self._follow(tuple(dict.fromkeys(topics)), lang, places),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    def _knows(self, asked: str) -> bool:
        topic, _, view = asked.partition("~")
        return topic in self._topics and (not view or (topic in self._views and len(view) <= _LONGEST_VIEW))

    @property
    def readers(self) -> int:
        return len(self._readers)

    def _in_loop(self, act: Callable[[], None]) -> None:
        # Without a loop nobody has read anything yet, so nothing is out of date.
        if self._loop is None or self._loop.is_closed():
            return
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # the loop was closed in between: nobody reads any more
            _log.debug("the feed's loop is closed")

    def _advance(self, topic: str) -> None:
        if topic in self._due:
            return
        loop = asyncio.get_running_loop()
        wait = self._advanced.get(topic, -math.inf) + self._paces.get(topic, 0.0) - loop.time()
        if wait > 0:
            self._due.add(topic)
            loop.call_later(wait, self._advance_now, topic)
        else:
            self._advance_now(topic)

    def _advance_now(self, topic: str) -> None:
        self._due.discard(topic)
        self._advanced[topic] = asyncio.get_running_loop().time()
        if topic in self._versions:  # it may have gone meanwhile
            self._versions[topic] += 1
        self._wake()

    def _wake(self) -> None:
        for reader in self._readers:
            reader.set()

    async def _follow(self, topics: tuple[str, ...], lang: str, places: tuple[str, ...]) -> AsyncIterator[bytes]:
        wake = asyncio.Event()
        self._readers.add(wake)  # subscribe first, then read: nothing falls between
        if self._beating is None:
            self._beating = asyncio.create_task(self._keep_beating())
        sent: dict[str, int] = {}
        last: dict[str, bytes] = {}
        beats = -1
        try:
            while not self._closed:
                wake.clear()
                if beats != self._beats:
                    first, beats = beats < 0, self._beats
                    yield self._beat() if first else self._last_beat
                for topic in topics:
                    version = self._versions.get(topic.partition("~")[0])
                    if version is None:
                        return
                    if sent.get(topic) != version:
                        message = await self._state((topic, lang, places))
                        if message is None:
                            return  # the client's banner says it better than an old state would
                        sent[topic] = version
                        if last.get(topic) != message:  # what changed may not be part of this view
                            last[topic] = message
                            yield message
                await wake.wait()
        finally:
            self._readers.discard(wake)
            if not self._readers and self._beating is not None:
                self._beating.cancel()
                self._beating = None

    async def _keep_beating(self) -> None:
        """One clock for all readers: a timer of each one's own would cost more than what it sends."""
        while True:
            await asyncio.sleep(self._beat_seconds)
            self._beats += 1
            self._last_beat = self._beat()
            self._wake()

    def _beat(self) -> bytes:
        beat = {"now": round(time.time(), 3), "build": self._build}
        return f"event: beat\ndata: {json.dumps(beat)}\n\n".encode()

    async def _state(self, key: _Key) -> bytes | None:
        """The message of the present state, rendered once for all readers of this version; None when it cannot be."""
        version = self._versions.get(key[0].partition("~")[0], 0)
        kept = self._states.get(key)
        if kept is None or kept[0] != version or (kept[1].done() and kept[1].result() is None):
            kept = (version, asyncio.create_task(self._render(*key)))
            self._states[key] = kept
            self._states.move_to_end(key)
            if len(self._states) > _KEPT_STATES:
                self._states.popitem(last=False)
        if kept[1].done():
            return kept[1].result()
        # A reader that leaves must not take the others' rendering with it.
        return await asyncio.shield(kept[1])

    async def _render(self, asked: str, lang: str, places: tuple[str, ...]) -> bytes | None:
        topic, _, view = asked.partition("~")
        try:
            html = await self._topics[topic](lang, places, *([view] if view else []))
        except Exception:  # noqa: BLE001  (any room's code; one topic's fault stays its own)
            _log.exception("topic %s cannot be rendered; its streams end and their screens say so", topic)
            return None
        return ("".join(f"data: {line}\n" for line in html.splitlines()) + "\n").encode()
