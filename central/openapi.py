"""The document of central's routes, for whoever builds on them: names, who may, what is sent, what can go wrong."""

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from central.auth.rules import Role, Rule, rule_for
from central.records import routes as records
from central.records import rules

_PROBLEM = "application/problem+json"
_ABOUT = (
    "Log in with a token of the page People (`Authorization: Bearer …`); whoever does not ask for HTML gets no page. "
    "An error is RFC 9457's. What reads one person's history wants `?purpose=` and leaves a row in the audit log."
)
_FAULTS: Mapping[int, str] = MappingProxyType(
    {
        401: "Log in first",
        403: "Not yours: your roles, or a page of another origin",
        422: "Unfit input: which field, and what was expected",
        428: "Purpose needed: say by ?purpose= why you read one person's history",
        503: "Database away: nothing was done, try again",
    }
)
BODIES: Mapping[str, tuple[type[BaseModel], ...]] = MappingProxyType(
    {
        "POST /registry/find": (records.Find,),
        "POST /residents/{person}/{record}": tuple(rules.RECORDS.values()),
        "POST /facts/{line}/correct": (records.Correct,),
        "POST /zones": (rules.Zone,),
    }
)
"""What the routes that take a form as well as JSON read."""
_FILE = "0" * 64
"""The hash of the file that the change was made from, as the box told it."""
_POLICY = '{"name": "open", "effective_from": "2021-10-01T06:00:00+07:00", "rows": []}'
EXAMPLES: Mapping[str, Any] = MappingProxyType(
    {
        "POST /people": {
            "name": "lan", "full_name": "Nguyễn Thị Lan", "password": "ba con bò vàng", "roles": ["supervisor"],
            "places": "q-003",
        },
        "POST /people/{name}": {"active": False},
        "POST /tokens": {"name": "tracing", "roles": ["tracer"], "days": 90, "writes": False},
        "POST /screens": {"code": "204 816", "name": "wall-1", "role": "viewer"},
        "POST /registry/find": {"purpose": "tracing F1 of 23/11", "number": "001080000001"},
        "POST /residents/{person}/{record}": {"number": 2, "given_on": "2021-08-14"},
        "POST /facts/{line}/correct": {"value": None},
        "POST /zones": {"ward": "Hoàng Liệt", "level": "red", "from": "2021-09-06T00:00:00+07:00"},
        "POST /passes": {"number": "001080000001", "hours": 72, "form": "svg"},
        "POST /passes/revoke": {"id": "9f2c4b1a0d3e5f67"},
        "POST /alerts/{alert_id}/resolve": {"outcome": "false_alarm", "cause": "shadow", "note": "the gate's lamp"},
        "POST /quarantine/{site}/stays": {
            "number": "001080000001", "room": "B-204", "from": "2021-09-06T08:00:00+07:00",
        },
        "POST /recipients": {
            "name": "Ca trực đêm", "address": "json://sms.example/send", "kinds": ["breach"], "places": "q-003",
        },
        "POST /recipients/{number}/switch": {"active": False},
        "POST /warnings/{warning}/{state}": {"note": "VOV told at 07:41"},
        "POST /traffic/{site}/{edge}/{camera}/{zone}/count": {"seen": 41, "taken_at": "2021-09-06T07:41:26+07:00"},
        "POST /policies": {"document": _POLICY},
        "POST /policies/preview": {"document": _POLICY},
        "POST /imports/{upload}/columns": {"column": ["number", "name", "birth", "sex", "ward"]},
        "POST /imports/{upload}/start": {"column": ["number", "name", "birth", "sex", "ward"]},
        "POST /pin": {"old": "ba con bò vàng", "pin": "204816"},
        "POST /cameras/{site}/{edge}": {
            "id": "gate-2", "source": "rtsp://10.1.4.12/stream2", "watch": "checkpoint", "was": _FILE,
        },
        "POST /cameras/{site}/{edge}/probe": {
            "id": "gate-2", "source": "rtsp://10.1.4.12/stream2", "watch": "checkpoint",
        },
        "POST /cameras/{site}/{edge}/{camera}/zones": {
            "was": _FILE,
            "zones": [
                {"id": "yard", "kind": "stay-inside", "polygon": [[0.1, 0.2], [0.9, 0.2], [0.9, 0.9], [0.1, 0.9]]},
            ],
        },
        "POST /cameras/{site}/{edge}/{camera}/remove": {"was": _FILE},
        "POST /cameras/{site}/{edge}/{camera}/escort": {"zone": "yard", "minutes": 30, "why": "taken to the doctor"},
    }
)  # fmt: skip


def describe(app: FastAPI) -> None:
    """`app.openapi()` is the whole document from now on."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]  # the way that FastAPI's own guide shows


def _version() -> str:
    try:
        return version("cua-o")
    except PackageNotFoundError:
        return "0.1.0"


def _document(app: FastAPI) -> dict[str, Any]:
    told = get_openapi(title="Cửa Ô", version=_version(), description=_ABOUT, routes=app.routes)
    parts = told.setdefault("components", {})
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    parts.setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            found = rule_for(method.upper(), re.sub(r"\{\w+\}", "1", path))
            _complete(operation, method, path, None if found is None else found[0])
    return told


def _complete(operation: dict[str, Any], method: str, path: str, rule: Rule | None) -> None:
    what = f"{method.upper()} {path}"
    words = re.findall(r"\w+", path)
    operation["operationId"] = "_".join([method, *words]) if words else f"{method}_first_page"
    operation["tags"] = [words[0] if words else "pages"]
    told = operation.get("description", "")
    operation["summary"] = told.partition("\n")[0].partition(": ")[0].partition(". ")[0].rstrip(".") or what
    if rule is not None and rule.roles:
        who = "any role" if rule.roles == frozenset(Role) - {Role.EDGE} else ", ".join(sorted(rule.roles))
        operation["description"] = f"{told}\n\nRoles: {who}.".strip()
        operation["security"] = [{"token": []}]
    if rule is not None and rule.purpose and not any(p["name"] == "purpose" for p in operation.get("parameters", ())):
        operation.setdefault("parameters", []).append(
            {"name": "purpose", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1}}
        )
    if what in BODIES:
        kinds = [kind.model_json_schema(ref_template="#/components/schemas/{model}") for kind in BODIES[what]]
        schema = kinds[0] if len(kinds) == 1 else {"oneOf": kinds}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if what in EXAMPLES:
            content["example"] = EXAMPLES[what]
    for status, title in _FAULTS.items():
        if _can(status, rule, operation):
            example = {"type": "about:blank", "title": title.partition(":")[0], "status": status}
            schema = {"$ref": "#/components/schemas/Problem"}
            content = {_PROBLEM: {"schema": schema, "example": example}}
            operation["responses"][str(status)] = {"description": title, "content": content}


def _can(status: int, rule: Rule | None, operation: dict[str, Any]) -> bool:
    match status:
        case 401 | 403:
            return rule is not None and bool(rule.roles)
        case 422:
            return "requestBody" in operation or bool(operation.get("parameters"))
        case 428:
            return rule is not None and rule.purpose
    return True
