from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from central.db import Moment, metadata

# What was told of a zone in a minute (span_s 60) or an hour (3600): whole numbers that are only added, or joined by
# least and most, so that any order of events leaves the same row. Density in hundredths, flows in tenths.
street_rollup = Table(
    "street_rollup",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("span_s", Integer, primary_key=True),
    Column("began", Moment, primary_key=True),
    Column("looks", BigInteger, nullable=False),
    Column("people", BigInteger, nullable=False),
    Column("vehicles", BigInteger, nullable=False),
    Column("moving", BigInteger, nullable=False),
    Column("most", BigInteger, nullable=False),
    Column("low", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    Column("densities", BigInteger, nullable=False),
    Column("density_centi", BigInteger, nullable=False),
    Column("flows", BigInteger, nullable=False),
    Column("in_deci", BigInteger, nullable=False),
    Column("out_deci", BigInteger, nullable=False),
    Index(None, "span_s", "began"),
)

# A night's purge: what went, and how much of it is left, which is none.
street_purge = Table(
    "street_purge",
    metadata,
    Column("at", Moment, primary_key=True),
    Column("minutes_before", Moment, nullable=False),
    Column("hours_before", Moment, nullable=False),
    Column("minutes", BigInteger, nullable=False),
    Column("hours", BigInteger, nullable=False),
    Column("warnings", BigInteger, nullable=False),
    Column("left", BigInteger, nullable=False),
)
