from sqlalchemy import BigInteger, Column, Float, Integer, Table, Text

from central.db import Moment, metadata

# Both keep the newest of each outbox: sequences of two outboxes cannot be compared.
street_level = Table(
    "street_level",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("level", Integer),  # null: counting is paused
    Column("since", Moment, nullable=False),
    Column("counts", Text, nullable=False),  # JSON
    Column("at", Moment, nullable=False),
)

street_measure = Table(
    "street_measure",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("counts", Text, nullable=False),  # JSON
    Column("low", Integer, nullable=False),
    Column("high", Integer, nullable=False),
    Column("density", Float),
    Column("flow_in", Float),
    Column("flow_out", Float),
    Column("basis", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
