"""Central's ears for other machines: HTTPS for boxes, TLS with HTTP/2 for people. The pages' own port can stay on
loopback."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from granian.constants import Interfaces
from granian.server.embed import Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from central import settings
from models.document import BadDocument
from models.wire import tls

_log = logging.getLogger(__name__)
_LOOK_S = 2.0

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class _Known(H11Protocol):
    """Tells the application by `scope["peer"]` and `serial` whose certificate the other end has shown."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own is narrower
        super().connection_made(transport)
        shown = transport.get_extra_info("peercert") or {}
        peer = next((value for part in shown.get("subject", ()) for name, value in part if name == "commonName"), None)
        app: Any = self.app

        async def known(scope: Scope, receive: Any, send: Any) -> None:
            scope["peer"], scope["serial"] = peer, shown.get("serialNumber")
            await app(scope, receive, send)

        self.app = known


class Https:
    """Raises BadCertificate, or BadDocument for a port that is taken."""

    def __init__(self, app: Any, told: settings.Https, data: Path) -> None:
        self._crl = Path(told.pki) / "crl.pem"
        self._context = tls.context(Path(told.pki) / "ca.pem", Path(told.certificate), Path(told.key), serves=True)
        tls.revoke(self._context, self._crl)
        try:
            self._listener = socket.create_server((told.host, told.port))
        except OSError as error:
            raise BadDocument(f"https: {told.host}:{told.port}: {error.strerror}; set another port (0: any)") from error
        (data / "https.url").write_text(f"https://localhost:{self._listener.getsockname()[1]}\n")
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, http=_Known, lifespan="off", ws="none",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        config.load()
        config.ssl = self._context
        self._server = uvicorn.Server(config)
        # The first server listens for signals, and ends this one.
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # uvicorn's seam for that

    async def serve(self) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            await self._server._serve(sockets=[self._listener])  # noqa: SLF001  (`serve` would take the signals)
        finally:
            watching.cancel()

    def end(self) -> None:
        self._server.should_exit = True

    async def _watch(self) -> None:
        """A revocation counts from the next connection on."""
        read = self._crl.stat().st_mtime_ns
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                if (now := self._crl.stat().st_mtime_ns) != read:
                    tls.revoke(self._context, self._crl)
                    read = now
                    _log.info("the list of revoked certificates was read again")
            except (OSError, ssl.SSLError) as error:
                _log.warning("%s cannot be read (%s); the last one counts", self._crl, type(error).__name__)


class Desk:
    """HTTP/2 over TLS. Raises BadDocument for a port that is taken or a certificate that does not serve."""

    def __init__(self, app: Any, told: settings.Desk, data: Path) -> None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(told.certificate, told.key)
        except (OSError, ssl.SSLError) as error:
            raise BadDocument(
                f"desk: {told.certificate}, {told.key}: {error}; make them with scripts/pki server desk HOST"
            ) from error
        port = told.port
        try:
            with socket.create_server((told.host, port)) as listener:  # granian itself would end the whole process
                port = listener.getsockname()[1]
        except OSError as error:
            raise BadDocument(f"desk: {told.host}:{port}: {error.strerror}; set another port (0: any)") from error
        (data / "desk.url").write_text(f"https://localhost:{port}\n")
        self._told, self._port, self._app = told, port, app
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        server = Server(
            self._app, address=self._told.host, port=self._port, interface=Interfaces.ASGINL, websockets=False,
            ssl_cert=Path(self._told.certificate), ssl_key=Path(self._told.key), log_enabled=False,
        )  # fmt: skip
        serving = asyncio.create_task(server.serve())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            server.stop()  # type: ignore[no-untyped-call]
            await serving

    def end(self) -> None:
        self._ended.set()


async def serve(server: uvicorn.Server, listener: socket.socket, *beside: Https | Desk) -> None:
    """Until the server ends; the others end with it."""
    others = [asyncio.create_task(one.serve()) for one in beside]
    try:
        await server.serve(sockets=[listener])
    finally:
        for one in beside:
            one.end()
        await asyncio.gather(*others, return_exceptions=True)
