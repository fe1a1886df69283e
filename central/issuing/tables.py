from sqlalchemy import Column, LargeBinary, Table, Text

from central.db import Moment, metadata

# A pass is its id here; the code itself, and the number in it, are not kept.
issued = Table(
    "issued",
    metadata,
    Column("id", Text, primary_key=True),
    Column("resident", LargeBinary(16), nullable=False, index=True),
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("revoked_at", Moment),
    Column("revoked_by", Text),
)
