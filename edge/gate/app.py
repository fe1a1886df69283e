"""The gate of one box: it keeps, decides, speaks and shows what the eyes see."""

import contextlib
import logging
import os
import secrets
import signal
import socket
import ssl
import threading
import time
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Literal

import msgspec
import uvicorn
from msgspec import UNSET

from edge import VERSION
from edge.gate import clock, machine, metrics
from edge.gate.answers import Answers
from edge.gate.configuration import Configuration
from edge.gate.enrol import Renewal
from edge.gate.escorts import Escorts
from edge.gate.evidence import Evidence, Filmed
from edge.gate.eyes import Broken, Eye, rehand, spread
from edge.gate.incidents import Ended, Incidents
from edge.gate.link import Link
from edge.gate.outbox import InUse, Outbox, Ranges, Thinned, Urgency
from edge.gate.screen import Entry, Override, Pairing, Screen, Showing
from edge.gate.signer import Signer
from edge.gate.snapshot import Pins, Snapshot, Snapshots
from edge.gate.stills import Stills
from edge.gate.uuid7 import uuid7
from edge.gate.verdict import Painting, Verdicts, decide, masked
from edge.settings import Camera, Central, EdgeSettings
from edge.sighting import Footage, Health, Outside, Reading, Scanned, Sighting, Still, Told
from models.document import BadDocument
from models.passes import trust
from models.passes.outcome import Outcome
from models.passes.scan import Pass
from models.wire import events, seal, tls
from models.wire.topics import Box

log = logging.getLogger(__name__)

_CARDS = 256
"""Scans whose holder and picture are kept in RAM for a late answer."""
_FLUSH_S = 3.0
_LOG_BYTES = 1 << 20
LOG = "edge.log"
_TICK_S = 0.5
_TELL_THINNED_S = 60.0
_TOLD_RANGES = 1000
"""Of one event, so that it fits into a message."""
_SPARED = (events.NAMES[events.CrowdMeasured], events.NAMES[events.CameraStatus])
"""What makes room in a full outbox, in this order: measurements, then words of a camera that says the same again."""


def _identity(code: Pass) -> seal.Identity | None:
    """Who the code says its holder is; None when it says nothing of that."""
    birth = code.birth.isoformat() if code.birth else str(code.birth_year) if code.birth_year else UNSET
    if not code.ids and not code.name and birth is UNSET:
        return None
    return seal.Identity(ids=code.ids, name=code.name or UNSET, birth=birth, sex=code.sex or UNSET)


def _confirmed(seen: Scanned, snapshot: Snapshot | None, believed: str) -> Pass:
    """The code, its signature held against the keys that the box carries."""
    now = None if believed == "unset" else seen.seen_at
    if snapshot is None:
        return trust.confirm(seen.code, now=now)
    return trust.confirm(seen.code, snapshot.keys, now=now, revoked=snapshot.revoked)


def _gates(settings: EdgeSettings) -> list[str]:
    return [camera.id for camera in settings.cameras if camera.watch == "checkpoint"]


def _known(central: Central) -> ssl.SSLContext | None:
    """By what central is known, and we are known to it; None where nothing of that is set."""
    if central.tls is None:
        return None
    try:
        return tls.context(Path(central.tls.ca), Path(central.tls.certificate), Path(central.tls.key))
    except tls.BadCertificate as error:
        raise BadDocument(str(error)) from error


def _spared(data: events.Data) -> str | None:
    """The kind under which this event may be thinned. A camera's change of state never is."""
    repeats = isinstance(data, events.CameraStatus) and data.was == data.state
    return events.NAMES[type(data)] if repeats or isinstance(data, events.CrowdMeasured) else None


@dataclass(frozen=True, slots=True)
class _Card:
    """What the screen needs of a scan beside its answer. RAM only."""

    scanned: Scanned
    holder: dict[Outcome, str]


