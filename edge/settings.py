"""The box's YAML file. It belongs to the box; central's editor sends a whole new one."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from models.document import Section
from models.hours import Hours

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
"""An id in topics and paths: lower case letters, digits, dashes."""
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Point = tuple[Fraction, Fraction]
GUARDED = frozenset({"stay-inside", "keep-out", "exit-line"})
"""Kinds of zones whose line nobody may cross."""


def _simple(polygon: tuple[Point, ...]) -> tuple[Point, ...]:
    """Refuse a polygon whose sides cross: nobody can say what is inside it."""

    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    corners = len(polygon)
    for i in range(corners):
        a, b = polygon[i], polygon[(i + 1) % corners]
        for j in range(i + 2, corners - (i == 0)):
            c, d = polygon[j], polygon[(j + 1) % corners]
            if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
                raise ValueError(f"sides {i + 1} and {j + 1} cross; draw the corners in order around the zone")
    return polygon


class Zone(Section):
    id: Name
    kind: Literal["stay-inside", "keep-out", "exit-line", "lane", "count", "count-line", "ignore"]
    polygon: Annotated[tuple[Point, ...], Field(min_length=2), AfterValidator(_simple)]
    """Corners in order around the zone, 0..1 of the picture; two for a line."""
    band_heights: Annotated[float, Field(ge=0.0, le=2.0)] = 0.2
    """How far beyond the line a foot must be, in body heights: nobody stands still to a pixel."""
    hold_seconds: Annotated[float, Field(ge=0.0, le=60.0)] = 1.0
    """How long it must stay there before it is a breach."""
    free: tuple[Hours, ...] = ()
    """When it may be left, or entered where it is keep-out: yard time, the cleaners' hour. Whoever is still there when
    it ends is told then."""
    exits: tuple[tuple[Point, Point], ...] = ()
    """Lines that staff may cross, of two points each: whoever leaves there is written down, and nobody is alarmed."""
    levels: tuple[int, int, int, int] = (5, 10, 20, 40)
    """Bodies from which a street is Thưa, Vừa, Đông, Quá đông, where the camera names no `limits`."""
    metres_per_pixel: Annotated[float, Field(gt=0.0)] | None = None
    """For a view from straight above; else `ground`."""
    ground: tuple[tuple[Fraction, Fraction, float, float], ...] = ()
    """Four points of the picture, 0..1, and where they lie on the ground in metres: [x, y, X, Y]."""
    scale: Annotated[float, Field(gt=0.1, lt=10.0)] = 1.0
    """What a count is multiplied by: fitted on the traffic desk from a few counts by eye."""

    @model_validator(mode="after")
    def _four_points(self) -> "Zone":
        if len(self.ground) not in {0, 4}:
            raise ValueError("ground needs four points; measure the corners of a rectangle on the street")
        return self

    @model_validator(mode="after")
    def _permits_where_guarded(self) -> "Zone":
        if (self.free or self.exits) and self.kind not in GUARDED:
            raise ValueError(
                f"free and exits belong to {', '.join(sorted(GUARDED))}; take them out of this {self.kind}"
            )
        return self

    @model_validator(mode="after")
    def _enough_corners(self) -> "Zone":
        needed = 2 if self.kind in {"exit-line", "count-line"} else 3
        if len(self.polygon) < needed:
            raise ValueError(f"a {self.kind} zone needs at least {needed} corners")
        return self


class Camera(Section):
    id: Name
    source: str
    """rtsp://…, http(s)://… (a stream, HLS, or one picture that is asked for again and again), /dev/video0, a file, or
    a folder of stills. Where the camera has a small stream, that one."""
    every_seconds: Annotated[float, Field(ge=0.1, le=600.0)] = 1.0
    """How often a single picture is asked for, or the next one of a folder taken."""
    main: str | None = None
    """The camera's large stream, where `source` is its small one: clips are cut from it, nothing of it is decoded."""
    transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP brings the pictures; udp loses some on a busy network, tcp is late instead."""
    answer_seconds: Annotated[float, Field(ge=0.5, le=30.0)] = 2.0
    """How long the camera may take to answer; more for one behind a slow line."""
    frames: Literal["auto", "all", "keys"] = "auto"
    """Which pictures are decoded. keys: key frames alone, a tenth of the work, where one comes every 2 s; auto takes
    them for traffic that is counted by a detector."""
    enabled: bool = True
    """false: the camera stays in the file and on the screens, and nothing is asked of it."""
    watch: Literal["checkpoint", "quarantine", "traffic"]
    mode: Literal["trial", "armed", "maintenance"] = "armed"
    person_px: tuple[int, int] = (60, 200)
    """Expected person height in pixels, at the far and at the near edge."""
    detector: str = "auto"
    """auto | motion | a card's name (yolox-nano, picodet-s) | the path of an .onnx (family by card, else by shapes)."""
    limits: str | None = None
    """Traffic: the file of a directive's thresholds, as configs/limits/directive-15.json; else its zones' levels."""
    hold_seconds: Annotated[float, Field(ge=0.5, le=600.0)] = 10.0
    """Checkpoint: the same code within this time is a repeat, not a new scan."""
    second_reader: bool = False
    """Checkpoint: zbar (`apt-get install libzbar0`) is shown what stays unread, to say where a code is; never what it
    says."""
    stop: Literal["person", "vehicle"] = "person"
    """Checkpoint, who stops there: a vehicle's codes, until the lane is empty again, are one stop with one answer."""
    zones: tuple[Zone, ...] = ()

    def is_same_stream(self, other: "Camera") -> bool:
        """Whether the stream of one can go on as the other's: what else differs may change while it runs."""
        names = ("source", "main", "transport", "answer_seconds", "every_seconds", "enabled", "watch", "second_reader")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @model_validator(mode="after")
    def _stops_are_at_checkpoints(self) -> "Camera":
        if self.stop == "vehicle" and self.watch != "checkpoint":
            raise ValueError(f"stop: vehicle is for a checkpoint; remove it, or change watch: {self.watch}")
        return self

    @model_validator(mode="after")
    def _zones_named_once(self) -> "Camera":
        names = [zone.id for zone in self.zones]
        if len(names) != len(set(names)):
            raise ValueError("two zones have the same id; name each once")
        return self


