"""How a box itself is, as it last told."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("edge", sa.Column("machine", sa.Text(), nullable=True))
