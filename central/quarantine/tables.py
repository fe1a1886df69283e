from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, Table, Text, text

from central.db import Moment, metadata

incident = Table(
    "incident",
    metadata,
    Column("dedupe", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("certainty", Text, nullable=False),
    Column("end_reason", Text),
    Column("left_at", Float, nullable=False),
    Column("reported_at", Float, nullable=False),
    Column("at", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

stay = Table(
    "stay",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("site", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("resident", LargeBinary(16), nullable=False),
    Column("from", Moment, nullable=False),
    Column("until", Moment),
    Column("by", Text, nullable=False),
    Column("ended_at", Moment),
    Column("ended_by", Text),
    Index("ix_stay_open", "site", sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
)

walk = Table(
    "walk",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("site", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Index(None, "site", "edge", "camera", "started_at"),
)

# Until when a zone may be left with an escort, as its box has been told.
escort = Table(
    "escort",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("until", Moment, nullable=False),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
)

# What a walk has shown: a zone whose line was crossed in trial, and told.
walk_proof = Table(
    "walk_proof",
    metadata,
    Column("walk", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("evidence", Text, nullable=False),
)
