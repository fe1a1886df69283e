"""MQTT topics. The edge's id is its certificate's CN and its MQTT user; the camera is in the envelope."""

from typing import NamedTuple

CENTRAL_STATE = "v1/central/state"
"""Retained, with a last will: is anybody there to receipt."""
EVENTS = "$share/central/v1/+/+/event"
STATES = "v1/+/+/state"


class Box(NamedTuple):
    """One edge box and its topics."""

    site: str
    edge: str

    def topic(self, leaf: str) -> str:
        return f"v1/{self.site}/{self.edge}/{leaf}"

    @property
    def event(self) -> str:
        """Up, QoS 1: batches of events, content type `application/cloudevents-batch+json`."""
        return self.topic("event")

    @property
    def receipt(self) -> str:
        """Down, QoS 1: what central has committed."""
        return self.topic("receipt")

    @property
    def state(self) -> str:
        """Up, QoS 1, retained: birth and last will."""
        return self.topic("state")

    @property
    def verdict(self) -> str:
        """Down, QoS 1, expiry 2 s, correlated by event id."""
        return self.topic("verdict")

    @property
    def live(self) -> str:
        """Up, QoS 0, expiry 2 s."""
        return self.topic("live")

    @property
    def config(self) -> str:
        """Down, retained: the signed configuration document."""
        return self.topic("config")

    @property
    def snapshot(self) -> str:
        """Down, retained: the present registry snapshot's version."""
        return self.topic("snapshot")

    @property
    def command(self) -> str:
        """Down, expiry 30 s."""
        return self.topic("command")

    @property
    def answer(self) -> str:
        """Up, expiry 30 s, correlated with its command."""
        return self.topic("answer")


def box_of(topic: str) -> Box:
    """The box that a topic `v1/<site>/<edge>/…` belongs to. Raises ValueError for any other topic."""
    parts = topic.split("/")
    if len(parts) != 4 or parts[0] != "v1" or not all(parts):
        raise ValueError(f"not a box's topic: {topic}")
    return Box(parts[1], parts[2])
