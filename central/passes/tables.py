from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, Text

from central.db import Moment, metadata

decision = Table(
    "decision",
    metadata,
    Column("scan", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("scanned_at", Moment, nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("resident", LargeBinary(16)),
    Column("outcome", Text, nullable=False),
    Column("reasons", Text, nullable=False),  # JSON
    Column("policy", Text, nullable=False),
    Column("valid_until", Moment),
    Column("local_outcome", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("snapshot_at", Moment),  # how old the gate's own data was; empty: it had none
    Column("facts", Text),  # JSON: what the answer rests on
    Index(None, "resident", "scanned_at"),
    Index(None, "scanned_at"),
)

# What the officer's screen said beside what central decided, in whichever order they come. Severities: 0 to 2.
painted = Table(
    "painted",
    metadata,
    Column("scan", Text, primary_key=True),
    Column("shown", Integer),
    Column("decided", Integer),
    Column("late", Boolean, nullable=False),
)
