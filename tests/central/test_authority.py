"""The city's authority: what it signs, and that a revocation always counts."""

import ssl
from pathlib import Path

import pytest

from central.authority import Authority
from models.wire import tls


def shakes_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Without a socket: both ends' bytes are carried over by hand."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    waiting = [here, there]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return not waiting


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue("central", tmp_path, ["localhost"])
    return made


def test_each_of_many_revocations_in_one_second_counts_at_the_next_handshake(
    tmp_path: Path, authority: Authority
) -> None:
    server = tls.context(tmp_path / "ca.pem", tmp_path / "central.pem", tmp_path / "central.key", serves=True)
    for name in (f"edge-{number}" for number in range(5)):
        authority.issue(name, tmp_path)
        tls.revoke(server, tmp_path / "crl.pem")
        client = tls.context(tmp_path / "ca.pem", tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        assert shakes_hands(server, client)
        assert authority.revoke(name) == 1
        tls.revoke(server, tmp_path / "crl.pem")
        assert not shakes_hands(server, client)


def test_revoking_again_or_nobody_revokes_none(authority: Authority, tmp_path: Path) -> None:
    authority.issue("edge-01", tmp_path)
    assert [authority.revoke("edge-01"), authority.revoke("edge-01"), authority.revoke("nobody")] == [1, 0, 0]
