from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from central.db import Moment, metadata

alert = Table(
    "alert",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("dedupe", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("count", Integer, nullable=False),
    Column("level", Integer, nullable=False),
    Column("certainty", Text, nullable=False),
    Column("evidence", Text, nullable=False),  # manifest's sha256, or empty
    Column("late", Boolean, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("by", Text),
    Column("by_at", Moment),
    Index("ix_alert_open", "first_at", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
    Index("ix_alert_last_at", "last_at"),
)
