import asyncio
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from central import db
from central.keys import load as load_keys
from tests.central.city import City
from tests.conftest import Cluster

_TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no rows: to migrate anew for each test takes longer than most of them."""
    file = tmp_path_factory.mktemp("migrated") / "central.db"
    asyncio.run(db.upgrade(f"sqlite+aiosqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_cluster: Cluster) -> str:
    """The same as a template of PostgreSQL's."""
    postgres_cluster.psql(f'CREATE DATABASE "{_TEMPLATE}"')
    asyncio.run(db.upgrade(f"postgresql+asyncpg://postgres@127.0.0.1:{postgres_cluster.port}/{_TEMPLATE}"))
    return _TEMPLATE


@pytest.fixture
def ready_postgres(postgres_cluster: Cluster, migrated_postgres: str) -> Iterator[str]:
    name = f"t{uuid.uuid4().hex}"
    postgres_cluster.psql(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_postgres}"')
    yield f"postgresql+asyncpg://postgres@127.0.0.1:{postgres_cluster.port}/{name}"
    postgres_cluster.psql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def city(request: pytest.FixtureRequest, tmp_path: Path, project_root: Path, migrated: Path) -> City:
    if request.param == "sqlite":
        shutil.copy(migrated, tmp_path / "central.db")
        url = f"sqlite+aiosqlite:///{tmp_path}/central.db"
    else:
        url = request.getfixturevalue("ready_postgres")
    return City(url, load_keys(tmp_path / "keys"), project_root)
