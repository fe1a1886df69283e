"""What one camera's panel shows, and when that ends. Pure: `now` is monotonic seconds, given by the caller."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import msgspec

from models.aim import Advice
from models.passes.outcome import Outcome
from models.wire.events import CameraHealth

PASS_SECONDS = 8.0
"""A PASS leaves by itself: the normal flow needs no key. FAIL and CHECK stay until an officer or the next scan."""
READING_SECONDS = 3.0
"""A code that was seen and never read: the holder is asked again."""
TOLD_SECONDS = 4.0
"""So long the holder's screen says that the code was read."""
HEALTH_SECONDS = 5.0
"""A camera's eye that says nothing for so long shows nothing either."""
ROWS = 8
MOST_PARTY = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """An answer to paint. `holder` is masked; `crop` is the person's JPEG, kept in RAM while it is painted."""

    scan: str
    camera: str
    lane: str | None = None
    stop: str | None = None
    """The vehicle's: its people have one answer together."""
    outcome: Outcome
    reasons: tuple[str, ...]
    by: Literal["edge", "central"]
    holder: str | None = None
    kind: str
    at: datetime
    repeat: int = 0
    as_of: datetime | None = None
    """How old the data is that the gate's own answer rests on."""
    crop: bytes | None = None


@dataclass(frozen=True, slots=True)
class Row:
    scan: str
    outcome: Outcome
    kind: str
    at: datetime
    repeat: int
    overruled: Outcome | None = None
    """What an officer said instead."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A code that is in view and not read."""

    since: float
    seen_at: float
    advice: Advice | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """The state of one camera's panel. Every method gives the next state; the same one when nothing changes."""

    version: int = 0
    """Counts what must be painted anew for the officer; a repeat of the same answer is painted anew too."""
    turn: int = 0
    """Counts what must be painted anew for the holder."""
    showing: Showing | None = None
    """What is painted: of a vehicle the worst of its people."""
    party: tuple[Showing, ...] = ()
    """Everybody of the vehicle that stopped last, in the order of their first scans, also when nothing is painted."""
    shown_at: float = 0.0
    unread: Unread | None = None
    told_at: float | None = None
    """When the last code was read, as long as its holder's screen says so."""
    health: CameraHealth | None = None
    heard_at: float = 0.0
    was_live: bool = False
    has_still: bool = False

    @property
    def lost(self) -> bool:
        return self.health is not None and self.health.state != "live" and self.was_live

    @property
    def face(self) -> Literal["verdict", "lost", "reading", "ready", "starting"]:
        """An answer that stands goes before a lost picture: what was red stays red until an officer has seen it."""
        if self.showing is not None:
            return "verdict"
        if self.lost:
            return "lost"
        return self._idle

    @property
    def holder_face(self) -> Literal["lost", "reading", "told", "ready", "starting"]:
        """What the person who holds the code is shown: how to hold it, and never an answer."""
        if self.lost:
            return "lost"
        if self.unread is None and self.told_at is not None:
            return "told"
        return self._idle

    @property
    def _idle(self) -> Literal["reading", "ready", "starting"]:
        if self.unread is not None:
            return "reading"
        return "ready" if self.was_live or self.has_still else "starting"

    def show(self, showing: Showing, now: float) -> "Panel":
        """Paint an answer, beside those of the same stop. A picture that comes without one keeps the one it has."""
        before = self.party if self.party and showing.stop and self.party[0].stop == showing.stop else ()
        known = next((one for one in (*before, self.showing) if one and one.scan == showing.scan), None)
        if known is not None and showing.crop is None:
            showing = replace(showing, crop=known.crop)
        party = tuple(showing if one.scan == showing.scan else one for one in before)
        if showing not in party:
            party = (*party, showing)
        if len(party) > MOST_PARTY:  # a bus: whoever may pass is named no longer
            mildest = min(party[:-1], key=lambda one: one.outcome.severity)
            party = tuple(one for one in party if one is not mildest)
        head = max(party, key=lambda one: (one.outcome.severity, one is showing))
        painted = replace(self, showing=head, party=party, shown_at=now, unread=None, told_at=now)
        return replace(painted, version=self.version + 1, turn=self.turn + 1)

    def overrule(self, scan: str, outcome: Outcome) -> "Panel":
        """An officer has answered this scan otherwise. It leaves, and the next worst of its vehicle takes its place."""
        party = tuple(replace(one, outcome=outcome) if one.scan == scan else one for one in self.party)
        head = max(party, key=lambda one: one.outcome.severity, default=None)
        after = replace(self, party=party)
        if head is None or head.scan == scan or head.outcome is Outcome.PASS:
            return after.dismiss(scan)
        return replace(after, showing=head, version=self.version + 1)

    def reading(self, now: float, advice: Advice | None = None) -> "Panel":
        """A code is seen. Only an idle panel gives way to it: an answer gives way to the next answer alone."""
        unread = Unread(now, now, advice) if self.unread is None else replace(self.unread, seen_at=now, advice=advice)
        return self._repainted(replace(self, unread=unread))

    def _repainted(self, after: "Panel") -> "Panel":
        """The next state, counted anew for whom it changes something."""
        is_new = after.face != self.face or (after.face == "reading" and after.advice != self.advice)
        is_turn = (after.unread is None, after.advice, after.holder_face) != (
            self.unread is None,
            self.advice,
            self.holder_face,
        )
        return replace(after, version=self.version + is_new, turn=self.turn + is_turn)

    @property
    def advice(self) -> Advice | None:
        return self.unread.advice if self.unread else None

    def dismiss(self, scan: str) -> "Panel":
        """The officer is done with this scan; a newer one stays."""
        if self.showing is None or self.showing.scan != scan:
            return self
        return self._repainted(self._bare())

    def _bare(self) -> "Panel":
        """Nothing painted. People's pictures and names go with the answer; that they were of this vehicle stays."""
        party = tuple(replace(one, crop=None, holder=None) for one in self.party)
        return replace(self, showing=None, party=party)

    def hear(self, health: CameraHealth, now: float) -> "Panel":
        # Not live on the first word is a camera that is being opened; after that it is one that is lost.
        was_live = self.was_live or health.state not in {"connecting", "starting"}
        return self._repainted(replace(self, health=health, heard_at=now, was_live=was_live))

    def picture(self) -> "Panel":
        if self.has_still:
            return self
        return replace(self, has_still=True, version=self.version + 1, turn=self.turn + 1)

    def tick(self, now: float) -> "Panel":
        """What time alone ends."""
        after = self
        if after.showing is not None and after.showing.outcome is Outcome.PASS and now - after.shown_at >= PASS_SECONDS:
            after = after._bare()
        if after.unread is not None and now - after.unread.seen_at >= READING_SECONDS:
            after = replace(after, unread=None)
        if after.told_at is not None and now - after.told_at >= TOLD_SECONDS:
            after = replace(after, told_at=None)
        after = self._repainted(after)
        if after.health is not None and after.health.state == "live" and now - after.heard_at >= HEALTH_SECONDS:
            after = after.hear(msgspec.structs.replace(after.health, state="silent", reason="eye_restarts"), now)
        return after


