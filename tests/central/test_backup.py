"""A central that comes back from its copy asks for nothing twice, and says what it lacks."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db, keys
from central.backup import backup, restore
from central.inbox.tables import event
from central.settings import CentralSettings
from central.sites.rules import Gap
from central.sites.service import gaps as find_gaps
from central.sites.service import seen
from models.document import BadDocument
from models.wire.events import Counts, CrowdLevel, join
from models.wire.seal import Identity, seal
from models.wire.topics import Box
from tests.central.city import City
from tests.conftest import Cluster

WHO = Identity(ids=(("cccd", "001080000001"),))


def settings(city: City, data: Path) -> CentralSettings:
    return CentralSettings(database=city.url, data=str(data))


def level(city: City) -> bytes:
    return city.event(CrowdLevel(zone="street", level=2, since=1.0, counts=Counts()))


def empty(url: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """Another database of the same kind."""
    if url.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{folder}/restored.db"
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    cluster.psql('DROP DATABASE IF EXISTS "restored" WITH (FORCE)')
    cluster.psql('CREATE DATABASE "restored"')
    return url.rpartition("/")[0] + "/restored"


def test_a_restored_central_takes_nothing_twice_and_names_what_went_with_the_disk(
    city: City, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    told = [level(city) for _ in range(8)]
    city.take(join(told[:5]))
    data = tmp_path / "keys"
    picture = data / "evidence" / "ab" / ("ab" * 32)
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"picture")
    sealed = seal(WHO, city.keys.public)
    for _ in range(2):  # the second night finds the first one's copy
        backup(settings(city, data), tmp_path / "copy")
    city.take(join(told[5:7]))  # receipted, and gone with the disk

    again = City(empty(city.url, tmp_path, request), city.keys, city.root, city.sequence)
    restore(settings(again, tmp_path / "new"), tmp_path / "copy")
    assert keys.load(tmp_path / "new").open(sealed) == WHO
    assert (tmp_path / "new" / "evidence" / "ab" / picture.name).read_bytes() == b"picture"
    assert (tmp_path / "new" / "seal.key").stat().st_mode & 0o777 == 0o600
    again.upgrade()
    taken = again.take(join([told[3], told[4], told[7]]))
    assert (taken.known, taken.new, again.count(event)) == (2, 1, 6)

    async def missing(engine: AsyncEngine) -> tuple[list[Gap], tuple[tuple[int, int], ...]]:
        async with db.reading(engine) as connection:
            known = await seen(connection, Box("cp-014", "edge-01"), "k3f9", ((1, 8),))
            return await find_gaps(connection), known

    (found,), known = again.run(missing)
    assert found.ranges == ((6, 7),)
    assert known == ((1, 5), (8, 8))
    with pytest.raises(BadDocument, match="not empty"):
        restore(settings(again, tmp_path / "new"), tmp_path / "copy")


def test_a_folder_that_is_no_backup_is_refused(city: City, tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="no backup"):
        restore(settings(city, tmp_path), tmp_path)
