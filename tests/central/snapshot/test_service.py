"""Central builds, a gate fetches over HTTP: the same answers on both sides, and nothing for whoever copies a disk."""

import asyncio
import hashlib
import io
import os
import shutil
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncEngine

from central.alerts.tables import alert
from central.inbox.intake import Desk
from central.inbox.link import Link as CentralLink
from central.keys import BadKey, new_sealing_key, sealing_key, trusted
from central.passes.tables import decision
from central.registry.rules import Row, Told
from central.registry.service import take_rows
from central.snapshot.routes import routes
from central.snapshot.rules import Carry
from central.snapshot.service import Notices, Order, _Files, _publish, build, is_due, present
from edge.gate.link import Link
from edge.gate.outbox import Outbox
from edge.gate.snapshot import Snapshots, Unusable
from edge.gate.verdict import decide
from models.passes import city_pass, revocation, trust
from models.passes.city_pass import CityPass
from models.passes.classify import classify
from models.passes.facts import Value
from models.passes.outcome import Outcome
from models.passes.policy import load as load_policy
from models.passes.scan import Pass
from models.passes.trust import Signer
from models.wire import events
from models.wire.events import PassScanned, PassShown
from models.wire.seal import Identity, seal
from models.wire.snapshot import Untrusted
from models.wire.topics import Box
from tests.central.city import City
from tests.models.passes.codes import EC_KEY, certificate_of

BOX = Box("cp-014", "edge-01")
AN, BINH, CHI = "001080000001", "001080000002", "001080000003"
STRANGER = "001080000009"
NOW = datetime.now(UTC).replace(microsecond=0)


def tell(city: City, number: str, *told: Told, ward: str = "Ba Đình", name: str = "Nguyễn Văn An") -> None:
    row = Row((("cccd", number), ("qid", f"q{number}")), name, "1980-02-01", "male", ward, told)
    city.run(lambda engine: take_rows(engine, city.keys, {1: row}, "test", datetime.now(UTC)))


def declared(hours: float = 1) -> Told:
    return Told("declared_at", NOW - timedelta(hours=hours))


def code(number: str, name: str = "NGUYEN VAN AN", kind: str = "cccd") -> Pass:
    return Pass(kind="cccd", ids=((kind, number),), name=name, birth_year=1980)


class Town:
    """Central's snapshot room behind a real socket, and one gate."""

    def __init__(self, city: City, folder: Path, url: str, carry: Carry) -> None:
        policy = (city.root / "configs/policies/directive-22.json").read_bytes()
        self.city = city
        self.order = Order(
            database=city.url, data=str(folder.parent / "keys"), carry={BOX.site: carry}, common=(("policy", policy),)
        )
        self.url = url
        self.folder = folder
        self.memory = Path("/dev/shm") / f"cua-o-test-{folder.parent.name}"
        self.memory.mkdir(exist_ok=True)
        self.gates: list[Snapshots] = []

    def gate(self, folder: Path | None = None, memory: Path | None = None, *, sign_key: str | None = None) -> Snapshots:
        key = urlsafe_b64decode((sign_key or self.city.keys.sign_text) + "=")
        made = folder or self.folder
        gate = Snapshots(made, self.url, key, BOX, memory=memory or self.memory, on_change=lambda: None)
        self.gates.append(gate)
        return gate

    def build(self) -> None:
        async def due(engine: AsyncEngine) -> bool:
            return await is_due(engine, self.order)

        assert self.city.run(due)
        thread = threading.Thread(target=build, args=(self.order,))
        thread.start()
        thread.join()
        assert not self.city.run(due)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def town(city: City, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Town]:
    carry: Carry = getattr(request, "param", "all")
    app = FastAPI()
    app.include_router(routes(tmp_path / "keys" / "snapshots", city.keys, {BOX.site: carry}))
    with serving(app) as url:
        made = Town(city, tmp_path / "gate", url, carry)
        yield made
        for gate in made.gates:
            gate.close()
        shutil.rmtree(made.memory)


