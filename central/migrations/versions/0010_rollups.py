"""Streets by the minute and by the hour, the nights on which the old ones went, outlines of districts."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NUMBERS = (
    "looks", "people", "vehicles", "moving", "most", "low", "high",
    "densities", "density_centi", "flows", "in_deci", "out_deci",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "street_rollup",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("span_s", sa.Integer(), nullable=False),
        sa.Column("began", Moment(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _NUMBERS),
        sa.PrimaryKeyConstraint("site", "edge", "camera", "zone", "span_s", "began", name=op.f("pk_street_rollup")),
    )
    op.create_index(op.f("ix_street_rollup_span_s_began"), "street_rollup", ["span_s", "began"], unique=False)
    op.create_table(
        "street_district",
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("geometry", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("district", name=op.f("pk_street_district")),
    )
    op.create_table(
        "street_purge",
        sa.Column("at", Moment(), nullable=False),
        sa.Column("minutes_before", Moment(), nullable=False),
        sa.Column("hours_before", Moment(), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("hours", sa.BigInteger(), nullable=False),
        sa.Column("warnings", sa.BigInteger(), nullable=False),
        sa.Column("left", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_street_purge")),
    )
