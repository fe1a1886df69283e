"""Who has to be at a quarantine site, and the walks that have shown that its zones tell."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "stay",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("resident", sa.LargeBinary(length=16), nullable=False),
        sa.Column("from", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stay")),
    )
    op.create_index(
        "ix_stay_open",
        "stay",
        ["site"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "walk",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_walk")),
    )
    op.create_index(op.f("ix_walk_site_edge_camera_started_at"), "walk", ["site", "edge", "camera", "started_at"])
    op.create_table(
        "walk_proof",
        sa.Column("walk", _NUMBER, nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("walk", "zone", name=op.f("pk_walk_proof")),
    )
