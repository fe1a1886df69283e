from sqlalchemy import Column, Table, Text

from central.db import Moment, metadata

# The file of a box, as it is and as it was. It holds cameras' passwords, so it lies sealed to ourselves.
box_file = Table(
    "box_file",
    metadata,
    Column("site", Text, primary_key=True),
    Column("edge", Text, primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("by", Text),  # null: the box had it from elsewhere
    Column("sealed", Text, nullable=False),
)
