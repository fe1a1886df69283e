"""Files of boxes, and when a camera's picture was taken."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "box_file",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "edge", "at", name=op.f("pk_box_file")),
    )
    with op.batch_alter_table("camera_health") as table:
        table.add_column(sa.Column("picture_at", Moment(), nullable=True))
