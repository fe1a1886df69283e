"""A box's file with one camera or its zones changed. What it says besides is carried through untouched. Pure.

Whether a file can be used is the box's to say: only its own release knows. Here is only what a form needs.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from models.address import redact

ZONE_KINDS = ("stay-inside", "keep-out", "exit-line", "lane", "count", "count-line", "ignore")
LINES = frozenset({"exit-line", "count-line"})
GUARDED = frozenset({"stay-inside", "keep-out", "exit-line"})
_PERMITS = ("free", "exits")
"""Belong to a guarded zone alone."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Unfit(ValueError):
    """What was asked cannot be; `cameras.<key>` of the catalogue says why."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A camera as a page may show it: without what its address holds besides a host."""

    id: str
    source: str
    main: str
    watch: str
    mode: str
    enabled: bool
    transport: str
    detector: str
    far: int
    near: int
    zones: tuple[Mapping[str, Any], ...]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read(text: str) -> dict[str, Any]:
    """A box's file as plain values. It was checked by the box, so it is what a box's file is."""
    document = yaml.safe_load(text)
    assert isinstance(document, dict), "a box took it"
    return document


def write(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), allow_unicode=True, sort_keys=False, width=120)


def shown(document: Mapping[str, Any]) -> list[Shown]:
    return [_shown(camera) for camera in document["cameras"]]


def _shown(camera: Mapping[str, Any]) -> Shown:
    far, near = sorted(camera.get("person_px", (60, 200)))
    return Shown(
        id=camera["id"],
        source=redact(str(camera["source"])),
        main=redact(str(camera.get("main") or "")),
        watch=camera["watch"],
        mode=camera.get("mode", "armed"),
        enabled=camera.get("enabled", True),
        transport=camera.get("transport", "tcp"),
        detector=camera.get("detector", "auto"),
        far=far,
        near=near,
        zones=tuple(camera.get("zones", ())),
    )


def _place(document: Mapping[str, Any], camera: str) -> int:
    for place, one in enumerate(document["cameras"]):
        if one["id"] == camera:
            return place
    raise Unfit("gone", camera=camera)


def settings_of(document: Mapping[str, Any], camera: str) -> dict[str, Any]:
    """Raises Unfit."""
    return dict(document["cameras"][_place(document, camera)])


def merged(settings: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """A camera's settings with what a form says; an empty address leaves the one that is there."""
    return dict(settings) | {name: value for name, value in told.items() if value != ""}


def with_camera(document: Mapping[str, Any], camera: str | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """`camera` is changed, or with None one more is there. Raises Unfit."""
    cameras = list(document["cameras"])
    if camera is not None:
        place = _place(document, camera)
        cameras[place] = merged(cameras[place], told)
        return dict(document) | {"cameras": cameras}
    if not _NAME.fullmatch(str(told.get("id", ""))):
        raise Unfit("name")
    if any(one["id"] == told["id"] for one in cameras):
        raise Unfit("taken", camera=told["id"])
    if not told.get("source"):
        raise Unfit("no_source")
    return dict(document) | {"cameras": [*cameras, merged({}, told)]}


def arms(document: Mapping[str, Any], camera: str | None, told: Mapping[str, Any]) -> bool:
    """Whether a camera that did not guard a quarantine site will."""
    if told.get("watch") != "quarantine" or told.get("mode") != "armed":
        return False
    return not any(
        one["id"] == camera and one["watch"] == "quarantine" and one.get("mode", "armed") == "armed"
        for one in document["cameras"]
    )


def without_camera(document: Mapping[str, Any], camera: str) -> dict[str, Any]:
    """Raises Unfit."""
    place = _place(document, camera)
    if len(document["cameras"]) == 1:
        raise Unfit("last")
    return dict(document) | {"cameras": [one for at, one in enumerate(document["cameras"]) if at != place]}


def with_zones(document: Mapping[str, Any], camera: str, drawn: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The camera's zones as they were drawn: `was` (the zone's name before), `id`, `kind`, `polygon`. What a zone says
    besides (hours, thresholds, ground) stays. Raises Unfit.
    """
    place = _place(document, camera)
    known = {zone["id"]: zone for zone in document["cameras"][place].get("zones", ())}
    zones = [_zone(known.get(zone.get("was") or zone["id"], {}), zone) for zone in drawn]
    if len({zone["id"] for zone in zones}) < len(zones):
        raise Unfit("zone_twice")
    cameras = list(document["cameras"])
    cameras[place] = dict(cameras[place]) | {"zones": zones}
    return dict(document) | {"cameras": cameras}


def _zone(known: Mapping[str, Any], drawn: Mapping[str, Any]) -> dict[str, Any]:
    least = 2 if drawn["kind"] in LINES else 3
    if not _NAME.fullmatch(drawn["id"]):
        raise Unfit("zone_name", zone=drawn["id"][:40])
    if len(drawn["polygon"]) < least:
        raise Unfit("zone_corners", zone=drawn["id"], least=least)
    zone = dict(known) | {"id": drawn["id"], "kind": drawn["kind"]}
    zone["polygon"] = [[round(x, 4), round(y, 4)] for x, y in drawn["polygon"]]
    if drawn["kind"] not in GUARDED:
        zone = {name: value for name, value in zone.items() if name not in _PERMITS}
    return zone
