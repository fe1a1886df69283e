"""A copy of what central cannot make again: database, keys, authority, evidence. Taken while it runs."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import URL, make_url

from central import db
from central.settings import CentralSettings
from models.document import BadDocument

_DIGEST = 64
"""Characters of a name that says what is in the file."""


def _folders(settings: CentralSettings) -> Iterator[tuple[str, Path]]:
    yield "data", Path(settings.data)
    if settings.https is not None:
        yield "pki", Path(settings.https.pki)


def _copy(source: Path, target: Path) -> None:
    """Keys and documents anew, evidence once: a name there is a hash of the content."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in sorted(source.rglob("*")):
        if path.is_dir() or path.name.endswith((".part", ".db", ".db-wal", ".db-shm", ".url")):
            continue
        copy = target / path.relative_to(source)
        if len(path.name) == _DIGEST and copy.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = copy.with_name(f"{copy.name}.part")
        shutil.copy2(path, part)
        part.replace(copy)


def _postgres(url: URL, program: str, *words: str) -> None:
    """The password goes by the environment: a command line can be read by everybody."""
    if shutil.which(program) is None:
        raise BadDocument(f"{program} is missing; install postgresql-client")
    env = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    plain = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    if ended := subprocess.run([program, *words, "--dbname", plain], env=env, check=False).returncode:
        raise BadDocument(f"{program} ended with {ended}; what it said stands above")


def backup(settings: CentralSettings, folder: Path) -> None:
    """Into this folder; what an earlier backup left there is brought up to date."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = make_url(settings.database)
    part = folder / "database.part"
    if url.get_backend_name() == "sqlite":
        if not Path(str(url.database)).is_file():
            raise BadDocument(f"{url.database} is not there; is this central's configuration?")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
    else:
        _postgres(url, "pg_dump", "--format=custom", "--file", str(part))
    part.replace(folder / "database")
    for name, source_folder in _folders(settings):
        _copy(source_folder, folder / name)


async def _tables(database: str) -> list[str]:
    engine = db.connect(database)
    try:
        async with db.reading(engine) as connection:
            return await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    finally:
        await engine.dispose()


def restore(settings: CentralSettings, folder: Path) -> None:
    """Into an empty database. Raises BadDocument for one that is not, and for a folder that is no backup."""
    if not (folder / "database").is_file():
        raise BadDocument(f"{folder}: no backup of ours; give the folder that `central backup` wrote")
    url = make_url(settings.database)
    if asyncio.run(_tables(settings.database)):
        raise BadDocument("the database is not empty; restore into a new one, then look which is right")
    if url.get_backend_name() == "sqlite":
        shutil.copyfile(folder / "database", str(url.database))
    else:
        _postgres(url, "pg_restore", "--no-owner", "--single-transaction", str(folder / "database"))
    for name, target in _folders(settings):
        if (folder / name).is_dir():
            _copy(folder / name, target)
