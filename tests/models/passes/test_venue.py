from base64 import b64encode

import pytest

from models.passes import venue


def test_a_new_zealand_poster_names_its_place() -> None:
    body = b64encode(b'{"gln":"7000000000000","ver":"c19:1","typ":"entry","opn":"Cafe","adr":"1 Street"}').decode()
    code = venue.read(f"NZCOVIDTRACER:{body}")
    assert code.fields == {"venue": "7000000000000", "name": "Cafe", "address": "1 Street"}
    assert code.reasons == ("not_a_pass",)


@pytest.mark.parametrize("body", ["", "*", "aGVsbG8=", "W10="])
def test_a_broken_poster_is_still_a_poster(body: str) -> None:
    assert venue.read(f"NZCOVIDTRACER:{body}").fields in ({}, {"venue": "", "name": "", "address": ""})
