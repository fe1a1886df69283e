import pytest

from central.passes.rules import pin_fault


@pytest.mark.parametrize(
    ("pin", "fault"),
    [
        ("482913", None),
        ("12345", "officers.pin_short"),
        ("1234567890123", "officers.pin_short"),
        ("48291a", "officers.pin_short"),
        ("٤٨٢٩١٣", "officers.pin_short"),
        ("123456", "officers.pin_plain"),
        ("987654", "officers.pin_plain"),
        ("111222", "officers.pin_plain"),
    ],
)
def test_a_pin_is_long_enough_and_no_run(pin: str, fault: str | None) -> None:
    assert pin_fault(pin) == fault
