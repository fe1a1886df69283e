"""What gates carry, and what they showed beside what central decided."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("identity", sa.Column("outside", sa.LargeBinary(length=8), nullable=True))
    op.create_table(
        "change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resident", sa.LargeBinary(length=16), nullable=True),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
    )
    op.add_column("decision", sa.Column("snapshot_at", Moment(), nullable=True))
    op.add_column("decision", sa.Column("facts", sa.Text(), nullable=True))
    op.create_table(
        "painted",
        sa.Column("scan", sa.Text(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=True),
        sa.Column("decided", sa.Integer(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("scan", name=op.f("pk_painted")),
    )
