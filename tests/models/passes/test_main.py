"""The command line, on our own codes always and on the public suite where it is at hand."""

import json
import subprocess
import sys
from base64 import b64encode
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.passes.__main__ import answer, moment
from tests.models.passes.codes import EC_KEY, NOW, certificate_of, claims_of, hcert_text, kid_of, line_of, message_of

DER = certificate_of(EC_KEY)
HC1 = hcert_text(message_of(claims_of(), kid=kid_of(DER)))
PEM = f"-----BEGIN CERTIFICATE-----\n{b64encode(DER).decode()}\n-----END CERTIFICATE-----\n"
CARD = "001087029317|012345678|Nguyễn Lê Khả Hân|18011987|Nam|Hà Nội|01022021"


def run(lines: list[bytes], *words: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "models.passes", *words]
    out = subprocess.run(command, input=b"\n".join(lines), stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def test_a_line_of_input_is_a_line_of_output() -> None:
    lines = [
        CARD.encode(),
        line_of(HC1, DER),
        HC1.encode(),
        b"",
        b"\xff",
        b"{",
        b"x" * (1 << 21),
        b"https://example.org",
    ]
    answers = run(lines, "--at", "2021-09-22T06:00:00Z")
    assert [one["kind"] for one in answers] == [
        "cccd",
        "hcert",
        "hcert",
        "unknown",
        "unknown",
        "unknown",
        "unknown",
        "url",
    ]
    assert [one["signature"] for one in answers[:3]] == ["none", "valid", "unknown_key"]
    assert [one["reasons"] for one in answers[:5]] == [[], [], ["unknown_key"], ["not_a_pass"], ["encoding"]]


def test_an_answer_holds_what_the_code_says() -> None:
    assert answer(CARD.encode(), NOW) == {
        "kind": "cccd",
        "fields": {
            "cccd": "001087029317",
            "cmnd": "012345678",
            "name": "Nguyễn Lê Khả Hân",
            "name_key": "NGUYEN LE KHA HAN",
            "birth": date(1987, 1, 18),
            "birth_year": 1987,
            "sex": "male",
            "address": "Hà Nội",
            "issued_on": "2021-02-01",
        },
        "signature": "none",
        "expired": False,
        "usage": "unstated",
        "reasons": [],
    }


@pytest.mark.parametrize(
    ("more", "reasons"),
    [
        ({}, ["unknown_key"]),
        ({"at": "2030-01-01"}, ["unknown_key", "expired"]),
        ({"at": 1_632_268_800}, ["unknown_key"]),
        ({"at": "yesterday"}, ["unknown_key", "clock_unset"]),
        ({"at": 1e300}, ["unknown_key", "clock_unset"]),
        ({"certificates": [PEM]}, []),
        ({"certificates": [PEM.replace("=", "")]}, []),
        ({"certificates": "no list"}, ["unknown_key"]),
        ({"certificates": [None, "*", "aGk=", 5]}, ["unknown_key"]),
    ],
)
def test_a_request_that_is_odd_is_answered(more: dict[str, Any], reasons: list[str]) -> None:
    assert answer(json.dumps({"text": HC1, **more}).encode(), NOW)["reasons"] == reasons


@pytest.mark.parametrize(
    "line", ['{"text": 5}', '{"data": {"hdr": {"is": "UTO"}}, "sig": {}}', '{"text": "\\ud800"}', "[" * 5000]
)
def test_another_json_is_a_codes_own_text(line: str) -> None:
    assert answer(line.encode(), NOW)["kind"] in {"unknown", "vds_nc"}


def test_times_are_read_as_people_write_them() -> None:
    assert (
        moment("2021-05-03T20:00:00+02:00") == moment("2021-05-03T18:00:00Z") == moment("2021-05-03 18:00:00.0000000")
    )


LAYERS = {"prefix", "base45", "compression", "cbor", "cose", "schema"}


@pytest.mark.data
def test_every_flag_of_the_public_suite_is_as_expected(shared_data: Path) -> None:
    """README.md of dgc-testdata says what each flag means."""
    cases = [json.loads(path.read_text("utf-8-sig")) for path in sorted((shared_data / "dgc").glob("**/*.json"))]
    lines = [
        json.dumps(
            {
                "text": case["PREFIX"],
                "certificates": [case["TESTCTX"]["CERTIFICATE"]],
                "at": case["TESTCTX"]["VALIDATIONCLOCK"],
            }
        ).encode()
        for case in cases
    ]
    wrong, checked = [], 0
    for case, told in zip(cases, run(lines), strict=True):
        reasons = set(told["reasons"])
        holds = {
            "EXPECTEDUNPREFIX": "prefix" not in reasons,
            "EXPECTEDB45DECODE": "base45" not in reasons,
            "EXPECTEDCOMPRESSION": "compression" not in reasons,
            "EXPECTEDDECODE": not reasons & {"cbor", "cose"},
            "EXPECTEDVALIDJSON": not reasons & LAYERS,
            "EXPECTEDSCHEMAVALIDATION": not reasons & LAYERS,
            "EXPECTEDVERIFY": told["signature"] == "valid",
            "EXPECTEDEXPIRATIONCHECK": not told["expired"] and "not_yet" not in reasons,
            "EXPECTEDKEYUSAGE": told["usage"] != "wrong",
        }
        for flag, expected in case["EXPECTEDRESULTS"].items():
            if flag in holds:
                checked += 1
                if holds[flag] != expected:
                    wrong.append(f"{case['TESTCTX'].get('DESCRIPTION')}: {flag} is not {expected}: {told['reasons']}")
    assert wrong == []
    assert checked > 800
