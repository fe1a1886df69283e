"""Central's YAML file."""

from typing import Annotated

from pydantic import Field

from models.document import Section


class CentralSettings(Section):
    database: str = "sqlite+aiosqlite:///data/central/central.db"
    """SQLAlchemy URL: sqlite+aiosqlite:///… for one box, postgresql+asyncpg://… for a city."""
    broker: str = "mqtt://127.0.0.1:1883"
    data: str = "data/central"
    """Folder of evidence and of the keys (`seal.key`, `pepper.key`: made at first start, mode 0600)."""
    host: str = "127.0.0.1"
    """Pages have no log-in yet: keep them on loopback or behind a proxy that asks for one."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 picks a free one; the address is printed and written to `<data>/http.url`."""
    policy: str = "configs/policies/directive-22.json"
    breach_fresh_seconds: float = 300.0
    """A breach older than this is stored as arrived late; it does not ring."""
    pass_fresh_seconds: float = 2.0
    """A scan older than this gets no verdict; the officer has answered it long ago."""
