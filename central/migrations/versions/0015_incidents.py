"""What an alert came to, who was called, and how far it went."""

import sqlalchemy as sa
from alembic import op

from central.db import Moment

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_MAYBE = {
    "beyond": sa.Float(),
    "ended_at": Moment(),
    "end_reason": sa.Text(),
    "second_at": Moment(),
    "out_at": Moment(),
    "outcome": sa.Text(),
    "cause": sa.Text(),
    "note": sa.Text(),
    "resolved_by": sa.Text(),
    "resolved_at": Moment(),
}


def upgrade() -> None:
    with op.batch_alter_table("alert") as table:
        for name, kind in _MAYBE.items():
            table.add_column(sa.Column(name, kind, nullable=True))
        for name in ("box", "person"):
            table.add_column(sa.Column(name, sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("raised_at", Moment(), nullable=True))
    op.execute(sa.text("UPDATE alert SET raised_at = first_at"))
    op.execute(sa.text("UPDATE alert SET ended_at = last_at WHERE ended"))
    with op.batch_alter_table("alert") as table:
        table.alter_column("raised_at", nullable=False)
        table.drop_column("ended")
        for name in ("box", "person"):
            table.alter_column(name, server_default=None)
    op.create_index("ix_alert_first_at", "alert", ["first_at"])
    op.create_index("ix_alert_person", "alert", ["person"])
    op.create_index(
        "ix_alert_unresolved",
        "alert",
        ["first_at"],
        sqlite_where=sa.text("state <> 'resolved'"),
        postgresql_where=sa.text("state <> 'resolved'"),
    )
