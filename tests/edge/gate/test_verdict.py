from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gate.verdict import Verdicts, masked, unknowing
from models.passes.outcome import Outcome
from models.passes.scan import Pass
from models.wire.events import Local, Verdict

CODE = Pass(kind="cccd", ids=(("cccd", "001203004567"),), name="Nguyễn Văn An")
LOCAL = unknowing(CODE)


def central(outcome: str, scan: str = "s1") -> Verdict:
    at = datetime(2021, 9, 21, 6, tzinfo=UTC)
    return Verdict(scan=scan, outcome=Outcome(outcome), reasons=("r",), policy="p", decided_at=at)


def test_without_a_registry_everybody_is_checked_and_the_codes_own_faults_are_named() -> None:
    assert (LOCAL.outcome, LOCAL.reasons) == (Outcome.CHECK, ("no_registry",))
    assert unknowing(Pass(kind="unknown", reasons=("not_a_pass",))).reasons == ("no_registry", "not_a_pass")


@pytest.mark.parametrize("outcome", ["PASS", "CHECK", "FAIL"])
def test_an_answer_in_time_is_painted_as_centrals(outcome: str) -> None:
    verdicts = Verdicts(1.0)
    assert verdicts.ask("s1", LOCAL, now=10.0, link_up=True) == []
    painting = verdicts.answer(central(outcome), now=10.02)
    assert painting is not None
    assert (painting.outcome, painting.by, painting.after_ms) == (Outcome(outcome), "central", 20)
    assert verdicts.due(now=99.0, link_up=True) == []


@pytest.mark.parametrize(
    ("first", "then", "painted"),
    [
        ("PASS", "PASS", False),
        ("PASS", "CHECK", True),
        ("PASS", "FAIL", True),
        ("CHECK", "PASS", False),
        ("CHECK", "CHECK", False),
        ("CHECK", "FAIL", True),
        ("FAIL", "PASS", False),
        ("FAIL", "CHECK", False),
        ("FAIL", "FAIL", False),
    ],
)
def test_a_later_answer_is_painted_only_when_it_is_more_severe(first: str, then: str, painted: bool) -> None:
    verdicts = Verdicts(1.0)
    verdicts.ask("s1", LOCAL, now=0.0, link_up=True)
    verdicts.answer(central(first), now=0.1)
    assert (verdicts.answer(central(then), now=0.2) is not None) == painted


@pytest.mark.parametrize(("now", "link_up", "painted"), [(0.9, True, False), (1.0, True, True), (0.1, False, True)])
def test_the_own_answer_is_painted_when_the_wait_is_over_or_nobody_can_answer(
    now: float, link_up: bool, painted: bool
) -> None:
    verdicts = Verdicts(1.0)
    verdicts.ask("s1", LOCAL, now=0.0, link_up=True)
    assert verdicts.next_due() == 1.0
    paintings = verdicts.due(now=now, link_up=link_up)
    assert [(p.outcome, p.by) for p in paintings] == [(Outcome.CHECK, "edge")] * painted
    assert (verdicts.next_due() is None) == painted


def test_with_the_link_down_nobody_waits() -> None:
    verdicts = Verdicts(1.0)
    (painting,) = verdicts.ask("s1", LOCAL, now=0.0, link_up=False)
    assert (painting.outcome, painting.by, painting.after_ms) == (Outcome.CHECK, "edge", 0)


def test_a_repeat_flashes_what_was_painted_with_its_count() -> None:
    verdicts = Verdicts(1.0)
    verdicts.ask("s1", LOCAL, now=0.0, link_up=True)
    assert verdicts.again("s1", 1) is None
    verdicts.answer(central("FAIL"), now=0.1)
    again = verdicts.again("s1", 2)
    assert again is not None
    assert (again.outcome, again.repeat) == (Outcome.FAIL, 2)


def test_an_answer_to_a_scan_of_nobody_is_counted() -> None:
    verdicts = Verdicts(1.0)
    assert verdicts.answer(central("PASS", "s9"), now=0.0) is None
    assert verdicts.unknown == 1


def test_scans_are_bounded_and_the_oldest_gets_its_answer_before_it_goes() -> None:
    verdicts = Verdicts(1.0)
    paintings = [p for n in range(600) for p in verdicts.ask(f"s{n}", LOCAL, now=0.0, link_up=True)]
    assert [p.scan for p in paintings] == [f"s{n}" for n in range(600 - 512)]


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [("PASS", "N.V.A. ···567"), ("FAIL", "N.V.A. ···567"), ("CHECK", "Nguyễn Văn An ···567")],
)
def test_the_name_is_shown_only_where_it_is_to_be_checked(outcome: str, shown: str) -> None:
    assert masked(CODE, Outcome(outcome)) == shown


def test_a_code_without_a_holder_shows_none() -> None:
    assert masked(Pass(kind="url"), Outcome.CHECK) == ""


steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "answer", "due", "again"]),
        st.sampled_from(["s1", "s2", "s3"]),
        st.sampled_from(list(Outcome)),
        st.floats(0.0, 2.0),
        st.booleans(),
    ),
    max_size=30,
)


@given(steps)
def test_nothing_painted_red_turns_green(taken: list[tuple[str, str, Outcome, float, bool]]) -> None:
    verdicts = Verdicts(0.25)
    now = 0.0
    shown: dict[str, Outcome] = {}
    asked: set[str] = set()
    for verb, scan, outcome, passing, link_up in taken:
        now += passing
        painted = []
        match verb:
            case "ask" if scan not in asked:
                asked.add(scan)
                painted = verdicts.ask(scan, Local(outcome=outcome, reasons=()), now=now, link_up=link_up)
            case "answer":
                painted = [one for one in [verdicts.answer(central(outcome, scan), now=now)] if one]
            case "due":
                painted = verdicts.due(now=now, link_up=link_up)
            case _:
                painted = [one for one in [verdicts.again(scan, 1)] if one]
        for one in painted:
            assert one.outcome.severity >= shown.get(one.scan, one.outcome).severity
            shown[one.scan] = one.outcome
