"""Screens on a wall, let in by six digits; when a token was used last."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("token") as table:
        table.add_column(sa.Column("screen", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("seen_at", Moment(), nullable=True))
    op.create_table(
        "waiting_screen",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("asked_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_waiting_screen")),
        sa.UniqueConstraint("code", name=op.f("uq_waiting_screen_code")),
    )