def answer(gate: Snapshots, number: str, *, at: datetime | None = None, **code_of: str) -> tuple[str, tuple[str, ...]]:
    local = decide(code(number, **code_of), gate.current, at or datetime.now(UTC), place=BOX.site)
    return str(local.outcome), local.reasons


def test_a_gate_answers_as_central_would(town: Town) -> None:
    tell(town.city, AN, declared())
    tell(town.city, BINH, declared(100))
    tell(town.city, CHI, declared(), Told("status_f0", value=True))
    town.build()
    gate = town.gate()
    gate.renew()
    assert answer(gate, AN) == ("PASS", ())
    assert answer(gate, f"q{AN}", kind="qid") == ("PASS", ())
    assert answer(gate, BINH) == ("CHECK", ("declaration_expired",))
    assert answer(gate, CHI) == ("FAIL", ("f0",))
    assert answer(gate, STRANGER) == ("CHECK", ("unknown",))
    assert answer(gate, AN, name="TRAN THI BINH") == ("CHECK", ("unknown",))
    assert answer(gate, AN, at=NOW + timedelta(hours=30)) == ("CHECK", ("stale_data",))
    assert answer(gate, CHI, at=NOW + timedelta(hours=30))[0] == "CHECK"


@pytest.mark.parametrize("town", [("Ba Đình",)], indirect=True)
def test_a_gate_carries_its_wards_and_whoever_must_not_pass_anywhere(town: Town) -> None:
    tell(town.city, AN, declared())
    tell(town.city, BINH, declared(), ward="Đống Đa")
    tell(town.city, CHI, declared(), Told("order_active", "home-7"), ward="Đống Đa")
    town.build()
    gate = town.gate()
    gate.renew()
    assert answer(gate, AN) == ("PASS", ())
    assert answer(gate, BINH) == ("CHECK", ("no_data",))
    assert answer(gate, CHI) == ("FAIL", ("order_elsewhere",))


def test_only_what_changed_is_built_and_fetched_again(town: Town) -> None:
    tell(town.city, AN, declared())
    town.build()
    gate = town.gate()
    gate.renew()
    before = present(town.order.folder)
    assert before
    (scope,) = (scope for name, scope in before.scopes.items() if name == "all")
    town.city.run(lambda engine: _flag(engine, town.city))
    town.build()
    gate.renew()
    after = present(town.order.folder)
    assert after
    assert after.scopes["all"].base == scope.base
    assert after.scopes["all"].delta
    assert answer(gate, AN) == ("FAIL", ("f1",))


async def _flag(engine: AsyncEngine, city: City) -> None:
    from central import db
    from central.registry.rules import Line
    from central.registry.service import write

    async with db.writing(engine) as connection:
        await write(
            connection,
            city.keys.key("cccd", AN),
            [Line("status_f1", value=True, from_=NOW)],
            source="test",
            now=datetime.now(UTC),
        )


def test_a_new_policy_reaches_gates_by_itself_and_a_bad_one_leaves_the_last_in_use(town: Town) -> None:
    tell(town.city, AN, declared())
    town.build()
    gate = town.gate()
    gate.renew()
    before = gate.current
    assert before
    old = before.policies[0].id
    strict = (town.city.root / "configs/policies/directive-16.json").read_bytes()
    town.order = replace(town.order, common=(*town.order.common, ("policy", strict)))
    town.build()
    gate.renew()
    assert gate.current
    new = next(policy.id for policy in gate.current.policies if policy.id != old)
    assert new == hashlib.sha256(strict).hexdigest()
    assert (town.folder.with_name("policies") / f"{new}.policy").exists()
    # a release that this gate does not understand: the registry goes on, and so does the policy before
    future = strict.replace(b'"rows"', b'"telepathy": true, "rows"', 1)
    built = present(town.order.folder)
    assert built
    kept = _Files(town.order.folder, town.city.keys, built.kinds, NOW).wrap("policy", io.BytesIO(future))
    common = {digest: part for digest, part in built.common.items() if part.part.kind != "policy"}
    _publish(
        town.order.folder,
        msgspec.structs.replace(built, common=common | {hashlib.sha256(future).hexdigest(): kept}),
    )
    gate.renew()
    assert {policy.id for policy in gate.current.policies} == {old, new}
    assert gate.policies.refused == 1
    again = town.gate()
    again._take_up()
    assert again.current
    assert {policy.id for policy in again.current.policies} == {old, new}


