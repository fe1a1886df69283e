"""Alembic's way in. The only place that knows every module's tables."""

from alembic import context
from sqlalchemy import Connection

import central.alerts.tables
import central.auth.tables
import central.crowd.tables
import central.enrolment.tables
import central.history.tables
import central.inbox.tables
import central.issuing.tables
import central.notify.tables
import central.passes.tables
import central.quarantine.tables
import central.registry.tables
import central.sites.tables  # noqa: F401  (imported for their tables, as the seven above)
from central.db import metadata


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()


run(context.config.attributes["connection"])
