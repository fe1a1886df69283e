from pathlib import Path

import jsonschema
import pytest

from models.wire import schema

PINNED = Path(__file__).parents[2] / "wire" / "v1"


@pytest.mark.parametrize(
    ("name", "document", "option"),
    [("schema", schema.json_schema, ""), ("asyncapi", schema.asyncapi, " --asyncapi")],
)
def test_the_contract_is_the_pinned_one(name: str, document: type[dict[str, object]], option: str) -> None:
    path = PINNED / f"{name}.json"
    remedy = f"the wire changed: if that is meant, run scripts/event-schema{option} > tests/wire/v1/{name}.json"
    assert schema.printed(document()) == path.read_text(encoding="utf-8"), remedy


def test_the_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.json_schema())


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = schema.asyncapi()

    def follow(part: object) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                target: object = document
                for step in part["$ref"].removeprefix("#/").split("/"):
                    assert isinstance(target, dict)
                    target = target[step]
            for inner in part.values():
                follow(inner)
        elif isinstance(part, list):
            for inner in part:
                follow(inner)

    follow(document)