@pytest.mark.service
def test_a_gate_is_told_of_a_new_snapshot_and_need_not_ask(town: Town, mosquitto: Any, tmp_path: Path) -> None:
    """Central's end and the gate's end of a real broker; the gate by itself would ask once an hour."""
    tell(town.city, AN, declared())
    town.build()
    key = urlsafe_b64decode(town.city.keys.sign_text + "=")
    gate = Snapshots(town.folder, town.url, key, BOX, memory=town.memory, on_change=lambda: None, every_s=3600.0)
    town.gates.append(gate)
    outbox = Outbox(tmp_path / "outbox.db", on_commit=lambda: None)
    link = Link(
        mosquitto.url, BOX, "boot-1", outbox, on_verdict=lambda _: None, on_change=lambda _: None,
        describe=lambda: events.EdgeState(state="online", boot="boot-1"), on_snapshot=gate.hear,
    )  # fmt: skip
    notices = Notices(town.order.folder, town.order.carry)
    flagged = Told("status_f0", value=True)

    async def serve(engine: AsyncEngine) -> None:
        policy = load_policy(town.city.root / "configs/policies/directive-22.json")
        desk = Desk(engine=engine, keys=town.city.keys, policy=policy)
        central = CentralLink(mosquitto.url, desk, lambda _: None, version=notices.version)
        central.start()
        try:
            await _until(lambda: gate.fetched == 1)
            for name, number in (("before the broker is lost", BINH), ("after it", CHI)):
                await asyncio.to_thread(tell, town.city, number, flagged)
                await asyncio.to_thread(town.build)
                await _until(lambda number=number: answer(gate, number)[0] == "FAIL", name)  # type: ignore[misc]
                mosquitto.kill()  # and with it whatever it kept
                mosquitto.start()
        finally:
            await central.stop()

    gate.start()
    link.start()
    try:
        town.city.run(serve)
    finally:
        link.close()
        outbox.close()


async def _until(true: Callable[[], object], what: str = "the first one") -> None:
    give_up = time.monotonic() + 40
    while not true():
        assert time.monotonic() < give_up, f"no news of {what}"
        await asyncio.sleep(0.02)


def test_a_fetch_goes_on_where_it_was_cut_off(town: Town) -> None:
    tell(town.city, AN, declared())
    town.build()
    built = present(town.order.folder)
    assert built
    base = built.scopes["all"].base.part
    whole = (town.order.folder / base.sha256).read_bytes()
    town.folder.mkdir()
    (town.folder / f"{base.sha256}.part").write_bytes(whole[:100])
    ranged = httpx.get(f"{town.url}/snapshot/{base.sha256}", headers={"Range": "bytes=100-"})
    assert (ranged.status_code, ranged.content) == (206, whole[100:])
    gate = town.gate()
    gate.renew()
    assert answer(gate, AN) == ("PASS", ())


def test_what_is_forged_or_damaged_is_refused_and_the_last_good_one_stays(town: Town, tmp_path: Path) -> None:
    tell(town.city, AN, declared())
    town.build()
    gate = town.gate()
    gate.renew()
    with pytest.raises(Untrusted, match="sign_key"):
        town.gate(tmp_path / "other", sign_key="A" * 43).renew()
    tell(town.city, BINH, declared())
    town.build()
    built = present(town.order.folder)
    assert built
    delta = built.scopes["all"].delta
    assert delta
    damaged = town.order.folder / delta.part.sha256
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.raises(Untrusted, match="not what the document says"):
        gate.renew()
    assert answer(gate, AN) == ("PASS", ())


def test_a_program_that_restarts_without_central_still_decides(town: Town) -> None:
    tell(town.city, AN, declared())
    town.build()
    town.gate().renew()
    again = town.gate()
    again._take_up()
    assert answer(again, AN) == ("PASS", ())


