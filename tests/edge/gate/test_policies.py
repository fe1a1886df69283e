"""A policy is used only under central's signature; whatever comes instead leaves the ones before in use."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.gate.policies import Policies
from models.wire.policy import sign, verify
from models.wire.snapshot import Untrusted

CENTRAL, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def document(name: str, **more: Any) -> bytes:
    row = {"id": "r", "when": {"var": "status_f0"}, "outcome": "FAIL", "reason": "f0"}
    told = {"name": name, "effective_from": "2021-09-21T06:00:00+07:00", "rows": [row]}
    return json.dumps(told | more).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


OLD, NEW = document("old"), document("new")


class Central:
    """What it gives out, by hash."""

    def __init__(self) -> None:
        self.given = {sha256(one): sign(one, CENTRAL) for one in (OLD, NEW)}
        self.asked: list[str] = []

    def ask(self, name: str) -> bytes:
        self.asked.append(name)
        if name not in self.given:
            raise Untrusted("not there")
        return self.given[name]


@pytest.fixture
def central() -> Central:
    return Central()


def made(folder: Path, central: Central) -> Policies:
    return Policies(folder, CENTRAL.public_key(), central.ask)


def names(policies: Policies) -> list[str]:
    return sorted(policy.name for policy in policies.current)


def test_a_policy_is_fetched_once_and_lies_under_its_hash(tmp_path: Path, central: Central) -> None:
    policies = made(tmp_path, central)
    assert policies.update([sha256(OLD)])
    assert not policies.update([sha256(OLD)])
    assert policies.update([sha256(NEW)])
    assert names(policies) == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == [f"{sha256(NEW)}.policy"]
    assert central.asked == [sha256(OLD), sha256(NEW)]
    again = made(tmp_path, central)
    again.take_up()
    assert names(again) == ["new"]
    assert again.current[0].id == sha256(NEW)


@pytest.mark.parametrize(
    "pushed",
    [
        sign(NEW, STRANGER),
        sign(document("another"), CENTRAL),
        sign(NEW, CENTRAL)[:-9],
        b"junk",
        None,
    ],
)
def test_a_bad_push_leaves_the_one_before_in_use(tmp_path: Path, central: Central, pushed: bytes | None) -> None:
    policies = made(tmp_path, central)
    policies.update([sha256(OLD)])
    central.given.pop(sha256(NEW))
    if pushed is not None:
        central.given[sha256(NEW)] = pushed
    assert not policies.update([sha256(NEW)])
    assert (names(policies), policies.refused) == (["old"], 1)
    central.given[sha256(NEW)] = sign(NEW, CENTRAL)
    assert policies.update([sha256(NEW)])
    assert names(policies) == ["new"]


def test_one_that_this_release_cannot_read_is_refused_and_the_good_ones_of_a_push_count(
    tmp_path: Path, central: Central
) -> None:
    future = document("future", telepathy=True)
    central.given[sha256(future)] = sign(future, CENTRAL)
    policies = made(tmp_path, central)
    policies.update([sha256(OLD)])
    assert policies.update([sha256(future), sha256(NEW)])
    assert names(policies) == ["new", "old"]


def test_what_was_changed_on_the_disk_is_left_out_and_fetched_again(tmp_path: Path, central: Central) -> None:
    policies = made(tmp_path, central)
    policies.update([sha256(OLD)])
    (tmp_path / f"{sha256(OLD)}.policy").write_bytes(sign(OLD, STRANGER))
    again = made(tmp_path, central)
    again.take_up()
    assert again.current == ()
    again.update([sha256(OLD)])
    assert names(again) == ["old"]


def test_no_push_of_nothing_takes_the_last_policy_away(tmp_path: Path, central: Central) -> None:
    policies = made(tmp_path, central)
    policies.update([sha256(OLD)])
    assert not policies.update([])
    assert names(policies) == ["old"]


def test_a_signature_over_something_else_of_central_is_none_over_a_policy() -> None:
    other = json.loads(sign(OLD, CENTRAL))
    with pytest.raises(Untrusted):
        verify(json.dumps(other | {"signature": json.loads(sign(NEW, CENTRAL))["signature"]}).encode(),
               CENTRAL.public_key(), sha256=sha256(OLD))  # fmt: skip
