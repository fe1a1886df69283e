"""What a look at a camera found, in words: the same on the box's terminal and on central's page."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.view.page import doing, kind, text


def summary(lang: str, found: Mapping[str, Any], person_px: Sequence[int]) -> list[str]:
    """`found` is edge.doctor's Found as plain values; without a picture there is nothing to sum up."""
    if not found["width"]:
        return []
    values = dict(found) | {
        "keys": _known(found["keys_apart_s"], "g"),
        "reorders": text(lang, "doctor.yes" if found["reorders"] else "doctor.no"),
        "clock": _known(found["clock_s"], "+.0f"),
        "px": _known(found["px_per_module"], ".1f"),
        "far": min(person_px),
        "near": max(person_px),
    }
    modules = [
        text(lang, f"doctor.{verdict}", kind=kind(lang, name), px=px)
        for name, (px, verdict) in found.get("modules", {}).items()
    ]
    return [text(lang, "doctor.stream", **values), text(lang, "doctor.picture", **values), *modules]


def advice(lang: str, given: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each is a `key` of the catalogue and the `values` that stand in its words."""
    return [text(lang, f"doctor.{one['key']}", **_spoken(lang, one["values"])) for one in given]


def _known(value: float | None, how: str) -> str:
    return "?" if value is None else format(value, how)


def _spoken(lang: str, values: Mapping[str, Any]) -> dict[str, Any]:
    if "state" not in values:
        return dict(values)
    return dict(values) | {"state": doing(lang, values["state"], values["reason"])}
