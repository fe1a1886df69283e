"""An officer's PIN at the box itself; what the box fetches is tested with central's side, in tests/central/snapshot."""

from edge.gate.snapshot import Pins
from models.wire.snapshot import Officer, pin_hash

SALT = b"s" * 16
LAN = Officer(name="lan", salt=SALT, hash=pin_hash("482913", SALT))


def test_only_the_officer_with_the_right_pin_is_let_in() -> None:
    pins = Pins()
    assert pins.fits([LAN], "lan", "482913", now=0)
    assert not pins.fits([LAN], "lan", "482914", now=0)
    assert not pins.fits([LAN], "minh", "482913", now=0)
    assert not pins.fits([], "lan", "482913", now=0)


def test_after_five_wrong_pins_nobody_is_let_in_for_a_minute() -> None:
    pins = Pins()
    for second in range(5):
        assert not pins.fits([LAN], "lan", "000000", now=second)
    assert not pins.fits([LAN], "lan", "482913", now=63)
    assert pins.fits([LAN], "lan", "482913", now=64)
