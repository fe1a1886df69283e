from sqlalchemy import Column, Float, Integer, Table, Text

from central.db import Moment, metadata

# What somebody saw on a picture, and what the box had counted then, at scale one.
street_count = Table(
    "street_count",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("taken_at", Moment, primary_key=True),
    Column("seen", Integer, nullable=False),
    Column("counted", Float, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
