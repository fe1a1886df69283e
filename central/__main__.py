"""`python -m central serve | setup | …`: the city's command line; `--help` lists its verbs."""

import argparse
import asyncio
import logging
import secrets
import socket
import ssl
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn
from paho.mqtt import publish
from paho.mqtt.enums import MQTTProtocolVersion

from central import backup, db, keys, secure
from central.app import DUTIES, Central, Duty
from central.auth import service as auth
from central.auth.rules import PEOPLE, broken_at
from central.authority import Authority, Refused
from central.crowd import service as crowd
from central.crowd.load import BadStreets
from central.crowd.load import read as read_streets
from central.enrolment import service as enrolment
from central.inbox import letters
from central.inbox.intake import Desk
from central.inbox.link import BadBroker, check
from central.keys import BadKey
from central.registry.load import BadFile, load
from central.settings import CentralSettings
from models import document
from models.document import BadDocument
from models.passes.policy import BadPolicy
from models.passes.policy import load as load_policy
from models.wire.config import Configuration, sign
from models.wire.tls import BadCertificate
from models.wire.topics import Box

_GRACE_SECONDS = 1


def _settings(path: Path | None) -> CentralSettings:
    return CentralSettings() if path is None else document.load(path, CentralSettings)


class _Server(uvicorn.Server):
    """Uvicorn, that ends the endless streams before it waits for them."""

    def __init__(self, config: uvicorn.Config, central: Central) -> None:
        super().__init__(config)
        self._central = central

    def handle_exit(self, sig: int, frame: object) -> None:  # noqa: ARG002  (uvicorn's signature)
        # Not uvicorn's own: it would raise the signal again at the end, and a clean stop would look like a death.
        self._central.closing()
        self.force_exit = self.should_exit
        self.should_exit = True


def _serve(settings: CentralSettings, only: Collection[Duty]) -> int:
    folder = Path(settings.data)
    check(settings.broker)
    central = Central(settings, keys.load(folder), load_policy(Path(settings.policy)), only=only)
    try:
        listener = socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise BadDocument(
            f"http://{settings.host}:{settings.port}: {error.strerror}; set another port in the configuration (0: any)"
        ) from error
    url = f"http://{settings.host}:{listener.getsockname()[1]}"
    (folder / "http.url").write_text(f"{url}\n")
    print(f"central: {url}", flush=True)
    config = uvicorn.Config(
        central.app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config, central)
    asyncio.run(_serve_all(server, listener, central, settings))
    return 0 if server.started else 1


async def _serve_all(
    server: uvicorn.Server, listener: socket.socket, central: Central, settings: CentralSettings
) -> None:
    folder = Path(settings.data)
    beside: list[secure.Https | secure.Desk] = []
    if settings.https is not None:
        beside.append(secure.Https(central.app, settings.https, folder))
    if settings.desk is not None:
        beside.append(secure.Desk(central.app, settings.desk, folder))
    await secure.serve(server, listener, *beside)


async def _invite(settings: CentralSettings, box: Box) -> int:
    if settings.https is None:
        raise BadDocument("https: missing in the configuration; without it no box can come in")
    await db.upgrade(settings.database)
    engine = db.connect(settings.database)
    try:
        async with db.writing(engine) as connection:
            code = await enrolment.invite(connection, box, datetime.now(UTC))
    finally:
        await engine.dispose()
    print(f"{code}.{Authority(Path(settings.https.pki)).fingerprint}")
    return 0


async def _import(settings: CentralSettings, path: Path) -> int:
    secrets = keys.load(Path(settings.data))
    await db.upgrade(settings.database)
    engine = db.connect(settings.database)
    try:
        report = await load(engine, secrets, path, datetime.now(UTC))
    finally:
        await engine.dispose()
    print(f"{report.new} new, {report.known} known, {report.facts} facts, {report.rejected} rejected", flush=True)
    if report.rejected:
        print(f"rejected rows with their reasons: {path}.rejected.csv; correct them and import that file again")
    return 0


async def _import_streets(settings: CentralSettings, path: Path) -> int:
    features = list(read_streets(path))
    await db.upgrade(settings.database)
    engine = db.connect(settings.database)
    try:
        async with db.writing(engine) as connection:
            await crowd.put_streets(connection, features)
    finally:
        await engine.dispose()
    districts = {feature.properties.district for feature in features}
    print(f"{len(features)} streets of {len(districts)} districts", flush=True)
    return 0


async def _set_up(settings: CentralSettings, name: str) -> int:
    """No password is built in: the first admin's is made here, printed once and kept only as a hash."""
    await db.upgrade(settings.database)
    engine = db.connect(settings.database)
    password = secrets.token_urlsafe(15)
    now = datetime.now(UTC)
    try:
        async with db.reading(engine) as connection:
            if await auth.has_admin(connection):
                print("there is an admin already; more people are made on the page /people", file=sys.stderr)
                return 1
        added = await auth.add(engine, name=name, full_name=name, password=password, roles=PEOPLE, places=(), now=now)
        if not added:
            print(f"the name {name} is taken; choose another by --name", file=sys.stderr)
            return 1
        async with db.writing(engine) as connection:
            await auth.note(connection, who="setup", what="POST /people", whom=name, outcome="201")
    finally:
        await engine.dispose()
    print(f"name: {name}\npassword: {password}", flush=True)
    return 0


async def _check_audit(settings: CentralSettings) -> int:
    engine = db.connect(settings.database)
    try:
        async with db.reading(engine) as connection:
            rows = [row async for row in auth.audit_trail(connection)]
    finally:
        await engine.dispose()
    broken = broken_at(rows)
    if broken is not None:
        print(f"row {broken} of {len(rows)} does not fit the one before it: the log was changed", file=sys.stderr)
        return 1
    print(f"{len(rows)} rows, whole; the last hash is {rows[-1]['hash'] if rows else '-'}")
    return 0


