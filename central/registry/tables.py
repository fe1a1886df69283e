from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from central.db import Moment, metadata

resident = Table(
    "resident",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),  # the key of the first number that they were known by
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("birth", Text, nullable=False),  # ISO date, or only the year; empty when unknown
    Column("sex", Text, nullable=False),
    Column("ward", Text, nullable=False),
    Column("imported_at", Moment, nullable=False),
    Index(None, "name_key", "birth"),
)

identity = Table(
    "identity",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),
    Column("resident", LargeBinary(16), ForeignKey("resident.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("tail", Text, nullable=False),
    Column("outside", LargeBinary(8)),  # its name in the snapshots that gates carry
)

# Append-only: a newer row of the same kind counts, an older one stays to be read.
fact = Table(
    "fact",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("resident", LargeBinary(16), ForeignKey("resident.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),  # JSON
    Column("from", Moment),
    Column("until", Moment),
    Column("source", Text, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("supersedes", BigInteger().with_variant(Integer, "sqlite")),
    Index(None, "resident", "kind"),
)

# Who has changed, for the next snapshot; without a resident: so many that all are read again.
change = Table(
    "change",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("resident", LargeBinary(16)),
    Column("at", Moment, nullable=False),
)

# The level of a ward by decree; the newest that is in its time counts.
zone = Table(
    "zone",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("ward", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("from", Moment, nullable=False),
    Column("until", Moment),
    Index(None, "ward"),
)
