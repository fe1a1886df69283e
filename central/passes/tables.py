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
    Column("code", Text),  # JSON: what the code itself said, without who it named
    Index(None, "resident", "scanned_at"),
    Index(None, "scanned_at"),
)

# How many of each answer a place gave in an hour: what plots read instead of the decisions.
answered = Table(
    "answered",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("site", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("count", Integer, nullable=False),
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

# What a decree says, by its content; never changed, only followed by another.
policy = Table(
    "policy",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("effective_from", Moment, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("by", Text, nullable=False),
)

# With which an officer decides otherwise at a gate.
pin = Table(
    "pin",
    metadata,
    Column("officer", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
