"""Events by the day, the sequences that have come, the nightly purge, the one-time codes of new boxes."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = "id, time, type, site, edge, camera, received_at, clock, epoch, sequence, late, dataref, data"


def _event(name: str, **how: str) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("time", Moment(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("received_at", Moment(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("dataref", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "time", name=op.f("pk_event")),
        **how,
    )


def upgrade() -> None:
    op.rename_table("event", "event_before")
    op.drop_index(op.f("ix_event_type_time"), table_name="event_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE event_before RENAME CONSTRAINT pk_event TO pk_event_before")
        _event("event", postgresql_partition_by="RANGE (time)")
        op.execute("CREATE TABLE event_rest PARTITION OF event DEFAULT")
    else:
        _event("event")
    op.create_index(op.f("ix_event_type_time"), "event", ["type", "time"], unique=False)
    op.execute(f"INSERT INTO event ({_COLUMNS}) SELECT {_COLUMNS} FROM event_before")  # noqa: S608  (names of our own)
    op.drop_table("event_before")
    op.create_table(
        "sequence_seen",
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("chunk", sa.BigInteger(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.Column("repeated", sa.BigInteger(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("box", "epoch", "chunk", name=op.f("pk_sequence_seen")),
    )
    op.create_table(
        "purge",
        sa.Column("at", Moment(), nullable=False),
        sa.Column("before", Moment(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("letters", sa.BigInteger(), nullable=False),
        sa.Column("left", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_purge")),
    )
    op.create_table(
        "enrolment",
        sa.Column("code", sa.LargeBinary(length=32), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.Column("used_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_enrolment")),
    )
