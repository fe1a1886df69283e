from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text, text

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

street_place = Table(
    "street_place",
    metadata,
    Column("street", Text, primary_key=True),
    Column("district", Text, nullable=False),
    Column("geometry", Text, nullable=False),  # GeoJSON
)

# The outlines of districts that were imported; of others the map draws what their streets span.
street_district = Table(
    "street_district",
    metadata,
    Column("district", Text, primary_key=True),
    Column("geometry", Text, nullable=False),  # GeoJSON
)

# Which counted zones look at which street; one street may be seen by several cameras.
street_zone = Table(
    "street_zone",
    metadata,
    Column("site", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("street", Text, nullable=False),
    Index(None, "street"),
)

street_warning = Table(
    "street_warning",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("street", Text, nullable=False),
    Column("district", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("by", Text),
    Column("by_at", Moment),
    Column("note", Text),
    Column("closed_at", Moment),
    Index(
        "uq_street_warning_open",
        "street",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)