class Tls(Section):
    """Files in PEM, as `python -m edge enrol` or scripts/pki leaves them."""

    ca: str
    certificate: str
    key: str


class Central(Section):
    broker: str
    """mqtt://host:port, or mqtts://host:port."""
    http: str
    """Where evidence goes: http(s)://host:port."""
    seal_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}=?$")]
    """Central's public key (base64url, 32 bytes) that identities are sealed to: `python -m central keys` prints it."""
    sign_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}=?$")] | None = None
    """Central's other public key: what the box decides with offline must be signed by it. Without it the box takes no
    snapshot, and decides nothing by itself."""

    stills_seconds: Annotated[float, Field(ge=1.0, le=600.0)] | None = 10.0
    """How often the traffic desk gets a new picture of each street; null: never."""
    tls: Tls | None = None
    """For mqtts:// and https://: the box's own certificate, and the authority that central's must be of."""

    @model_validator(mode="after")
    def _addresses(self) -> "Central":
        for value, schemes in ((self.broker, {"mqtt", "mqtts"}), (self.http, {"http", "https"})):
            parts = urlsplit(value)
            if parts.scheme not in schemes or not parts.hostname:
                raise ValueError(f"{value!r} is no address; write {' or '.join(sorted(schemes))}://host:port")
        return self


class Screen(Section):
    host: str = "127.0.0.1"
    """Beyond loopback each screen is paired first: it shows six digits, which are typed in at the box, on /screens."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 picks a free one; the address is printed and written to `<data>/screen.url`."""
    wait_seconds: Annotated[float, Field(ge=0.0, le=5.0)] = 0.25
    """How long a scan waits for central before the gate's own answer is painted; with the link down, not at all."""


class EdgeSettings(Section):
    site: Name
    edge: Name
    data: str = "data/edge"
    """Folder of the outbox, of evidence that waits for central, and of the snapshot, which is encrypted."""
    outbox_megabytes: Annotated[int, Field(ge=1, le=1 << 20)] = 512
    """Events that wait for central. Beyond four fifths of it the oldest measurements make room, then the words of a
    camera that says the same again; a pass or a breach never does."""
    memory: str = "/dev/shm"  # noqa: S108  (memory, not a disk: that is the point)
    """A file system in memory. The key that opens the snapshot lies there: it outlives a restart of the program, not a
    loss of power. Anything but tmpfs is not used."""
    eyes: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes that share the cameras; one a core when not given."""
    central: Central | None = None
    """Only replay does without."""
    screen: Screen = Screen()
    cameras: Annotated[tuple[Camera, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _cameras_named_once(self) -> "EdgeSettings":
        names = [camera.id for camera in self.cameras]
        if len(names) != len(set(names)):
            raise ValueError("two cameras have the same id; name each once")
        return self
