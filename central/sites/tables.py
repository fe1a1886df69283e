from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, Table, Text

from central.db import Moment, metadata

edge = Table(
    "edge",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("boot", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("skew", Float),  # seconds that the box's clock is ahead of ours; null until it told us its time live
    Column("waiting", Integer),
    Column("version", Text),
    Column("machine", Text),  # JSON: how the box itself is
)

# What the box last said of each of its cameras.
camera_health = Table(
    "camera_health",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("watch", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("picture_at", Moment),  # of its newest picture, on central's clock; null: none yet, or an older box
)

# The newest camera.status of each outbox: sequences of two outboxes cannot be compared.
camera_status = Table(
    "camera_status",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index(None, "site", "edge"),
)

# Which sequences of an outbox have come, a bit for each, 4096 to a chunk: what has not come can be named. Chunks that
# have come wholly are folded, so a box whose every event comes has two rows however long it runs.
sequence_seen = Table(
    "sequence_seen",
    metadata,
    Column("box", Text, primary_key=True),  # site/edge
    Column("epoch", Text, primary_key=True),
    Column("chunk", BigInteger, primary_key=True),
    Column("bits", LargeBinary, nullable=False),
    Column("whole", BigInteger, nullable=False, server_default="0"),  # chunks from this one on of which all has come
    Column("repeated", BigInteger, nullable=False),  # events that came although they were there
    Column("at", Moment, nullable=False),
)

# What a camera saw, on central's clock. Between two spans nobody vouches for anything.
watch_span = Table(
    "watch_span",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("started", Moment, primary_key=True),
    Column("kind", Text, primary_key=True),  # seen, blind, stalled; step: the box's clock was set
    Column("until", Moment, nullable=False),
    Column("step_s", Float, nullable=False),
    Index(None, "until"),
)