def test_a_stolen_disk_opens_nothing_and_tells_no_number(town: Town, tmp_path: Path) -> None:
    tell(town.city, AN, declared())
    town.build()
    town.gate().renew()
    stolen = shutil.copytree(town.folder, tmp_path / "stolen")
    elsewhere = tmp_path / "memory of another box"
    elsewhere.mkdir()
    thief = town.gate(stolen, elsewhere)
    thief._take_up()
    assert thief.current is None
    said = b"".join(path.read_bytes() for path in stolen.iterdir())
    assert AN.encode() not in said
    assert b"NGUYEN" not in said
    assert b"declared" not in said


def test_an_unset_clock_is_our_fault_and_no_answer(town: Town) -> None:
    tell(town.city, AN, Told("status_f0", value=True))
    town.build()
    gate = town.gate()
    gate.renew()
    local = decide(code(AN), gate.current, datetime.now(UTC), place=BOX.site, clock="unset")
    assert (local.outcome, local.reasons) == (Outcome.CHECK, ("clock_unset",))
    assert Unusable.__doc__


def shown(made: CityPass, key: Ed25519PrivateKey) -> Pass:
    return classify(city_pass.issue(made, Signer(key).sign).encode())


def pass_of(number: int, **facts: Value) -> CityPass:
    return CityPass(
        id=number.to_bytes(8, "big"),
        issuer="HN",
        issued_at=NOW - timedelta(hours=2),
        expires_at=NOW + timedelta(hours=70),
        ids=(("cccd", AN),),
        name="Nguyễn Văn An",
        birth="1980",
        facts=facts,
    )


def test_a_gate_without_central_knows_the_keys_old_and_new_and_what_was_taken_back(town: Town) -> None:
    tell(town.city, AN, declared())
    newer, older = town.city.keys.passes[0], Ed25519PrivateKey.generate()
    states = town.folder.parent / "states"
    states.mkdir()
    (states / "vn.der").write_bytes(certificate_of(EC_KEY))
    many = 3_000_000 if os.environ.get("CUAO_LONG") else 30_000
    gone = [number.to_bytes(8, "big").hex() for number in range(0, many, 3)]
    town.order = replace(
        town.order,
        common=(
            *town.order.common,
            ("trust", trusted(states, (newer, older))),
            ("revoked", revocation.whole(1, gone)),
            ("revoked", revocation.delta(1, 2, add=["ff" * 8], remove=[gone[0]])),
        ),
    )
    town.build()
    gate = town.gate()
    gate.renew()
    snapshot = gate.current
    assert snapshot is not None
    for number in range(1000):
        code = shown(pass_of(number), newer if number % 2 else older)
        confirmed = trust.confirm(code, snapshot.keys, now=NOW, revoked=snapshot.revoked)
        revoked = number % 3 == 0 and number > 0
        assert (confirmed.signature, confirmed.reasons) == ("valid", ("revoked",) if revoked else ())
        made = decide(confirmed, snapshot, NOW, place=BOX.site)
        assert (made.outcome, made.reasons) == ((Outcome.CHECK, ("revoked",)) if revoked else (Outcome.PASS, ()))
    stranger = trust.confirm(shown(pass_of(1), Ed25519PrivateKey.generate()), snapshot.keys, now=NOW)
    assert decide(stranger, snapshot, NOW, place=BOX.site).reasons == ("unknown_key",)
    assert len(list(snapshot.keys)) == 3


def test_a_certificate_that_is_none_is_said_by_its_file(town: Town, tmp_path: Path) -> None:
    (tmp_path / "xx.der").write_bytes(b"junk")
    with pytest.raises(BadKey, match=r"xx\.der: no certificate"):
        trusted(tmp_path, town.city.keys.passes)


def test_a_revocation_that_does_not_fit_leaves_the_last_good_snapshot(town: Town) -> None:
    tell(town.city, AN, declared())
    town.build()
    gate = town.gate()
    gate.renew()
    before = gate.current
    town.order = replace(town.order, common=(*town.order.common, ("revoked", revocation.delta(5, 6))))
    town.build()
    with pytest.raises(Unusable, match="ask for the whole list"):
        gate.renew()
    assert gate.current is before


