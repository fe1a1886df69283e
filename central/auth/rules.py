"""Who may go where: one table for every route and every live topic. What is not in it is nobody's. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Role(StrEnum):
    OFFICER = "officer"
    SUPERVISOR = "supervisor"
    TRAFFIC = "traffic"
    TRACER = "tracer"
    SAMPLER = "sampler"
    VENUE = "venue"
    HOTLINE = "hotline"
    ADMIN = "admin"
    VIEWER = "viewer"
    EDGE = "edge"
    """A box, never a person: what it sends and fetches."""


PEOPLE = frozenset(Role) - {Role.EDGE}
ANYONE: frozenset[Role] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Who:
    """Somebody who has shown who they are. No places: the whole city."""

    name: str
    full_name: str = ""
    roles: frozenset[Role]
    places: tuple[str, ...] = ()
    reads_only: bool = False
    """A token that may look and change nothing."""
    session: str | None = None
    """The hash of the cookie, when it is a person at a browser."""
    screen: bool = False
    """A screen on a wall: nobody sits at it, so it is never asked to log in."""

    def within(self, place: str) -> bool:
        return not self.places or place in self.places


@dataclass(frozen=True)
class Rule:
    """`what` is a method and a path as its route writes it, or LIVE and a topic."""

    what: str
    roles: frozenset[Role]
    purpose: bool = False
    """One person's history: whoever reads it says why (`?purpose=`), and that leaves a row."""
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        method, _, path = self.what.partition(" ")
        tail = "(/.*)?" if path.endswith("/*") else ""
        parts = re.split(r"\{(\w+)(?::path)?\}", path.removesuffix("/*"))
        written = "".join(re.escape(part) if n % 2 == 0 else f"(?P<{part}>[^/]+)" for n, part in enumerate(parts))
        object.__setattr__(self, "pattern", re.compile(f"{method} {written}{tail}"))


def _rules(roles: str | frozenset[Role], *whats: str, purpose: bool = False) -> list[Rule]:
    named = frozenset(Role(name) for name in roles.split()) if isinstance(roles, str) else roles
    return [Rule(what, named, purpose) for what in whats]


ACCESS: tuple[Rule, ...] = (
    *_rules(
        ANYONE,
        "GET /health/live", "GET /health/ready", "GET /metrics", "GET /enrolment/ca", "POST /enrolment",
        "GET /login", "POST /login", "GET /pair", "GET /lang/{code}", "POST /lang/{code}",
        "GET /static/*", "GET /desk/*",
    ),
    *_rules(PEOPLE, "GET /", "GET /live", "GET /me", "POST /logout", "GET /password", "POST /password"),
    *_rules(PEOPLE, "LIVE health", "GET /openapi.json"),
    *_rules("supervisor traffic admin viewer", "GET /overview", "LIVE overview"),
    *_rules(
        "supervisor traffic admin viewer", "GET /overview/week", "GET /overview/week.svg", "GET /overview/week.csv"
    ),
    *_rules("supervisor admin viewer", "GET /supervisor", "LIVE alerts", "GET /duty", "LIVE duty"),
    *_rules("supervisor admin viewer", "GET /alerts", "GET /alerts/{alert_id}", "GET /alerts.csv"),
    *_rules("supervisor admin viewer", "GET /quarantine", "LIVE quarantine"),
    *_rules("supervisor admin", "GET /quarantine/{site}", "POST /quarantine/{site}/stays", "POST /stays/{stay_id}/end"),
    *_rules("supervisor admin", "POST /quarantine/{site}/{edge}/{camera}/walk"),
    *_rules("supervisor", "POST /cameras/{site}/{edge}/{camera}/escort"),
    *_rules(
        "supervisor traffic admin",
        "GET /cameras/{site}/{edge}/{camera}/look", "GET /cameras/{site}/{edge}/{camera}/still.jpg",
    ),
    *_rules("supervisor admin", "GET /evidence/{name}"),
    *_rules("supervisor admin", "GET /evidence/{name}/snapshot", "GET /evidence/{name}/clip"),
    *_rules("supervisor", "POST /alerts/{alert_id}/acknowledge", "POST /alerts/{alert_id}/resolve"),
    *_rules("supervisor traffic admin", "GET /recipients", "LIVE recipients"),
    *_rules("supervisor traffic admin", "POST /recipients/{number}/test", "POST /recipients/{number}/switch"),
    *_rules("admin", "POST /recipients"),
    *_rules("traffic admin viewer", "GET /traffic", "LIVE streets"),
    *_rules("traffic admin viewer", "GET /traffic/streets.json", "GET /traffic/warnings.json"),
    *_rules("traffic admin viewer", "GET /traffic/report", "GET /traffic/report.json", "GET /traffic/report.csv"),
    *_rules(
        "traffic admin viewer",
        "GET /traffic/{site}/{edge}/{camera}/{zone}",
        "GET /traffic/{site}/{edge}/{camera}/{zone}/series.json",
        "GET /traffic/{site}/{edge}/{camera}/{zone}/series.csv",
    ),
    *_rules(
        "traffic admin",
        "GET /traffic/{site}/{edge}/{camera}/{zone}/count",
        "POST /traffic/{site}/{edge}/{camera}/{zone}/count",
        "POST /traffic/{site}/{edge}/{camera}/{zone}/scale",
    ),
    *_rules("traffic admin viewer", "GET /stills/{site}/{edge}/{camera}"),
    *_rules("traffic", "POST /warnings/{warning}/{state}"),
    *_rules("tracer sampler admin", "GET /registry", "POST /registry/find"),
    *_rules(
        "tracer sampler admin",
        "GET /residents/{person}", "POST /residents/{person}/{record}", "POST /facts/{line}/correct",
        purpose=True,
    ),
    *_rules(
        "admin",
        "GET /imports", "POST /imports", "GET /imports/{upload}", "POST /imports/{upload}/columns", "LIVE imports",
        "POST /imports/{upload}/start", "POST /imports/{upload}/stop", "GET /imports/{upload}/rejected.csv",
    ),
    *_rules("sampler admin", "GET /passes", "POST /passes", "POST /passes/revoke"),
    *_rules("admin", "POST /zones", "GET /policies", "POST /policies", "POST /policies/preview"),
    *_rules("admin", "GET /optics", "GET /optics/prospects"),
    *_rules("admin", "GET /officers", "POST /officers", "POST /officers/{officer}/revoke"),
    *_rules("officer supervisor", "GET /pin", "POST /pin"),
    *_rules("admin", "GET /delivery", "GET /gaps", "GET /letters", "GET /letters/{digest}"),
    *_rules("admin", "POST /letters/replay", "POST /letters/{digest}/replay"),
    *_rules("edge", "POST /enrolment/renew"),
    *_rules("edge", "HEAD /evidence/{name}", "PUT /evidence/{name}"),
    *_rules("edge", "PUT /stills/{site}/{edge}/{camera}"),
    *_rules("edge", "GET /snapshot/{site}/{edge}", "GET /snapshot/{name}", "GET /policy/{sha256}"),
    *_rules(
        "admin",
        "GET /cameras", "GET /cameras/{site}/{edge}", "POST /cameras/{site}/{edge}",
        "POST /cameras/{site}/{edge}/probe", "GET /cameras/{site}/{edge}/{camera}",
        "GET /cameras/{site}/{edge}/{camera}/still", "POST /cameras/{site}/{edge}/{camera}/zones",
        "POST /cameras/{site}/{edge}/{camera}/remove",
        "GET /people", "POST /people", "POST /people/{name}",
        "POST /tokens", "POST /tokens/{name}/revoke", "POST /screens", "GET /audit", "GET /audit.csv",
    ),
)  # fmt: skip


