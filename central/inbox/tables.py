from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text

from central.db import Moment, metadata

event = Table(
    "event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("time", Moment, primary_key=True),  # of the key, because PostgreSQL keeps a partition for each day
    Column("type", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("clock", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("dataref", Text),
    Column("data", Text, nullable=False),  # JSON as it came
    Index(None, "type", "time"),
)
# What came late is seldom, and asked for by box.
Index("ix_event_late", event.c.received_at, postgresql_where=event.c.late, sqlite_where=event.c.late)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),  # of topic and payload: what is sent again is kept once
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("tried_at", Moment),  # when it was last tried again, and still could not be used
    Index(None, "received_at"),
)

# A night's purge: what went, and how much of it is left, which is none.
purge = Table(
    "purge",
    metadata,
    Column("at", Moment, primary_key=True),
    Column("before", Moment, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("letters", BigInteger, nullable=False),
    Column("left", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False, server_default="0"),  # sequences no longer waited for
)