async def _letters(settings: CentralSettings, *, replay: bool) -> int:
    await db.upgrade(settings.database)
    engine = db.connect(settings.database)
    try:
        if replay:
            own, policy = keys.load(Path(settings.data)), load_policy(Path(settings.policy))
            done = await letters.replay(Desk(engine=engine, keys=own, policy=policy), datetime.now(UTC))
            print(f"{done.used} are events now, {done.still} still are not")
            return int(done.still > 0)
        async with db.reading(engine) as connection:
            rows = await letters.newest(connection, 100)
            print(f"{await letters.count(connection)} dead letters")
        for row in rows:
            print(f"{row['received_at']:%Y-%m-%d %H:%M:%S} {row['topic']} {row['bytes']} bytes: {row['reason']}")
    finally:
        await engine.dispose()
    return 0


def _keys(folder: Path, *, new_seal: bool) -> None:
    if new_seal:
        kept = keys.new_sealing_key(folder)
        print(f"boxes seal to a new key from their next snapshot on; {kept} opens what was sealed before: keep it")
    own = keys.load(folder)
    print(f"seal_key: {own.public_text}\nsign_key: {own.sign_text}")


def _send_config(settings: CentralSettings, site: str, edge: str, file: Path) -> int:
    """The whole file, signed for this box alone, kept by the broker until the box has it."""
    parts, port = check(settings.broker)
    try:
        told = Configuration(site=site, edge=edge, at=datetime.now(UTC), yaml=file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadDocument(f"{file}: cannot be read as UTF-8 text; give the path of the box's file") from error
    user = {"username": unquote(parts.username), "password": unquote(parts.password or "")} if parts.username else None
    tls: Any = ssl.create_default_context() if parts.scheme == "mqtts" else None
    publish.single(
        Box(site, edge).config,
        sign(told, keys.load(Path(settings.data)).sign),
        qos=1,
        retain=True,
        hostname=parts.hostname or "",
        port=port,
        auth=user,  # type: ignore[arg-type]  # a plain dict is what it wants
        tls=tls,
        protocol=MQTTProtocolVersion.MQTTv5,
    )
    print(f"sent; the box says in its state whether it has taken it ({Box(site, edge).state})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m central", description="Cửa Ô, the city's side")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="take events in, answer, show")
    serve.add_argument("config", nargs="?", type=Path, help="YAML file; without it, the defaults")
    serve.add_argument("--only", action="append", choices=DUTIES, help="this duty alone; may be given twice")
    residents = commands.add_parser("import-residents", help="a CSV or XLSX of residents into the registry")
    residents.add_argument("file", type=Path)
    residents.add_argument("--config", type=Path)
    streets = commands.add_parser("import-streets", help="a GeoJSON of streets, their districts, their zones")
    streets.add_argument("file", type=Path)
    streets.add_argument("--config", type=Path)
    invite = commands.add_parser("invite", help="a one-time code with which a new box gets its certificate")
    invite.add_argument("site")
    invite.add_argument("edge")
    invite.add_argument("--config", type=Path)
    public = commands.add_parser("keys", help="print the public keys that every edge gets under `central`")
    public.add_argument("--new-seal", action="store_true", help="make a new sealing key; the old one still opens")
    first = commands.add_parser("setup", help="make the first admin; prints the password once")
    first.add_argument("--name", default="admin")
    first.add_argument("--config", type=Path)
    trail = commands.add_parser("audit", help="check the audit log's chain of hashes from its first row")
    trail.add_argument("--config", type=Path)
    public.add_argument("--config", type=Path)
    dead = commands.add_parser("letters", help="what came and could not be used; --replay tries it again")
    dead.add_argument("--replay", action="store_true")
    dead.add_argument("--config", type=Path)
    for verb, told in (
        ("backup", "database, keys, authority and evidence into a folder, while central runs"),
        ("restore", "the same back, into an empty database"),
    ):
        copying = commands.add_parser(verb, help=told)
        copying.add_argument("folder", type=Path)
        copying.add_argument("--config", type=Path)
    box = commands.add_parser("send-config", help="a box's whole YAML file, signed, to that box")
    box.add_argument("site")
    box.add_argument("edge")
    box.add_argument("file", type=Path)
    box.add_argument("--config", type=Path)
    return parser


def main(arguments: list[str] | None = None) -> int:  # noqa: C901, PLR0911  (a verb each)
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        settings = _settings(given.config)
        if given.command == "serve":
            return _serve(settings, given.only or DUTIES)
        if given.command == "invite":
            return asyncio.run(_invite(settings, Box(given.site, given.edge)))
        if given.command == "import-residents":
            return asyncio.run(_import(settings, given.file))
        if given.command == "import-streets":
            return asyncio.run(_import_streets(settings, given.file))
        if given.command == "setup":
            return asyncio.run(_set_up(settings, given.name))
        if given.command == "audit":
            return asyncio.run(_check_audit(settings))
        if given.command in {"backup", "restore"}:
            (backup.backup if given.command == "backup" else backup.restore)(settings, given.folder)
            return 0
        if given.command == "letters":
            return asyncio.run(_letters(settings, replay=given.replay))
        if given.command == "send-config":
            return _send_config(settings, given.site, given.edge, given.file)
        _keys(Path(settings.data), new_seal=given.new_seal)
    except (
        BadDocument, BadKey, BadPolicy, BadFile, BadBroker, BadStreets, BadCertificate, Refused,
    ) as error:  # fmt: skip
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # SIGPIPE stays ignored: by default it would end the server with the first browser that goes while it is written to.
    sys.exit(main())