def test_unplugged_for_a_day_the_gate_answers_right_and_central_agrees_afterwards(town: Town) -> None:
    """A thousand signed passes, half by the key before, and a million taken back, a hundred of these among them."""
    city, begun = town.city, NOW
    numbers = [f"001080{number:06}" for number in range(1000)]
    rows = {
        line: Row((("cccd", number),), "Nguyễn Văn An", "1980", "male", "Ba Đình", (declared(),))
        for line, number in enumerate(numbers, 1)
    }
    city.run(lambda engine: take_rows(engine, city.keys, rows, "test", datetime.now(UTC)))
    signers = [trust.Signer(Ed25519PrivateKey.generate()), trust.Signer(Ed25519PrivateKey.generate())]
    texts = [
        city_pass.issue(
            city_pass.CityPass(
                id=place.to_bytes(8, "big"),
                issuer="VN-HN",
                issued_at=begun,
                expires_at=begun + timedelta(hours=72),
                ids=(("cccd", number),),
                name="Nguyễn Văn An",
                birth="1980",
            ),
            signers[place % 2].sign,
        )
        for place, number in enumerate(numbers)
    ]
    taken_back = (f"{number:016x}" for number in range(0, 10_000_000, 10))
    town.order = replace(
        town.order,
        common=(
            *town.order.common,
            ("trust", trusted(None, [signer.private for signer in signers])),
            ("revoked", revocation.whole(1, taken_back)),
        ),
    )
    town.build()
    gate = town.gate()
    gate.renew()
    snapshot = gate.current
    assert snapshot
    # no central from here on
    told = []
    for place, text in enumerate(texts):
        at = begun + timedelta(minutes=60 + 1.3 * place)
        code = trust.confirm(classify(text.encode()), snapshot.keys, now=at, revoked=snapshot.revoked)
        local = decide(code, snapshot, at, place=BOX.site)
        expected = ("CHECK", "revoked" in local.reasons) if place % 10 == 0 else ("PASS", local.reasons == ())
        assert (str(local.outcome), True) == expected
        assert local.snapshot_at == snapshot.as_of
        identity = Identity(ids=code.ids, name=code.name or UNSET)
        scan = PassScanned(
            kind=code.kind,
            sealed=seal(identity, city.keys.public),
            facts=code.facts,
            signature=code.signature,
            local=local,
        )
        told.append(city.event(scan, time=at))
        shown = PassShown(
            scan=f"event-{city.sequence}", outcome=local.outcome, reasons=local.reasons, by="edge", after_ms=0
        )
        told.append(city.event(shown, time=at))
    assert decide(classify(texts[1].encode()), snapshot, begun + timedelta(hours=25), place=BOX.site).reasons[0] == (
        "stale_data"
    )
    taken = [
        city.take(events.join(told[start : start + 500]), now=begun + timedelta(hours=30))
        for start in range(0, len(told), 500)
    ]
    assert sum(one.new for one in taken) == 2000
    assert [verdict for one in taken for verdict in one.verdicts] == []  # late ones are silent
    decided = city.rows(decision)
    assert len(decided) == 1000
    assert all(row["late"] and row["outcome"] == row["local_outcome"] for row in decided)
    assert city.count(alert) == 0


def test_a_gate_seals_to_the_new_key_from_its_next_snapshot_on(town: Town) -> None:
    folder = town.folder.parent / "keys"
    common = town.order.common
    gate = town.gate()
    seen = []
    for change in (lambda: None, lambda: new_sealing_key(folder)):
        change()
        town.order = replace(town.order, common=(*common, ("seal", sealing_key(folder))))
        town.build()
        gate.renew()
        assert gate.current is not None
        assert gate.current.seal_key is not None
        seen.append(gate.current.seal_key)
    assert len(set(seen)) == 2
    who = Identity(ids=(("cccd", AN),))
    assert [town.city.keys.open(seal(who, key)) for key in seen] == [who, who]
