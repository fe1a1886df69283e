"""The events, their envelope, and what answers them. CloudEvents 1.0 structured JSON, decoded by msgspec.

Absent optional fields are absent on the wire, never null. Unknown fields are ignored; an unknown type or bad data
raises `Unreadable`, and the reader keeps the payload as a dead letter.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from models.passes.outcome import Outcome

BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
"""A place in the picture: 0..1 of its width or height, x to the right and y down."""
Box = tuple[Fraction, Fraction, Fraction, Fraction]
"""x, y of the top left corner, width, height; all 0..1."""
Foot = tuple[Fraction, Fraction]
"""Where a body stands: the middle of its box's lower edge."""
Count = Annotated[int, Meta(ge=0)]
Level = Annotated[int, Meta(ge=0, le=4)] | Literal["paused"]
Scalar = str | int | float | bool


class Unreadable(ValueError):
    """A payload or an event that is none of ours; the message says which field and why."""


class Local(Struct, frozen=True, kw_only=True):
    """What the gate answered by itself, before central."""

    outcome: Outcome
    reasons: tuple[str, ...]
    policy: str | UnsetType = UNSET
    snapshot_at: datetime | UnsetType = UNSET


class PassScanned(Struct, frozen=True, kw_only=True):
    kind: str
    lane: str | UnsetType = UNSET
    stop: str | UnsetType = UNSET
    sealed: str | UnsetType = UNSET
    facts: dict[str, Scalar] = {}
    signature: Literal["valid", "invalid", "unknown_key", "none"] = "none"
    local: Local
    repeat: Count = 0
    px_per_module: float | UnsetType = UNSET


class PassShown(Struct, frozen=True, kw_only=True):
    scan: str
    outcome: Outcome
    reasons: tuple[str, ...]
    by: Literal["edge", "central"]
    after_ms: Count


class PassOverridden(Struct, frozen=True, kw_only=True):
    scan: str
    outcome: Outcome
    reason: str
    officer: str


class ZoneBreached(Struct, frozen=True, kw_only=True):
    phase: Literal["open", "update", "close"]
    incident: str
    zone: str
    track: int
    box: Box
    foot: Foot
    left_at: float
    reported_at: float
    certainty: Literal["left", "probable"]
    end_reason: str | UnsetType = UNSET
    """Of a close: returned, lost (not seen any more), ended (no longer guarded), restart (the eye or the box has died;
    the event's time is when the body was last seen)."""
    quiet: str | UnsetType = UNSET
    """Why it is written down and nobody is to be alarmed: trial, hours, line, escort."""
    beyond: Annotated[float, Meta(ge=0.0)] | UnsetType = UNSET
    """How far beyond the line the body was when it was told, in body heights."""
    shown: Box | UnsetType = UNSET
    """Where the body is in the picture, which is taken when it is told."""


class Counts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    person: Count = 0
    motorbike: Count = 0
    bicycle: Count = 0
    car: Count = 0
    bus: Count = 0
    truck: Count = 0
    unknown: Count = 0


class Flow(Struct, frozen=True, kw_only=True):
    """Bodies a minute over the count line."""

    in_: float = msgspec.field(name="in")
    out: float


class CrowdMeasured(Struct, frozen=True, kw_only=True):
    zone: str
    counts: Counts
    low: Count
    high: Count
    density: float | UnsetType = UNSET
    """Bodies on 100 square metres of ground, where the ground is measured."""
    flow: Flow | UnsetType = UNSET
    basis: Literal["detector", "motion"]
    gathering: Count | UnsetType = UNSET
    """People in the largest group that stands still, where there is one."""
    occupancy: Fraction | UnsetType = UNSET
    """The share of the zone that differs from the empty street, where bodies cannot be told."""


class CrowdLevel(Struct, frozen=True, kw_only=True):
    zone: str
    level: Level
    was: Level | UnsetType = UNSET
    since: float
    counts: Counts
    reason: str | UnsetType = UNSET
    """Why counting is paused, or that a gathering makes the level."""


class CameraStatus(Struct, frozen=True, kw_only=True):
    camera: str
    state: str
    was: str | UnsetType = UNSET
    reason: str
    since: float
    watched: dict[str, str]