def rule_for(method: str, path: str) -> tuple[Rule, dict[str, str]] | None:
    """The rule of a request and what stands in its path; a literal path goes before one with a variable."""
    found = [(rule, match) for rule in ACCESS if (match := rule.pattern.fullmatch(f"{method} {path}"))]
    if not found:
        return rule_for("GET", path) if method == "HEAD" else None
    rule, match = min(found, key=lambda pair: pair[0].what.count("{"))
    return rule, match.groupdict()


def may(who: Who | None, rule: Rule | None) -> bool:
    if rule is None:
        return False
    if not rule.roles:
        return True
    if who is None or not who.roles & rule.roles:
        return False
    return not who.reads_only or rule.what.startswith(("GET ", "LIVE "))


def may_do(who: Who | None, what: str) -> bool:
    """For a page that asks whether to show a button or a link."""
    return may(who, next((rule for rule in ACCESS if rule.what == what), None))


SCREENS: dict[Role, str] = {Role.VIEWER: "/overview", Role.SUPERVISOR: "/supervisor", Role.TRAFFIC: "/traffic"}
"""What a screen on a wall may be, and the page that it then shows."""


# ---- passwords and sessions

PASSWORD_LEAST = 12
SESSION_HOURS = 12
"""A night shift; after it everybody shows again who they are."""
FREE_TRIES = 5
_LONGEST_LOCK = timedelta(minutes=15)


def password_fault(password: str, name: str) -> str | None:
    """The catalogue's key for what is wrong with a new password."""
    if len(password) < PASSWORD_LEAST:
        return "auth.password_short"
    if name and name.lower() in password.lower():
        return "auth.password_name"
    return "auth.password_plain" if len(set(password)) < 5 else None


def locked_until(failures: int, now: datetime) -> datetime | None:
    """After five wrong tries one waits, twice as long each time, a quarter of an hour at most."""
    if failures < FREE_TRIES:
        return None
    return now + min(_LONGEST_LOCK, timedelta(seconds=30 * 2.0 ** min(failures - FREE_TRIES, 10)))


# ---- the audit log

GENESIS = "0" * 64
AUDITED = ("at", "who", "what", "whom", "place", "why", "outcome")


def chained(previous: str, row: dict[str, str]) -> str:
    """The hash of an audit row: it holds the one before, so that none can be changed or taken out unseen."""
    told = json.dumps([previous, *(row[name] for name in AUDITED)], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()


def broken_at(rows: Iterable[dict[str, str]]) -> int | None:
    """The number of the first row that does not fit the one before; None when the chain is whole."""
    previous = GENESIS
    for number, row in enumerate(rows, start=1):
        if row["previous"] != previous or row["hash"] != chained(previous, row):
            return number
        previous = row["hash"]
    return None


def cell(text: object) -> str:
    """A CSV cell that no spreadsheet takes for a formula."""
    told = str(text)
    return f"'{told}" if told.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else told
