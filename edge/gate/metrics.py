"""The box's state as Prometheus reads it. Names of cameras are labels; nothing in it names a person."""

from collections.abc import Iterator

from msgspec import UNSET

from models.wire.events import EdgeState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CAMERA_COUNTERS = (
    "frames", "dropped", "corrupt", "late", "shed", "connects",
    "given_up", "looks", "spared", "stale", "crowded", "unfilmed",
)  # fmt: skip


def render(state: EdgeState) -> str:
    return "\n".join(_lines(state)) + "\n"


def _lines(state: EdgeState) -> Iterator[str]:
    if state.waiting is not UNSET:
        yield "# TYPE cuao_events_waiting gauge"
        yield f"cuao_events_waiting {state.waiting}"
    yield from _machine(state)
    counters = {} if state.counters is UNSET else state.counters
    for name, value in counters.items():
        yield f"# TYPE cuao_{name} untyped"
        yield f"cuao_{name} {value}"
    cameras = {} if state.cameras is UNSET else state.cameras
    for name in _CAMERA_COUNTERS:
        yield f"# TYPE cuao_camera_{name}_total counter"
        for camera, health in cameras.items():
            yield f'cuao_camera_{name}_total{{camera="{camera}"}} {getattr(health, name)}'
    for name in ("fps", "frame_age_s", "late_s"):
        yield f"# TYPE cuao_camera_{name} gauge"
        for camera, health in cameras.items():
            value = getattr(health, name)
            if value is not UNSET:
                yield f'cuao_camera_{name}{{camera="{camera}"}} {value}'
    yield "# TYPE cuao_camera_state gauge"
    for camera, health in cameras.items():
        step = "full" if health.step is UNSET else health.step
        yield f'cuao_camera_state{{camera="{camera}",state="{health.state}",step="{step}"}} 1'


def _machine(state: EdgeState) -> Iterator[str]:
    for name in ("up_s", "load", "memory", "disk", "celsius"):
        if state.machine is not UNSET and (value := getattr(state.machine, name)) is not UNSET:
            yield f"# TYPE cuao_machine_{name} gauge"
            yield f"cuao_machine_{name} {value}"