class OutboxThinned(Struct, frozen=True, kw_only=True):
    type: str
    ranges: tuple[tuple[int, int], ...]
    count: Count


Data = (
    PassScanned | PassShown | PassOverridden | ZoneBreached | CrowdMeasured | CrowdLevel | CameraStatus | OutboxThinned
)

TYPES: Mapping[str, type[Data]] = MappingProxyType(
    {
        "pass.scanned.v1": PassScanned,
        "pass.shown.v1": PassShown,
        "pass.overridden.v1": PassOverridden,
        "zone.breached.v1": ZoneBreached,
        "crowd.measured.v1": CrowdMeasured,
        "crowd.level.v1": CrowdLevel,
        "camera.status.v1": CameraStatus,
        "outbox.thinned.v1": OutboxThinned,
    }
)
NAMES: Mapping[type[Data], str] = MappingProxyType({data: name for name, data in TYPES.items()})


class Envelope(Struct, frozen=True, kw_only=True):
    """A CloudEvent whose `data` is still bytes: enough to store, to answer and to refuse it."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    source: Annotated[str, Meta(pattern=r"^/[^/]+/[^/]+/[^/]+$")]
    type: Annotated[str, Meta(min_length=1, max_length=64)]
    time: Annotated[datetime, Meta(tz=True)]
    clock: Literal["synced", "holdover", "unset"]
    sequence: Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]
    epoch: Annotated[str, Meta(min_length=1, max_length=32)]
    data: msgspec.Raw
    dataref: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | UnsetType = UNSET


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened. `time` is the edge's claim; `sequence` counts within `epoch`, the outbox's own name."""

    id: str
    site: str
    edge: str
    camera: str
    time: datetime
    clock: Literal["synced", "holdover", "unset"]
    sequence: int
    epoch: str
    data: Data
    dataref: str | None = None

    @property
    def type(self) -> str:
        return NAMES[type(self.data)]


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(Envelope)
_batch = msgspec.json.Decoder(list[msgspec.Raw])
_data = {name: msgspec.json.Decoder(data) for name, data in TYPES.items()}


def encode(event: Event) -> bytes:
    """The event as one structured CloudEvent."""
    return _encoder.encode(
        Envelope(
            specversion="1.0",
            id=event.id,
            source=f"/{event.site}/{event.edge}/{event.camera}",
            type=event.type,
            time=event.time,
            clock=event.clock,
            sequence=str(event.sequence),
            epoch=event.epoch,
            data=msgspec.Raw(_encoder.encode(event.data)),
            dataref=UNSET if event.dataref is None else event.dataref,
        )
    )


def join(events: Sequence[bytes]) -> bytes:
    """Encoded events as one CloudEvents JSON batch."""
    return b"[" + b",".join(events) + b"]"


def split(payload: bytes) -> list[bytes]:
    """A batch into its elements, none of them read yet. Raises Unreadable when it is no JSON array."""
    try:
        return [bytes(raw) for raw in _batch.decode(payload)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not a CloudEvents batch: {error}") from error


def open_envelope(payload: bytes) -> Envelope:
    """Raises Unreadable when an attribute is missing or wrong; `data` is not looked at."""
    try:
        return _envelope.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"envelope: {error}") from error


def read(envelope: Envelope) -> Event:
    """The typed event. Raises Unreadable on an unknown type ("type: …") or bad data ("data: …")."""
    decoder = _data.get(envelope.type)
    if decoder is None:
        raise Unreadable(f"type: {envelope.type} is not known here")
    try:
        data = decoder.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"data: {error}") from error
    _, site, edge, camera = envelope.source.split("/")
    return Event(
        id=envelope.id,
        site=site,
        edge=edge,
        camera=camera,
        time=envelope.time,
        clock=envelope.clock,
        sequence=int(envelope.sequence),
        epoch=envelope.epoch,
        data=data,
        dataref=None if envelope.dataref is UNSET else envelope.dataref,
    )


