"""Breaches that go on, on the disk: whatever dies, each ends with the moment at which its body was last seen."""

import logging
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from edge.sighting import Last
from models.wire.events import ZoneBreached

log = logging.getLogger(__name__)
_MOST = 1024


class Ended(Struct, frozen=True, kw_only=True):
    camera: str
    breach: ZoneBreached
    at: datetime


class _Going(Struct, frozen=True, kw_only=True):
    camera: str
    breach: ZoneBreached
    last: Last


class Incidents:
    """`take` what an eye tells and `see` when it last saw them. Not thread-safe: the gate has a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._going: dict[str, _Going] = {}
        self.left = 0
        """Incidents that were not kept because there were so many."""
        try:
            self._going = msgspec.json.decode(path.read_bytes(), type=dict[str, _Going])
        except FileNotFoundError:
            pass
        except msgspec.MsgspecError as error:
            log.error("incidents: the file is damaged (%s); what went on stays open at central", type(error).__name__)  # noqa: TRY400
        self.adopted = self._end(list(self._going), "restart")
        """What a box that died has left open; whoever starts us tells central of it."""

    def take(self, camera: str, breach: ZoneBreached, seen_at: datetime) -> None:
        """Before the event itself is kept: an end without a beginning says more than a beginning without an end."""
        if breach.phase == "close":
            self._going.pop(breach.incident, None)
        elif len(self._going) < _MOST or breach.incident in self._going:
            last = Last(seen_at=seen_at, stream_s=breach.reported_at)
            self._going[breach.incident] = _Going(camera=camera, breach=breach, last=last)
        else:
            self.left += 1
        self._save()

    def see(self, last: Mapping[str, Last]) -> None:
        for incident, moment in last.items():
            known = self._going.get(incident)
            if known is not None:
                self._going[incident] = structs.replace(known, last=moment)
        self._save()

    def end(self, cameras: Collection[str], reason: str) -> list[Ended]:
        """Of cameras that nobody watches any more."""
        ended = self._end([name for name, one in self._going.items() if one.camera in cameras], reason)
        if ended:
            self._save()
        return ended

    def _end(self, names: Collection[str], reason: str) -> list[Ended]:
        going = [self._going.pop(name) for name in names]
        return [
            Ended(
                camera=one.camera,
                at=one.last.seen_at,
                breach=structs.replace(
                    one.breach,
                    phase="close",
                    end_reason=reason,
                    reported_at=one.last.stream_s,
                    shown=msgspec.UNSET,
                ),
            )
            for one in going
        ]

    def _save(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self._going))
        part.replace(self._path)