@dataclass(frozen=True, slots=True)
class Tally:
    """The day's answers at one camera and the last few of them, without names."""

    day: str = ""
    counts: tuple[int, int, int] = (0, 0, 0)
    """PASS, FAIL, CHECK."""
    rows: tuple[Row, ...] = ()
    version: int = 0

    def add(self, showing: Showing, day: str) -> "Tally":
        """A new scan is a new row; the same scan again, or answered anew, changes its row and is counted once."""
        counts = list(self.counts if day == self.day else (0, 0, 0))
        rows = self.rows if day == self.day else ()
        row = Row(showing.scan, showing.outcome, showing.kind, showing.at, showing.repeat)
        known = next((old for old in rows if old.scan == row.scan), None)
        if known is not None:
            counts[_COLUMN[known.outcome]] -= 1
            row = replace(row, at=known.at, repeat=max(known.repeat, row.repeat), overruled=known.overruled)
            rows = tuple(row if old.scan == row.scan else old for old in rows)
        else:
            rows = (row, *rows)[:ROWS]
        if known is not None or not showing.repeat:
            counts[_COLUMN[row.outcome]] += 1
        return Tally(day, (counts[0], counts[1], counts[2]), rows, self.version + 1)

    def overrule(self, scan: str, outcome: Outcome) -> "Tally":
        rows = tuple(replace(row, overruled=outcome) if row.scan == scan else row for row in self.rows)
        return replace(self, rows=rows, version=self.version + 1)


_COLUMN = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.CHECK: 2}