class Receipt(Struct, frozen=True, kw_only=True):
    """Central has committed these sequences of this epoch (ends included); the edge may forget them."""

    epoch: str
    ranges: tuple[tuple[int, int], ...]
    rejected: tuple[tuple[int, str], ...] | UnsetType = UNSET
    evidence: dict[str, str] | UnsetType = UNSET


def ranges(sequences: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Sequences as a receipt says them: ascending ranges, ends included."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(sequences)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


class Verdict(Struct, frozen=True, kw_only=True):
    """Central's answer to one scan. It names nobody."""

    scan: str
    outcome: Outcome
    reasons: tuple[str, ...]
    policy: str
    decided_at: datetime
    valid_until: datetime | UnsetType = UNSET


class CameraHealth(Struct, frozen=True, kw_only=True):
    state: str
    reason: str
    watch: str
    mode: str
    since: datetime
    frame_age_s: float | UnsetType = UNSET
    fps: float | UnsetType = UNSET
    frames: Count = 0
    dropped: Count = 0
    """Pictures that a newer one replaced before anybody looked at them."""
    corrupt: Count = 0
    late: Count = 0
    """Pictures that were not decoded because the box had fallen behind."""
    shed: Count = 0
    """Pictures that were not decoded because the box has no room for this camera."""
    connects: Count = 0
    given_up: Count = 0
    """Pictures that held the reader of codes up and were not read to their end."""
    looks: Count = 0
    """Pictures that the detector looked at."""
    spared: Count = 0
    """Pictures in which nothing stirred, so that the detector's last answer stood."""
    stale: Count = 0
    """Pictures that grew old while they waited for the detector, which the eye's cameras share."""
    crowded: Count = 0
    """Bodies that were not followed because so many others were."""
    unfilmed: Count = 0
    """Incidents without a film: too many at once, or nothing that a film could be made of."""
    late_s: float | UnsetType = UNSET
    """How far behind the camera the box is."""
    step: str | UnsetType = UNSET
    """What is left out while the box has too much to do: full, keys, paused."""


class Machine(Struct, frozen=True, kw_only=True):
    """How the box itself is. Shares are 0 to 1."""

    up_s: Count
    """Seconds that the gate has run."""
    load: float
    """Of each core, over the last minute: above 1 something waits."""
    memory: float
    disk: float
    """Used, of the disk that holds the outbox."""
    celsius: float | UnsetType = UNSET


class EdgeState(Struct, frozen=True, kw_only=True):
    """Retained birth and last will of a box; the will says only `offline` and the boot it belongs to."""

    state: Literal["online", "offline"]
    boot: str
    at: datetime | UnsetType = UNSET
    version: str | UnsetType = UNSET
    config: str | UnsetType = UNSET
    refused: str | UnsetType = UNSET
    """Why the last configuration that central sent is not in force."""
    epoch: str | UnsetType = UNSET
    waiting: Count | UnsetType = UNSET
    detector: str | UnsetType = UNSET
    unsure: tuple[tuple[int, int], ...] | UnsetType = UNSET
    """Sequences that were sent and not receipted, before a connection or a process ended: which of them have come?"""
    counters: dict[str, int] | UnsetType = UNSET
    cameras: dict[str, CameraHealth] | UnsetType = UNSET
    machine: Machine | UnsetType = UNSET


class Notice(Struct, frozen=True, kw_only=True):
    """Retained, down: which snapshot a box has to fetch. Nothing is believed of it; it only says that one may ask."""

    version: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]


class CentralState(Struct, frozen=True, kw_only=True):
    state: Literal["online", "offline"]
    boot: str


def to_json(message: Receipt | Verdict | EdgeState | CentralState | Notice) -> bytes:
    return _encoder.encode(message)


M = TypeVar("M", Receipt, Verdict, EdgeState, CentralState, Notice)


def from_json(payload: bytes, kind: type[M]) -> M:
    """Raises Unreadable with the field at fault."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{kind.__name__}: {error}") from error


def as_builtins(event: Event) -> dict[str, Any]:
    """The CloudEvent as plain JSON values: for schemas, tests and people."""
    decoded: dict[str, Any] = msgspec.json.decode(encode(event))
    return decoded
