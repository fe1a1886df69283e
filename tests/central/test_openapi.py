"""The document that programs read: complete, and what it shows as an example is really taken."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from central.auth.rules import Role
from central.openapi import EXAMPLES
from tests.central.auth.test_door import House

UNTOLD = {
    "PUT /evidence/{name}", "PUT /stills/{site}/{edge}/{camera}", "POST /imports",  # a file as it is
    "POST /enrolment", "POST /enrolment/renew",  # a certificate request
}  # fmt: skip


@pytest.fixture
def document(project_root: Path, tmp_path: Path) -> dict[str, Any]:
    return House(project_root, tmp_path).central.app.openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{m.upper()} {path}": one for path, methods in document["paths"].items() for m, one in methods.items()}


def test_every_operation_has_a_name_of_its_own_and_says_who_may_and_how_it_fails(document: dict[str, Any]) -> None:
    told = operations(document)
    assert len({one["operationId"] for one in told.values()}) == len(told)
    assert not [what for what, one in told.items() if "security" in one and "Roles: " not in one["description"]]
    assert not [what for what, one in told.items() if "503" not in one["responses"]]
    history = told["GET /residents/{person}"]
    assert "428" in history["responses"]
    assert [one["required"] for one in history["parameters"] if one["name"] == "purpose"] == [True]


def test_whatever_takes_something_shows_an_example_that_fits(document: dict[str, Any]) -> None:
    bare = []
    for what, one in operations(document).items():
        for content in one.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                schema = content["schema"] | {"components": document["components"]}
                jsonschema.validate(content["example"], schema)
            elif what not in UNTOLD:
                bare.append(what)
    assert bare == [], "give each an example in central/openapi.py"
    assert not set(EXAMPLES) - set(operations(document)), "examples of routes that are gone"


def test_an_example_is_taken_as_it_stands(project_root: Path, tmp_path: Path) -> None:
    async def step(house: House) -> None:
        async with house.client(Role.ADMIN) as admin:
            admin.headers["accept"] = "application/json"
            for what in ("POST /people", "POST /tokens"):
                answer = await admin.post(what.split()[1], data=EXAMPLES[what])
                assert answer.status_code == 201, f"{what}: {answer.text}"
            answer = await admin.post("/zones", json=EXAMPLES["POST /zones"])
            assert answer.status_code == 201, answer.text
            found = await admin.post("/registry/find", json=EXAMPLES["POST /registry/find"])
            assert (found.status_code, found.json()) == (200, [])

    House(project_root, tmp_path, Role.ADMIN).run(step)
