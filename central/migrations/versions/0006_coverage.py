"""What each camera saw when."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watch_span",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("started", Moment(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.Column("step_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("site", "edge", "camera", "started", "kind", name=op.f("pk_watch_span")),
    )
    op.create_index(op.f("ix_watch_span_until"), "watch_span", ["until"], unique=False)
