"""Chunks of sequences that have come wholly are folded; what came late is found fast; dead letters are tried again."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sequence_seen", sa.Column("whole", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("purge", sa.Column("missing", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("dead_letter", sa.Column("tried_at", Moment(), nullable=True))
    late = sa.text("late")
    op.create_index("ix_event_late", "event", ["received_at"], postgresql_where=late, sqlite_where=late)
