"""How a box itself is, as it last told."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("edge", sa.Column("machine", sa.Text(), nullable=True))