class Gate:
    """Everything of one box but its eyes' processes. Thread-safe: each eye, the link and the clock call it."""

    def __init__(self, settings: EdgeSettings, central: Central, config: Path) -> None:
        self._settings = settings
        sign_key = None if central.sign_key is None else urlsafe_b64decode(central.sign_key.rstrip("=") + "=")
        self.configuration = Configuration(config, settings, sign_key)
        self._seal_key = urlsafe_b64decode(central.seal_key.rstrip("=") + "=")
        try:  # now, rather than at the first scan
            seal.close(b"", self._seal_key)
        except ValueError as error:
            what = "is no public key; write what `python -m central keys` printed"
            raise BadDocument(f"{config}: central.seal_key: {what}") from error
        self.boot = uuid7()
        folder = self._data = Path(settings.data)
        self._began = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._pins = Pins()
        self.screen = Screen(
            settings.site,
            _gates(settings),
            pairing=Pairing(folder / "screens.json"),
            metrics=lambda: metrics.render(self.state()),
            on_override=self._override,
            on_entry=self._entered,
            on_detail=self._detailed,
        )
        self.outbox = Outbox(
            folder / "outbox.db",
            cap_bytes=settings.outbox_megabytes << 20,
            thin_order=_SPARED,
            on_commit=self._committed,
        )
        known = _known(central)
        self.evidence = Evidence(folder / "evidence", central.http, Signer(folder / "evidence.key"), known=known)
        self.renewal = Renewal(central.http, central.tls, known) if central.tls and known else None
        self.link = Link(
            central.broker,
            Box(settings.site, settings.edge),
            self.boot,
            self.outbox,
            describe=self.state,
            on_verdict=self._answered,
            on_change=self._link_changed,
            on_config=self.take_config,
            on_command=self._asked,
            on_snapshot=self._snapshot_told,
            on_countersigned=self.evidence.countersigned,
            known=known,
        )
        self._escorts = Escorts(folder / "escorts.json")
        self.answers = Answers(
            Box(settings.site, settings.edge),
            sign_key,
            self._seal_key,
            configuration=self.configuration,
            still=self._still,
            escort=self._escort,
            say=self.link.answer,
        )
        self.stills: Stills | None = None
        if central.stills_seconds is not None:
            box = Box(settings.site, settings.edge)
            self.stills = Stills(central.http, box, every_s=central.stills_seconds, known=known)
        self.snapshots: Snapshots | None = None
        if sign_key is not None:
            self.snapshots = Snapshots(
                folder / "snapshot",
                central.http,
                sign_key,
                Box(settings.site, settings.edge),
                memory=Path(settings.memory),
                on_change=self._snapshot_changed,
                known=known,
            )
        self._verdicts = Verdicts(settings.screen.wait_seconds)
        self._guard = threading.Lock()
        self._cards: OrderedDict[str, _Card] = OrderedDict()
        self._newest: OrderedDict[tuple[str, bytes], str] = OrderedDict()
        self._health: dict[str, events.CameraHealth] = {}
        self._stream_s: dict[str, float] = {}
        self._stills: dict[str, Still] = {}
        self._incidents = Incidents(folder / "incidents.json")
        self._detector: str | None = None
        self._lost_events = 0
        self._details = 0
        self._told_thinned_at = 0.0
        self._tick = threading.Event()
        self._closing = threading.Event()
        self._eyes = [self._eye(cameras) for cameras in spread(settings.cameras, self._most_eyes)]
        self._ended_eyes: list[Eye] = []
        self._clock = threading.Thread(target=self._keep_time, name="clock")

    @property
    def _most_eyes(self) -> int:
        return self._settings.eyes or os.cpu_count() or 1

    def _eye(self, cameras: Sequence[Camera]) -> Eye:
        escorts = self._escorts.standing(datetime.now(UTC))
        return Eye(cameras, self.boot, escorts=escorts, on_sighting=self.take, on_end=self._eye_ended)

    def _asked(self, document: bytes) -> None:
        self.answers.take(document)

    def _escort(self, camera: str, zone: str, until: datetime) -> bool:
        """False when we guard no such zone."""
        known = {one.id: {of.id for of in one.zones} for one in self._settings.cameras if one.watch == "quarantine"}
        if zone not in known.get(camera, ()):
            return False
        now = datetime.now(UTC)
        self._escorts.put(camera, zone, until, now)
        for eye in self._eyes:
            eye.escort(self._escorts.standing(now))
        return True

    def _still(self, camera: str) -> Still | None:
        return self._stills.get(camera)

    def take_config(self, document: bytes) -> None:
        """A whole new file from central. Cameras of which nothing changes do not notice."""
        settings = self.configuration.take(document)
        if settings is None:
            return
        was, self._settings = self._settings, settings
        wanted = {camera.id: camera for camera in settings.cameras}
        gone = {one.id for one in was.cameras if one.id not in wanted or not one.is_same_stream(wanted[one.id])}
        with self._guard:
            ended = self._incidents.end(gone, "ended")
            self._health = {name: health for name, health in self._health.items() if name in wanted}
            self._stills = {name: still for name, still in self._stills.items() if name in wanted}
        self._ended(ended)
        self.screen.watch(_gates(settings))
        hands = rehand([eye.cameras for eye in self._eyes], settings.cameras, self._most_eyes)
        for eye, hand in zip(self._eyes, hands, strict=False):
            if hand:
                eye.set(hand)
            else:
                eye.close()
                self._ended_eyes.append(eye)
        kept = [eye for eye, hand in zip(self._eyes, hands, strict=False) if hand]
        more = [self._eye(hand) for hand in hands[len(self._eyes) :]]
        self._eyes = kept + more
        for eye in more:
            eye.start()

    def start(self) -> None:
        for filmed in self.evidence.adopted:
            self._filmed(filmed)
        self._ended(self._incidents.adopted)
        self.link.start()
        if self.snapshots:
            self.snapshots.start()
        if self.renewal:
            self.renewal.start()
        if self.stills:
            self.stills.start()
        self._clock.start()
        for eye in self._eyes:
            eye.start()

    def close(self) -> None:
        """Eyes end, then what they said is flushed, then offline is told."""
        until = time.monotonic() + _FLUSH_S
        for eye in self._eyes:
            eye.close()
        for eye in (*self._eyes, *self._ended_eyes):
            eye.join()
        self._closing.set()
        self._tick.set()
        self._clock.join()
        self.link.drain(until - time.monotonic())
        self.link.close()
        if self.renewal:
            self.renewal.close()
        if self.snapshots:
            self.snapshots.close()
        self.answers.close()
        if self.stills:
            self.stills.close()
        self.evidence.close()
        self.outbox.close()

    def state(self) -> events.EdgeState:
        """The box as central sees it."""
        link, outbox = self.link.counters, self.outbox
        with self._guard:
            cameras, detector = dict(self._health), self._detector
            unknown, too_mild = self._verdicts.unknown, self._verdicts.too_mild
        return events.EdgeState(
            state="online",
            boot=self.boot,
            at=datetime.now(UTC),
            version=VERSION,
            machine=machine.look(self._data, time.monotonic() - self._began),
            config=self.configuration.sha256,
            refused=self.configuration.refused or UNSET,
            epoch=outbox.epoch,
            waiting=outbox.waiting,
            detector=detector or UNSET,
            counters={
                "generated": outbox.generated,
                "thinned": sum(last - first + 1 for told in outbox.thinned.values() for first, last in told),
                "disk_full": int(outbox.is_full),
                "failed_commits": outbox.failed_commits,
                "strange_receipts": outbox.strange_receipts,
                "lost_events": self._lost_events,
                "details_looked_at": self._details,
                "connects": link.connects,
                "resent": link.resent,
                "rejected": link.rejected,
                "refused": link.refused,
                "wrong_payloads": link.wrong_payloads,
                "unknown_verdicts": unknown,
                "mild_verdicts": too_mild,
                "evidence_waiting": self.evidence.waiting,
                "evidence_dropped": self.evidence.dropped,
                "evidence_refused": self.evidence.refused,
                "snapshots": self.snapshots.fetched if self.snapshots else 0,
                "snapshots_refused": self.snapshots.refused if self.snapshots else 0,
                **({"certificate_days": self.renewal.days_left} if self.renewal else {}),
                "stills": self.stills.brought if self.stills else 0,
                "stills_failed": self.stills.failed if self.stills else 0,
                "policies_refused": self.snapshots.policies.refused if self.snapshots else 0,
                "config_refused": self.configuration.refusals,
                "commands_refused": self.answers.refused,
                "strange_films": self.evidence.strange_films,
                "eye_restarts": sum(eye.restarts for eye in self._eyes),
                "eye_broken": sum(eye.broken for eye in self._eyes),
            },
            cameras=cameras,
        )

    def take(self, seen: Sighting) -> None:  # noqa: C901  (a kind of sighting each)
        """One sighting of an eye. Raises Broken on an event that we do not know."""
        if seen.camera not in {camera.id for camera in self._settings.cameras}:
            return  # it was taken away, and this was still on its way
        match seen:
            case Reading():
                self.screen.reading(seen.camera, seen.advice)
            case Scanned():
                self._scanned(seen)
            case Told():
                self._told(seen)
            case Outside():
                with self._guard:
                    self._incidents.see(seen.last)
            case Health():
                with self._guard:
                    self._health[seen.camera] = seen.health
                    self._detector = seen.detector or self._detector
                self.screen.health(seen.camera, seen.health)
            case Footage():
                filmed = self.evidence.film(seen)
                if filmed is not None:
                    self._filmed(filmed)
            case Still():
                self._stills[seen.camera] = seen
                self.screen.still(seen.camera, seen.jpeg, seen.seen_at)
                if self.stills and self._watch_of(seen.camera) == "traffic":
                    self.stills.put(seen)

    def _watch_of(self, name: str) -> str | None:
        return next((camera.watch for camera in self._settings.cameras if camera.id == name), None)

    # What was seen

    def _scanned(self, seen: Scanned) -> None:
        whose = (seen.camera, seen.payload_key)
        with self._guard:
            scan = self._newest.get(whose)
            if seen.repeat and scan is not None and self._verdicts.knows(scan):
                paintings = [painting] if (painting := self._verdicts.again(scan, seen.repeat)) else []
                self._show(paintings)
                return
            snapshot = self.snapshots.current if self.snapshots else None
            believed = clock.claim(seen.seen_at)
            seen = msgspec.structs.replace(seen, code=_confirmed(seen, snapshot, believed))
            scan = uuid7()
            self._newest[whose] = scan
            self._newest.move_to_end(whose)
            holder = {outcome: masked(seen.code, outcome) for outcome in Outcome}
            self._cards[scan] = _Card(msgspec.structs.replace(seen, code=Pass(kind=seen.code.kind)), holder)
            while len(self._cards) > _CARDS:
                self._cards.popitem(last=False)
            while len(self._newest) > _CARDS:
                self._newest.popitem(last=False)
            local = decide(seen.code, snapshot, seen.seen_at, place=self._settings.site, clock=believed, scan=scan)
            paintings = self._verdicts.ask(scan, local, now=time.monotonic(), link_up=self.link.is_up)
        identity = _identity(seen.code)
        data = events.PassScanned(
            kind=seen.code.kind,
            lane=seen.lane or UNSET,
            stop=seen.stop or UNSET,
            sealed=UNSET
            if identity is None
            else seal.seal(identity, (snapshot and snapshot.seal_key) or self._seal_key),
            facts=seen.code.facts,
            signature=seen.code.signature,
            local=local,
            repeat=seen.repeat,
            px_per_module=UNSET if seen.px_per_module is None else seen.px_per_module,
        )
        self._put(seen.camera, data, seen.seen_at, event=scan)
        with self._guard:
            self._show(paintings)
        self._tick.set()

    def _entered(self, told: Entry) -> None:
        """Somebody without a readable code: asked and kept like a scan."""
        self._scanned(
            Scanned(
                camera=told.camera,
                seen_at=datetime.now(UTC),
                stream_s=0.0,
                lane=None,
                stop=told.stop,
                code=told.code,
                payload_key=secrets.token_bytes(16),
                repeat=0,
                px_per_module=None,
                crop=None,
            )
        )

    def _detailed(self, camera: str, scan: str) -> None:
        self._details += 1
        log.info("the reasons of scan %s were looked at on the screen of %s", scan, camera)

    def _override(self, told: Override, pin: str) -> bool:
        """False: not an officer, or not the PIN. It works offline: the PINs' hashes came with the snapshot."""
        snapshot = self.snapshots.current if self.snapshots else None
        officers = snapshot.officers if snapshot else ()
        if not self._pins.fits(officers, told.officer, pin, now=time.monotonic()):
            return False
        data = events.PassOverridden(scan=told.scan, outcome=told.outcome, reason=told.reason, officer=told.officer)
        self._put(told.camera, data, datetime.now(UTC))
        return True

    def _told(self, seen: Told) -> None:
        kind = events.TYPES.get(seen.event)
        if kind is None or kind in {events.PassScanned, events.PassShown, events.PassOverridden, events.OutboxThinned}:
            raise Broken("an event that is not an eye's")
        data = msgspec.json.decode(seen.raw, type=kind)
        event, dataref = uuid7(), None
        if isinstance(data, events.ZoneBreached) and seen.still is not None:
            dataref = self.evidence.put(seen.still, event=event, camera=seen.camera, breach=data, taken_at=seen.seen_at)
        elif isinstance(data, events.ZoneBreached):
            self.evidence.heard(seen.camera, data)
        with self._guard:
            self._stream_s[seen.camera] = seen.stream_s
            if isinstance(data, events.ZoneBreached):
                self._incidents.take(seen.camera, data, seen.seen_at)
        self._put(seen.camera, data, seen.seen_at, event=event, dataref=dataref)

    def _filmed(self, filmed: Filmed) -> None:
        """The alert of this incident has a film now. A closed incident stays closed."""
        phase: Literal["update", "close"] = "close" if filmed.breach.phase == "close" else "update"
        breach = msgspec.structs.replace(filmed.breach, phase=phase)
        self._put(filmed.camera, breach, datetime.now(UTC), dataref=filmed.dataref)

    def _ended(self, ended: Sequence[Ended]) -> None:
        """What nobody has seen the end of."""
        for one in ended:
            self.evidence.heard(one.camera, one.breach)
            self._put(one.camera, one.breach, one.at)

    def _eye_ended(self, cameras: Sequence[Camera]) -> None:
        """Its cameras see nothing until it is back, and everybody is told."""
        now = datetime.now(UTC)
        names = {camera.id for camera in cameras}
        with self._guard:
            ended = self._incidents.end(names, "restart")
        self._ended(ended)
        for filmed in self.evidence.cut_short(names):
            self._filmed(filmed)
        for camera in cameras:
            with self._guard:
                was = self._health.get(camera.id)
                since = self._stream_s.get(camera.id, 0.0)
                health = events.CameraHealth(
                    state="unknown", reason="eye_restarts", watch=camera.watch, mode=camera.mode, since=now
                )
                self._health[camera.id] = health
            self.screen.health(camera.id, health)
            if was is not None and was.state != "unknown":
                watched = {zone.id: "unknown" for zone in camera.zones}
                status = events.CameraStatus(
                    camera=camera.id,
                    state="unknown",
                    was=was.state,
                    reason="eye_restarts",
                    since=since,
                    watched=watched,
                )
                self._put(camera.id, status, now)

    # What is kept

    def _put(
        self,
        camera: str,
        data: events.Data,
        at: datetime,
        *,
        event: str | None = None,
        dataref: str | None = None,
        settles: Ranges = (),
    ) -> None:
        name = event or uuid7()
        believed = clock.claim(at)

        def make(sequence: int, epoch: str) -> bytes:
            return events.encode(
                events.Event(
                    id=name,
                    site=self._settings.site,
                    edge=self._settings.edge,
                    camera=camera,
                    time=at,
                    clock=believed,
                    sequence=sequence,
                    epoch=epoch,
                    data=data,
                    dataref=dataref,
                )
            )

        measured = isinstance(data, events.CrowdMeasured)
        urgency: Urgency = "history" if measured or isinstance(data, events.OutboxThinned) else "now"
        self.outbox.put(make, urgency, thin=_spared(data), settles=settles).add_done_callback(self._kept)

    def _kept(self, done: "Future[int]") -> None:
        error = done.exception()
        if error is not None and not isinstance(error, Thinned):
            self._lost_events += 1
            log.error("an event could not be kept: %s", type(error).__name__)

    def _committed(self) -> None:
        self.link.wake()

    def _tell_thinned(self, now: float) -> None:
        """Once there is room again, or once a minute while there is none."""
        thinned = self.outbox.thinned
        if not thinned or now - self._told_thinned_at < (_TELL_THINNED_S if self.outbox.is_tight else _FLUSH_S):
            return
        self._told_thinned_at = now
        for kind, all_ranges in thinned.items():
            ranges = all_ranges[:_TOLD_RANGES]
            count = sum(last - first + 1 for first, last in ranges)
            data = events.OutboxThinned(type=kind, ranges=ranges, count=count)
            self._put("gate", data, datetime.now(UTC), settles=ranges)

    # What is shown

    def _answered(self, verdict: events.Verdict) -> None:
        with self._guard:
            painting = self._verdicts.answer(verdict, now=time.monotonic())
            if painting is not None:
                self._show([painting])

    def _snapshot_told(self, notice: events.Notice) -> None:
        if self.snapshots:
            self.snapshots.hear(notice)

    def _snapshot_changed(self) -> None:
        snapshot = self.snapshots.current if self.snapshots else None
        self.screen.carries(None if snapshot is None else snapshot.as_of)

    def _link_changed(self, up: bool) -> None:
        self.screen.link(up, self.outbox.waiting)
        self._tick.set()

    def _keep_time(self) -> None:
        """Paints own answers when their wait is over, and looks after what happens slowly."""
        while not self._closing.is_set():
            now = time.monotonic()
            with self._guard:
                self._show(self._verdicts.due(now=now, link_up=self.link.is_up))
                due = self._verdicts.next_due()
            self.screen.link(self.link.is_up, self.outbox.waiting)
            self._tell_thinned(now)
            pause = _TICK_S if due is None else min(max(0.0, due - time.monotonic()), _TICK_S)
            self._tick.wait(pause)
            self._tick.clear()

    def _show(self, paintings: Sequence[Painting]) -> None:
        """Under the guard, so that the screen gets answers in the order in which they were given."""
        for painting in paintings:
            card = self._cards.get(painting.scan)
            if card is None:
                continue
            seen = card.scanned
            at = datetime.now(UTC)
            self.screen.show(
                Showing(
                    scan=painting.scan,
                    camera=seen.camera,
                    lane=seen.lane,
                    stop=seen.stop,
                    outcome=painting.outcome,
                    reasons=painting.reasons,
                    by=painting.by,
                    holder=card.holder[painting.outcome],
                    kind=seen.code.kind,
                    at=at,
                    repeat=painting.repeat,
                    as_of=painting.as_of,
                    crop=seen.crop,
                )
            )
            if seen.crop is not None:  # from now on it is the screen's, and goes with the answer
                self._cards[painting.scan] = replace(card, scanned=msgspec.structs.replace(seen, crop=None))
            if painting.repeat == 0:
                shown = events.PassShown(
                    scan=painting.scan,
                    outcome=painting.outcome,
                    reasons=painting.reasons,
                    by=painting.by,
                    after_ms=painting.after_ms,
                )
                self._put(seen.camera, shown, at)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise BadDocument(
            f"screen: {host}:{port} cannot be listened on ({error.strerror}); set another port, 0 picks one"
        ) from error


def _kept(path: Path) -> logging.Handler:
    """The newest of what is said, for `edge diagnose`."""
    path.touch(mode=0o600)
    kept = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return kept


def run(settings: EdgeSettings, config: Path) -> None:
    """Serve until SIGTERM or SIGINT. Raises BadDocument for settings that cannot be run."""
    if settings.central is None:
        raise BadDocument(f"{config}:1: central: missing; add it, only replay does without")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with contextlib.closing(_listen(settings.screen.host, settings.screen.port)) as listener:
        try:
            gate = Gate(settings, settings.central, config)
        except InUse as error:
            raise BadDocument(str(error)) from error
        logging.getLogger().addHandler(_kept(Path(settings.data) / LOG))
        web = uvicorn.Server(
            uvicorn.Config(gate.screen.app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        )
        server = threading.Thread(target=web.run, kwargs={"sockets": [listener]}, name="screen")
        server.start()
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        (Path(settings.data) / "screen.url").write_text(url + "\n", encoding="utf-8")
        print(f"screen {url}", flush=True)
        gate.start()
        stop.wait()
        log.info("ending")
        gate.screen.close()  # open streams end, or the server would wait for them
        web.should_exit = True
        gate.close()
        server.join()
