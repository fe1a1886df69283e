from sqlalchemy import Column, LargeBinary, Table, Text

from central.db import Moment, metadata

enrolment = Table(
    "enrolment",
    metadata,
    Column("code", LargeBinary(32), primary_key=True),  # its SHA-256
    Column("site", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("until", Moment, nullable=False),
    Column("used_at", Moment),
)
