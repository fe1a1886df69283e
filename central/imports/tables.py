from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from central.db import Moment, metadata

upload = Table(
    "upload",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("columns", Text, nullable=False),  # JSON: what each column of the file is
    Column("state", Text, nullable=False),
    Column("stopping", Boolean, nullable=False),
    Column("tries", Integer, nullable=False),  # a process that ends in the middle begins again, a few times
    Column("fault", Text, nullable=False),
    Column("new", Integer, nullable=False),
    Column("known", Integer, nullable=False),
    Column("facts", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Index("ix_upload_due", "at", postgresql_where=text("state IN ('waiting', 'running')")),
)
