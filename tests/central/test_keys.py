"""Keys change while the city runs: two sealing keys are live, and no replica needs a restart to open the newer one."""

from pathlib import Path

import pytest

from central import keys
from models.wire.seal import Identity, Unopenable, seal

WHO = Identity(ids=(("cccd", "001080000001"),))


def test_after_a_change_both_keys_open_and_a_replica_that_ran_on_finds_the_new_one(tmp_path: Path) -> None:
    running = keys.load(tmp_path)
    before = seal(WHO, running.public)
    kept = keys.new_sealing_key(tmp_path)
    after = seal(WHO, keys.sealing_key(tmp_path))
    assert after.partition(".")[0] != before.partition(".")[0]
    for replica in (running, keys.load(tmp_path)):
        assert [replica.open(sealed) for sealed in (before, after)] == [WHO, WHO]
    kept.unlink()
    with pytest.raises(Unopenable, match="not ours"):
        keys.load(tmp_path).open(before)


def test_what_is_sealed_to_strangers_stays_closed(tmp_path: Path) -> None:
    with pytest.raises(Unopenable):
        keys.load(tmp_path / "ours").open(seal(WHO, keys.load(tmp_path / "theirs").public))
