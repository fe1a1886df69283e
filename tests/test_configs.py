import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from central.settings import CentralSettings
from edge.settings import EdgeSettings
from models.document import Section, load

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def kind(path: Path) -> type[Section]:
    return EdgeSettings if path.name.startswith("edge") else CentralSettings


EXAMPLES = [path for path in sorted(CONFIGS.rglob("*.yaml")) if path.name != "compose.yaml"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_example_loads(path: Path) -> None:
    load(path, kind(path))


def test_the_compose_file_fits_the_published_schema_and_names_what_exists() -> None:
    folder = CONFIGS / "compose"
    told = yaml.safe_load((folder / "compose.yaml").read_text())
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validate(told, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"central": {"restrat": "always"}}}, schema)
    assert told["services"]["central"]["deploy"]["replicas"] == 2
    for name, service in told["services"].items():
        mounts = [mount.partition(":")[0] for mount in service.get("volumes", ())]
        for mount in mounts:
            assert mount in told["volumes"] or mount.startswith("../../data/") or (folder / mount).exists(), mount
        assert {
            secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", ())
        } <= set(told["secrets"])
        if "build" in service:
            assert (folder / service["build"]["context"] / service["build"]["dockerfile"]).is_file(), name
    assert all((folder / one["file"]).is_file() for one in told["configs"].values())


def test_every_watch_has_an_example() -> None:
    found = {camera.watch for path in CONFIGS.glob("edge*.yaml") for camera in load(path, EdgeSettings).cameras}
    assert found == {"checkpoint", "quarantine", "traffic"}


def test_every_edge_example_can_be_run() -> None:
    assert all(load(path, EdgeSettings).central for path in CONFIGS.glob("edge*.yaml"))
