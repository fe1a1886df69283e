from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from central.db import Moment, metadata

recipient = Table(
    "recipient",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("address", Text, nullable=False),  # sealed to central's own key: it may hold a password or a phone number
    Column("way", Text, nullable=False),  # what may be shown of it
    Column("kinds", Text, nullable=False),
    Column("places", Text, nullable=False),  # one a line; empty: everywhere
    Column("lang", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
)

message = Table(
    "message",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("key", Text, nullable=False),
    Column("recipient", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("recipient.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),  # of one that is being sent: when it is taken for lost
    Column("done_at", Moment),
    Index("uq_message_recipient_key", "recipient", "key", unique=True),  # whatever is told twice is sent once
    Index(
        "ix_message_due", "due_at", sqlite_where=text("state = 'waiting'"), postgresql_where=text("state = 'waiting'")
    ),
    Index("ix_message_made_at", "made_at"),
)
