from pathlib import Path

import pytest

from central.keys import load as load_keys
from tests.central.city import City


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def city(request: pytest.FixtureRequest, tmp_path: Path, project_root: Path) -> City:
    url = f"sqlite+aiosqlite:///{tmp_path}/central.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    made = City(url, load_keys(tmp_path / "keys"), project_root)
    made.upgrade()
    return made
