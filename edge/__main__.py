"""The edge box's command line: `python -m edge run CONFIG` and what else `--help` names."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from edge.settings import EdgeSettings
from models.document import BadDocument, load
from models.optics import SYMBOLS, View, prospect

_START = datetime(2021, 9, 21, 6, 0, tzinfo=UTC)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge", description="One box with cameras: it sees, decides, keeps and tells."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="serve the cameras of CONFIG until SIGTERM")
    run.add_argument("config", type=Path)
    replay = verbs.add_parser(
        "replay", help="print the events of a recorded clip as JSON lines, the same ones every time"
    )
    track = verbs.add_parser("track", help="write who is seen in a recorded clip as MOT files, for others to score")
    for verb in (replay, track):
        verb.add_argument("clip", type=Path)
        verb.add_argument("--config", type=Path, required=True)
        verb.add_argument("--camera", help="which camera of the config; not needed when there is one")
    track.add_argument(
        "--mot",
        type=Path,
        required=True,
        metavar="OUT",
        help="writes OUT.det.txt (boxes with scores) and OUT.txt (tracks)",
    )
    replay.add_argument("--start", type=_moment, default=_START, help="when the clip begins (default %(default)s)")
    doctor = verbs.add_parser("doctor", help="look at what each camera really sends, and say what to change on it")
    doctor.add_argument("config", type=Path, help="- for one camera as JSON from the gate, which answers central so")
    doctor.add_argument("--lang", choices=("vi", "en"), default="en")
    doctor.add_argument("camera", nargs="?", help="only this one")
    bundle = verbs.add_parser("diagnose", help="findings, configuration without secrets and blurred stills in one file")
    bundle.add_argument("config", type=Path)
    bundle.add_argument("--out", type=Path, default=Path("diagnosis.tar.gz"))
    optics = verbs.add_parser("optics", help="which codes a camera can read: from its resolution, lens and distance")
    optics.add_argument("--width", type=int, default=1920, metavar="PX", help="of the picture (default %(default)s)")
    optics.add_argument("--lens", type=float, default=60.0, metavar="DEGREES", help="horizontal angle of view")
    optics.add_argument("--distance", type=float, default=0.5, metavar="M", help="from the lens to the code")
    optics.add_argument("--json", action="store_true", help="a JSON line for each kind of code")
    enrol = verbs.add_parser("enrol", help="make this box one of the city's, by a one-time code")
    enrol.add_argument("https", help="central's address, https://host:port")
    enrol.add_argument("code", help="what `python -m central invite SITE EDGE` printed")
    enrol.add_argument("--folder", type=Path, default=Path("data/edge/tls"))
    read = verbs.add_parser("read", help="print the codes in pictures, a JSON line for each picture")
    read.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    return parser


# Each verb imports what it needs: a gate never loads OpenCV, a replay never loads a web server.


def _run(config: Path) -> None:
    from edge.gate import app  # noqa: PLC0415  (see above)

    app.run(load(config, EdgeSettings), config)


def _replay(clip: Path, config: Path, camera: str | None, start: datetime) -> None:
    from edge.replay import Unreplayable, replay  # noqa: PLC0415  (see above)
    from models.vision.detector import Unusable  # noqa: PLC0415  (see above)

    try:
        for line in replay(clip, load(config, EdgeSettings), camera, start):
            sys.stdout.buffer.write(line + b"\n")
    except (Unreplayable, Unusable) as error:
        raise BadDocument(str(error)) from error
    finally:
        sys.stdout.flush()


def _track(clip: Path, config: Path, camera: str | None, mot: Path) -> None:
    from edge.replay import Unreplayable  # noqa: PLC0415  (see above)
    from edge.track import track  # noqa: PLC0415  (see above)
    from models.vision.detector import Unusable  # noqa: PLC0415  (see above)

    try:
        track(clip, load(config, EdgeSettings), camera, mot)
    except (Unreplayable, Unusable) as error:
        raise BadDocument(str(error)) from error


def _enrol(https: str, code: str, folder: Path) -> int:
    from edge.gate.enrol import Refused, enrol  # noqa: PLC0415  (see above)

    try:
        print(enrol(https, code, folder), end="")
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _read(images: Sequence[Path]) -> int:
    from edge.stills import read  # noqa: PLC0415  (see above)

    faults = 0
    for image in images:
        found = read(image)
        faults += "error" in found
        print(json.dumps(found, ensure_ascii=False), flush=True)
    return 1 if faults else 0


def _optics(width_px: int, lens_degrees: float, distance_m: float, *, as_json: bool) -> None:
    try:
        view = View(width_px=width_px, lens_degrees=lens_degrees, distance_m=distance_m)
    except ValueError as error:
        raise BadDocument(f"optics: {error}") from error
    if not as_json:
        print(f"{'code':10}{'px/module':>10}  {'verdict':12}advice")
    for kind in SYMBOLS:
        found = prospect(kind, view)
        if as_json:
            print(json.dumps(asdict(found)))
            continue
        change = (
            f"hold it within {found.farthest_m:.2f} m, or take a lens of {found.widest_degrees:.0f} degrees at most; "
            if found.verdict != "readable"
            else ""
        )
        shutter = f"exposure 1/{round(1 / found.longest_exposure_s)} s or shorter"
        print(f"{kind:10}{found.px_per_module:10.1f}  {found.verdict:12}{change}{shutter}")


def _doctor(config: Path, only: str | None, lang: str) -> int:
    from edge import doctor  # noqa: PLC0415  (see above)

    if str(config) == "-":
        os.nice(5)  # the cameras that are watched go first
        sys.stdout.buffer.write(doctor.probe(sys.stdin.buffer.read()))
        return 0
    cameras = [camera for camera in load(config, EdgeSettings).cameras if only in {None, camera.id}]
    if not cameras:
        raise BadDocument(f"{config}: no camera {only!r}; give one that is in the file")
    seen = 0
    for camera in cameras:
        found, _ = doctor.examine(camera)
        seen += found.width > 0
        print("\n".join(doctor.lines(found, camera, lang)), flush=True)
    return 0 if seen == len(cameras) else 1


def _diagnose(config: Path, out: Path) -> None:
    from edge import doctor  # noqa: PLC0415  (see above)

    doctor.bundle(load(config, EdgeSettings), out)
    print(out)


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: C901, PLR0911  (a verb each)
    """The exit status: 1 when a picture could not be read, 2 for a document or clip that cannot be used."""
    given = _arguments().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        match given.verb:
            case "run":
                _run(given.config)
            case "replay":
                _replay(given.clip, given.config, given.camera, given.start)
            case "track":
                _track(given.clip, given.config, given.camera, given.mot)
            case "doctor":
                return _doctor(given.config, given.camera, given.lang)
            case "optics":
                _optics(given.width, given.lens, given.distance, as_json=given.json)
            case "diagnose":
                _diagnose(given.config, given.out)
            case "enrol":
                return _enrol(given.https, given.code, given.folder)
            case _:
                return _read(given.images)
    except BadDocument as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read us (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
