"""What a gate finds says the same as what central packed."""

import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passes.decision import decide
from models.passes.facts import ALWAYS, Written, standing
from models.passes.packing import BadPack, Carried, Packed, Packer, Person, key_of, name_tag
from models.passes.policy import load

BUILT = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
POLICY = load(Path(__file__).parents[3] / "configs/policies/directive-22.json")
KINDS = sorted(POLICY.reads | {"known", "last_dose_on", "doses"})
SECRET = b"s" * 32


def packed(*people: Person, kinds: list[str] = KINDS) -> Packed:
    packer, sink = Packer(kinds, built_at=BUILT, complete=True), io.BytesIO()
    for person in people:
        packer.add(person)
    packer.write(sink)
    return Packed(sink.getvalue())


def found(pack: Packed, key: int) -> Carried:
    row = pack.find(key)
    assert row is not None
    return pack.read(row)


def line(number: int, kind: str, value: Any, **more: Any) -> Written:
    told = {"from_": None, "until": None, "recorded_at": BUILT, "source": "test", "supersedes": None} | more
    return Written(id=number, kind=kind, value=value, **told)


moments = st.integers(-200, 200).map(lambda hours: BUILT + timedelta(hours=hours))
values = st.one_of(
    st.tuples(st.sampled_from(["status_f0", "status_f1", "flagged"]), st.sampled_from([True, False, None])),
    st.tuples(st.just("order_active"), st.sampled_from(["cp-014", "home-7", None])),
    st.tuples(st.just("declared_at"), st.one_of(st.none(), moments.map(datetime.isoformat))),
    st.tuples(st.just("symptoms"), st.sampled_from([["ho"], [], None])),
    st.tuples(st.just("last_dose_on"), st.sampled_from([date(2026, 11, 20).isoformat(), None])),
    st.tuples(st.just("doses"), st.integers(0, 3)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Written]:
    lines = [line(0, "known", True)]
    for number, (kind, value) in enumerate(draw(st.lists(values, max_size=8)), 1):
        before = [old.id for old in lines if old.kind == kind]
        lines.append(
            line(
                number,
                kind,
                value,
                from_=draw(st.one_of(st.none(), moments)),
                until=draw(st.one_of(st.none(), moments)),
                supersedes=draw(st.sampled_from([None, *before])),
            )
        )
    return lines


@given(histories(), st.integers(0, 300))
def test_edge_and_central_answer_alike_on_the_same_facts(history: list[Written], hours: int) -> None:
    now = BUILT + timedelta(hours=hours)
    carried = found(packed(Person([7], "AN", "1980", history)), 7)
    assert decide(standing(carried.history, now), POLICY, now, place="cp-014") == decide(
        standing(history, now), POLICY, now, place="cp-014"
    )


def test_numbers_are_found_by_keyed_hashes_and_others_are_not() -> None:
    keys = [key_of(SECRET, "cccd", f"{number:012}") for number in range(2000)]
    pack = packed(*(Person([key], f"NAME {key}", "1980-02-03", [line(1, "known", True)]) for key in keys))
    assert len(pack) == 2000
    assert all(found(pack, key).name_tag == name_tag(f"NAME {key}") for key in keys)
    assert found(pack, keys[0]).birth_year == 1980
    assert [key for key in range(0, 1 << 64, 1 << 52) if pack.find(key) is not None] == []
    assert key_of(b"t" * 32, "cccd", "000000000001") not in keys


def test_a_key_that_two_residents_claim_belongs_to_nobody() -> None:
    pack = packed(Person([7, 8], "AN", "", []), Person([7], "BINH", "", []))
    assert pack.header.twice == 1
    assert pack.find(7) is None
    assert found(pack, 8).birth_year is None


def test_only_the_asked_kinds_go_along() -> None:
    history = [line(1, "known", True), line(2, "home_ward", "Ba Đình"), line(3, "doses", 2)]
    carried = found(packed(Person([7], "AN", "", history), kinds=["doses"]), 7)
    assert [told.kind for told in carried.history] == ["doses"]


def test_an_ordinary_resident_costs_twenty_bytes() -> None:
    def person(number: int) -> Person:
        declared = (BUILT - timedelta(seconds=number)).isoformat()
        history = [line(1, "known", True), line(2, "declared_at", declared, from_=BUILT), line(3, "doses", number % 3)]
        return Person([key_of(SECRET, "cccd", str(number))], "AN", "1980", history)

    packer, sink = Packer(KINDS, built_at=BUILT, complete=True), io.BytesIO()
    for number in range(5000):
        packer.add(person(number))
    assert packer.write(sink).profiles == 3
    assert len(sink.getvalue()) <= 5000 * 20.2


@pytest.mark.parametrize("cut", [0, 7, 100, 1])
def test_what_is_no_pack_is_refused(cut: int) -> None:
    sink = io.BytesIO()
    packer = Packer(KINDS, built_at=BUILT, complete=False)
    packer.add(Person([1], "AN", "", [line(1, "known", True)]))
    packer.write(sink)
    broken = sink.getvalue()[:-cut] if cut != 100 else b"x" * 100
    with pytest.raises(BadPack):
        Packed(broken if cut else b"")


def test_a_line_that_is_superseded_from_tomorrow_counts_until_then() -> None:
    history = [line(1, "status_f1", True), line(2, "status_f1", False, from_=BUILT + timedelta(days=1), supersedes=1)]
    carried = found(packed(Person([7], "AN", "", history)), 7)
    assert standing(carried.history, BUILT)["status_f1"].value is True
    assert standing(carried.history, BUILT + timedelta(days=1))["status_f1"].value is False
    assert standing(carried.history, BUILT)["status_f1"].from_ == ALWAYS
