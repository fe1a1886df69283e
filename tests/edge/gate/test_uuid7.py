from uuid import UUID

from edge.gate.uuid7 import uuid7


def test_ids_sort_by_time_and_say_their_version() -> None:
    ids = [uuid7(n * 1_000_000_000) for n in range(1, 50)]
    assert ids == sorted(ids)
    assert {(UUID(name).version, UUID(name).variant) for name in ids} == {(7, "specified in RFC 4122")}
