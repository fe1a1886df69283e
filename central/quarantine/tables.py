from sqlalchemy import BigInteger, Column, Float, Table, Text

from central.db import Moment, metadata

incident = Table(
    "incident",
    metadata,
    Column("dedupe", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("certainty", Text, nullable=False),
    Column("end_reason", Text),
    Column("left_at", Float, nullable=False),
    Column("reported_at", Float, nullable=False),
    Column("at", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
