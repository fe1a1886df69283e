"""Central's YAML file."""

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Literal

from pydantic import Field

from models.document import Section


class Snapshot(Section):
    """What gates carry, so that they can decide without the network."""

    every_seconds: Annotated[float, Field(ge=0.1)] = 10.0
    """How often it is looked whether anything has changed."""
    carry: Mapping[str, Literal["all"] | tuple[str, ...]] = Field(default={})
    """Site -> the wards whose residents it carries, or `all`; `*` for every other site. Whoever must not pass anywhere
    (F0, F1, an order, a flag) is always carried."""


class Https(Section):
    """Where boxes bring evidence and fetch snapshots: by a certificate of ours, or before they have one by a code."""

    host: str = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65535)] = 8443
    """0 picks a free one; the address is written to `<data>/https.url`."""
    pki: str = "data/pki"
    """The authority's folder (scripts/pki): ca.pem, ca.key, crl.pem."""
    certificate: str = "data/pki/central.pem"
    key: str = "data/pki/central.key"
    broker: str = "mqtts://broker.example:8883"
    """What a new box is told to connect to."""


class Desk(Section):
    """Where people's browsers come in from other machines: TLS with HTTP/2, so that one of them can keep many screens
    open (over HTTP/1.1 the seventh page of a browser waits for ever)."""

    host: str = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65535)] = 8444
    """0 picks a free one; the address is written to `<data>/desk.url`."""
    certificate: str = "data/pki/desk.pem"
    """Of the house's own authority (`scripts/pki server desk HOST…`) or of any that the browsers trust."""
    key: str = "data/pki/desk.key"


class CentralSettings(Section):
    database: str = "sqlite+aiosqlite:///data/central/central.db"
    """SQLAlchemy URL: sqlite+aiosqlite:///… for one box, postgresql+asyncpg://… for a city."""
    broker: str = "mqtt://127.0.0.1:1883"
    data: str = "data/central"
    """Folder of evidence and of the keys (`seal.key`, `pepper.key`: made at first start, mode 0600)."""
    host: str = "127.0.0.1"
    """Beyond loopback use `desk`, or a proxy that ends TLS: else the cookies of who logs in travel openly."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 picks a free one; the address is printed and written to `<data>/http.url`."""
    snapshot: Snapshot = Snapshot()
    places: Mapping[str, tuple[float, float]] = Field(default={})
    """Site -> latitude and longitude: whoever is at two of them faster than one can travel is flagged."""
    travel_kmh: Annotated[float, Field(gt=0)] = 120.0
    limits: str = "configs/limits/directive-15.json"
    """The directive whose actions the traffic desk recommends."""
    policy: str = "configs/policies/directive-22.json"
    trust: str | None = None
    """Folder of the certificates (DER, `*.der`) of the states whose health codes (HC1) count."""
    https: Https | None = None
    """Without it no other machine can bring anything in."""
    desk: Desk | None = None
    """Without it the pages are for browsers on this machine, and behind a proxy."""
    second_screen_seconds: Annotated[float, Field(gt=0)] = 60.0
    """A breach that nobody has taken for so long rings on a second screen (/duty), and louder."""
    out_seconds: Annotated[float, Field(gt=0)] = 180.0
    """After so long it leaves the browser (/recipients)."""
    shifts: Annotated[tuple[time, ...], Field(min_length=1)] = (time(6), time(14), time(22))
    """When shifts begin, by Viet Nam's clock: whoever is told outside of the browser is tried once in each."""
    import_mb: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    """The largest file of residents that the import desk takes."""
    keep_days: Annotated[int, Field(ge=1, le=39)] = 30
    """Events, dead letters, messages, pictures and films older than this go every night; what went is written down."""
    keep_minutes_days: Annotated[int, Field(ge=8)] = 8
    """Streets by the minute; eight days hold last week's curve."""
    keep_hours_days: Annotated[int, Field(ge=1)] = 400
    """Streets by the hour, and what districts were warned of."""
    breach_fresh_seconds: float = 300.0
    """A breach older than this is stored as arrived late; it does not ring."""
    pass_fresh_seconds: float = 2.0
    """A scan older than this gets no verdict; the officer has answered it long ago."""
