"""The contract, printed from the types, for whoever speaks to us in another language: JSON Schema and AsyncAPI."""

from typing import Any

import msgspec

from models.wire import events, topics

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_BOX = topics.Box("{site}", "{edge}")
_ANSWERS = (events.Receipt, events.Verdict, events.EdgeState, events.CentralState, events.Notice)


def _components(template: str) -> dict[str, Any]:
    _, found = msgspec.json.schema_components(
        [events.Envelope, *events.TYPES.values(), *_ANSWERS], ref_template=template
    )
    return found


def _event(template: str) -> dict[str, Any]:
    """An envelope whose data fits its type. A type that is not listed is a dead letter, so it is no valid event."""
    return {
        "title": "Event",
        "allOf": [
            {"$ref": template.format(name="Envelope")},
            {
                "oneOf": [
                    {"properties": {"type": {"const": name}, "data": {"$ref": template.format(name=data.__name__)}}}
                    for name, data in events.TYPES.items()
                ]
            },
        ],
    }


def json_schema() -> dict[str, Any]:
    """Of one event; everything else that travels is under `$defs`."""
    template = "#/$defs/{name}"
    return {"$schema": _DIALECT, **_event(template), "$defs": _components(template)}


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3, told from the edge's side: what it sends and what it receives."""
    template = "#/components/schemas/{name}"
    batch = {"type": "array", "items": {"$ref": template.format(name="Event")}}
    # channel, address, who sends it, what it holds, its content type, MQTT: QoS, retain, expiry in seconds
    lines: list[tuple[str, str, str, Any, str, dict[str, Any]]] = [
        ("event", _BOX.event, "send", batch, events.BATCH_CONTENT_TYPE, {"qos": 1}),
        ("state", _BOX.state, "send", events.EdgeState, "application/json", {"qos": 1, "retain": True}),
        ("receipt", _BOX.receipt, "receive", events.Receipt, "application/json", {"qos": 1}),
        (
            "verdict",
            _BOX.verdict,
            "receive",
            events.Verdict,
            "application/json",
            {"qos": 1, "messageExpiryInterval": 2},
        ),
        ("snapshot", _BOX.snapshot, "receive", events.Notice, "application/json", {"qos": 1, "retain": True}),
        (
            "centralState",
            topics.CENTRAL_STATE,
            "receive",
            events.CentralState,
            "application/json",
            {"qos": 1, "retain": True},
        ),
    ]
    schemas = _components(template) | {"Event": _event(template)}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Cửa Ô", "version": "1", "description": "Edge boxes and central, over MQTT 5."},
        "defaultContentType": "application/json",
        "channels": {
            name: {
                "address": address,
                **({"parameters": {"site": {}, "edge": {}}} if "{" in address else {}),
                "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            }
            for name, address, *_ in lines
        },
        "operations": {
            f"{verb}{name[0].upper()}{name[1:]}": {
                "action": verb,
                "channel": {"$ref": f"#/channels/{name}"},
                "bindings": {"mqtt": mqtt | {"bindingVersion": "0.2.0"}},
            }
            for name, _, verb, _, _, mqtt in lines
        },
        "components": {
            "messages": {
                name: {
                    "contentType": content_type,
                    "payload": kind if isinstance(kind, dict) else {"$ref": template.format(name=kind.__name__)},
                }
                for name, _, _, kind, content_type, _ in lines
            },
            "schemas": schemas,
        },
    }


def printed(document: dict[str, Any]) -> str:
    """As it is pinned: sorted, indented, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2).decode() + "\n"
