from datetime import UTC, datetime

import pytest

from central.auth import rules
from central.auth.rules import ACCESS, FREE_TRIES, GENESIS, PEOPLE, Role, Who, rule_for

NOW = datetime(2021, 9, 21, 0, 0, tzinfo=UTC)


def person(*roles: str, places: tuple[str, ...] = (), reads_only: bool = False) -> Who:
    return Who(name="lan", roles=frozenset(Role(role) for role in roles), places=places, reads_only=reads_only)


def what(method: str, path: str) -> str | None:
    found = rule_for(method, path)
    return found[0].what if found else None


def test_a_path_finds_its_rule_and_a_strange_one_none() -> None:
    assert what("GET", "/supervisor") == "GET /supervisor"
    assert what("HEAD", "/supervisor") == "GET /supervisor"
    assert what("GET", "/evidence/ab/snapshot") == "GET /evidence/{name}/snapshot"
    assert what("GET", "/static/live.js") == "GET /static/*"
    for method, path in [
        ("GET", "/supervisor/"), ("DELETE", "/supervisor"), ("GET", "/staticlive.js"), ("GET", "/evidence/a/b"),
        ("GET", "/people\n"), ("GET", "//people"), ("LIVE", "alerts"), ("GET", "/static"[:-1]),
    ]:  # fmt: skip
        assert what(method, path) in {None, "LIVE alerts"}, path
    assert rule_for("POST", "/alerts/17/acknowledge") == (
        next(rule for rule in ACCESS if rule.what == "POST /alerts/{alert_id}/acknowledge"),
        {"alert_id": "17"},
    )


def test_no_request_can_be_made_that_finds_the_rule_of_a_topic() -> None:
    # an HTTP path begins with a slash
    assert [rule.what for rule in ACCESS if rule.what.startswith("LIVE /")] == []


def test_each_rule_stands_once() -> None:
    whats = [rule.what for rule in ACCESS]
    assert len(whats) == len(set(whats))


def test_whoever_is_unknown_opens_only_what_is_anyones() -> None:
    for rule in ACCESS:
        assert rules.may(None, rule) is (not rule.roles)
    assert not rules.may(person(*PEOPLE), None)


def test_a_token_that_reads_only_changes_nothing() -> None:
    assert rules.may_do(person("admin", reads_only=True), "GET /people")
    assert not rules.may_do(person("admin", reads_only=True), "POST /people")


def test_no_person_is_ever_taken_for_a_box_nor_a_box_for_a_person() -> None:
    for rule in ACCESS:
        if Role.EDGE in rule.roles:
            assert rule.roles == {Role.EDGE}, rule.what
    assert not rules.may_do(person("edge"), "GET /")


def test_places_bind() -> None:
    assert person("supervisor").within("anywhere")
    assert person("supervisor", places=("q-1",)).within("q-1")
    assert not person("supervisor", places=("q-1",)).within("q-2")


def test_wrong_tries_lock_longer_each_time_and_a_quarter_of_an_hour_at_most() -> None:
    waits = [rules.locked_until(failures, NOW) for failures in range(FREE_TRIES, FREE_TRIES + 30)]
    seconds = [(until - NOW).total_seconds() for until in waits if until is not None]
    assert rules.locked_until(FREE_TRIES - 1, NOW) is None
    assert seconds[:3] == [30, 60, 120]
    assert seconds == sorted(seconds)
    assert seconds[-1] == 900


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("short", "auth.password_short"),
        ("lan-lan-lan-lan", "auth.password_name"),
        ("aaaaaaaaaaaaaaa", "auth.password_plain"),
        ("ba con bò vàng", None),
    ],
)
def test_a_password_is_long_and_not_ones_name(password: str, fault: str | None) -> None:
    assert rules.password_fault(password, "lan") == fault


def _chain(count: int) -> list[dict[str, str]]:
    made, previous = [], GENESIS
    for number in range(count):
        row = dict.fromkeys(rules.AUDITED, f"{number}")
        row |= {"previous": previous, "hash": rules.chained(previous, row)}
        previous = row["hash"]
        made.append(row)
    return made


def test_a_changed_a_missing_and_a_moved_row_break_the_chain() -> None:
    assert rules.broken_at([]) is None
    assert rules.broken_at(_chain(5)) is None
    changed = _chain(5)
    changed[2]["who"] = "somebody else"
    assert rules.broken_at(changed) == 3
    assert rules.broken_at(_chain(5)[1:]) == 1
    missing = _chain(5)
    del missing[3]
    assert rules.broken_at(missing) == 4
    moved = _chain(5)
    moved[1], moved[2] = moved[2], moved[1]
    assert rules.broken_at(moved) == 2


def test_two_fields_never_hash_like_two_others() -> None:
    row = dict.fromkeys(rules.AUDITED, "")
    assert rules.chained(GENESIS, row | {"who": "a", "what": "b"}) != rules.chained(GENESIS, row | {"who": "ab"})


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_a_cell_is_never_a_formula(formula: str) -> None:
    assert rules.cell(formula) == "'" + formula
    assert rules.cell("Nguyễn = Văn") == "Nguyễn = Văn"
