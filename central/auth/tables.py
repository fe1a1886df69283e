from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text

from central.db import Moment, metadata

account = Table(
    "account",
    metadata,
    Column("name", Text, primary_key=True),
    Column("full_name", Text, nullable=False),
    Column("password", Text, nullable=False),  # argon2id
    Column("roles", Text, nullable=False),  # separated by spaces, as `places`; no places: the whole city
    Column("places", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Moment),
    Column("made_at", Moment, nullable=False),
)

# Cookies and tokens are known by their SHA-256 alone: whoever reads the table can use none of them.
session = Table(
    "session",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("account", Text, nullable=False, index=True),
    Column("made_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
)

token = Table(
    "token",
    metadata,
    Column("name", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("roles", Text, nullable=False),
    Column("places", Text, nullable=False),
    Column("reads_only", Boolean, nullable=False),
    Column("screen", Boolean, nullable=False),  # held by a wall's browser, as a cookie
    Column("made_by", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("seen_at", Moment),
)

# Screens that show six digits and wait to be let in.
waiting_screen = Table(
    "waiting_screen",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("asked_at", Moment, nullable=False),
)

# Append-only: triggers refuse UPDATE and DELETE. `at` is text, so that what was hashed is what is kept.
audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False, index=True),
    Column("who", Text, nullable=False, index=True),
    Column("what", Text, nullable=False),
    Column("whom", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("previous", Text, nullable=False, unique=True),
    Column("hash", Text, nullable=False),
)
