"""What strangers hold up to a camera: mutated codes of every format, by a fixed seed.

A short run in CI; `CUAO_LONG=1` makes 20,000 of each format.
"""

import os
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.passes import base45, city_pass, cose, trust
from models.passes.city_pass import CityPass
from models.passes.classify import classify
from models.passes.reasons import REASONS
from models.passes.scan import Pass
from models.passes.trust import Keys, Signer, own_key
from tests.models.passes.codes import (
    DAY,
    EC_KEY,
    NOW,
    RECOVERY,
    TEST,
    certificate_of,
    claims_of,
    hcert_text,
    kid_of,
    message_of,
    without,
)

EACH = 20_000 if os.environ.get("CUAO_LONG") else 3_000
MOST_BYTES = 32 << 20
RSA_KEY = rsa.generate_private_key(65537, 2048)
CITY = Signer(Ed25519PrivateKey.generate())
EC_DER, RSA_DER = certificate_of(EC_KEY), certificate_of(RSA_KEY)
KEYS = Keys([trust.from_certificate(EC_DER), trust.from_certificate(RSA_DER), own_key(CITY.public)])
HEALTH = [
    message_of(claims_of(), kid=kid_of(EC_DER)),
    message_of(claims_of({**without("v"), "t": [TEST]}), kid=kid_of(EC_DER), tags=()),
    message_of(claims_of({**without("v"), "r": [RECOVERY]}), RSA_KEY, kid=kid_of(RSA_DER), tags=(18, 61)),
]
OURS = CityPass(
    id=b"12345678",
    issuer="HN",
    issued_at=NOW - DAY,
    expires_at=NOW + DAY,
    ids=(("cccd", "001087029317"),),
    name="Nguyễn Lê Khả Hân",
    birth="1987-01-18",
    facts={"doses": 2},
)
CITY_TEXT = city_pass.issue(OURS, CITY.sign)
CITY_MESSAGE = base45.decode(CITY_TEXT[len(city_pass.PREFIX) :])
SIGNED = {(one.protected, one.payload) for one in map(cose.read, [*HEALTH, CITY_MESSAGE])}
NAME = "Nguyễn Lê Khả Hân".encode().hex()
TEXTS = {
    "personal": [
        b"001087029317|NGUYEN LE KHA HAN|1987-01-18|0|162979388586171100|<1<HS4010120878821<0944713700",
        b"******029317|NGUYEN LE KHA HAN|1987-**-**|1|162979388586171100|162979388586171199<2<<",
    ],
    "cccd": [
        "001087029317|012345678|Nguyễn Lê Khả Hân|18011987|Nam|12 Hàng Bài, Hoàn Kiếm, Hà Nội|01022021".encode(),
        "001187029317||Trần Thị Bé|18011987|Nữ|Hà Nội|01072024||Trần Văn Ba|Lê Thị Tư|".encode(),
    ],
    "bhyt": [
        f"HS4010120878821|{NAME}|18/01/1987|1|-|01 - C54|01/01/2021|31/12/2021|15/12/2020|$".encode(),
        f"GD4010120878821|{NAME}|18/01/1987|2|-|01 - C54|01/04/2021|-|25/03/2021|01|-|4| 01/01/2025|a-1|||$".encode(),
    ],
    "hcert": [hcert_text(message).encode() for message in HEALTH],
    "city": [CITY_TEXT.encode()],
    "venue": [b"NZCOVIDTRACER:eyJnbG4iOiI3MDAwIiwib3BuIjoiQ2FmZSIsImFkciI6IjEgU3RyZWV0In0="],
    "others": [
        b"shc:/567629095243206034602924374044603122295953265460346029254077280433602870286471674522280928",
        b"NZCP:/1/2KCEVIQEIVVWK6JNGEASNICZAEP2KALYDZSGSZB2O5SWEOTOPJRXALTDN53GSZBRHEXGQZLBNR2GQLTOPICRUYMBTIFAIGTUKBAA",
        b'{"data":{"hdr":{"t":"icao.vacc","v":1,"is":"UTO"},"msg":{}},"sig":{"alg":"ES256","cer":"","sigvl":""}}',
        b"https://example.org/menu?table=7",
    ],
}


def mutated(raw: bytes, chance: random.Random) -> bytes:  # noqa: C901  (a case a violence)
    """One to four small violences."""
    made = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(8):
            case 0:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                made[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2:
                del made[at : at + chance.randint(1, 12)]
            case 3:
                del made[at:]
            case 4:
                made[at:at] = made[: chance.randint(0, 40)] * chance.randint(1, 9)
            case 5:
                if at < len(made):
                    made[at] ^= 1 << chance.randrange(8)
            case 6:
                if at < len(made):
                    made[at] = chance.choice(b"0123456789|*$-:<%\xff\x00\x9f\xbf\x5b\x9b\xbb\xdb\xf9")
            case _:
                other = chance.randrange(len(made) + 1)
                made[at:at] = made[min(at, other) : max(at, other)][:200]
    return bytes(made)


def a_text(kind: str, chance: random.Random) -> bytes:
    return mutated(chance.choice(TEXTS[kind]), chance)


def a_health_code(chance: random.Random) -> bytes:
    """Mutated at one of its layers, and whole around it: so that the inner ones are reached."""
    message = chance.choice(HEALTH)
    match chance.randrange(4):
        case 0:
            return mutated(hcert_text(message).encode(), chance)
        case 1:
            return b"HC1:" + base45.encode(mutated(zlib.compress(message), chance)).encode()
        case 2:
            return hcert_text(mutated(message, chance)).encode()
        case _:
            signed = cose.read(message)
            payload = mutated(signed.payload, chance)
            protected = signed.protected if chance.random() < 0.8 else mutated(signed.protected, chance)
            return hcert_text(cose.write(protected, payload, signed.signature)).encode()


def a_city_pass(chance: random.Random) -> bytes:
    match chance.randrange(3):
        case 0:
            return mutated(CITY_TEXT.encode(), chance)
        case 1:
            return (city_pass.PREFIX + base45.encode(mutated(CITY_MESSAGE, chance))).encode()
        case _:
            signed = cose.read(CITY_MESSAGE)
            forged = cose.write(signed.protected, mutated(signed.payload, chance), signed.signature)
            return (city_pass.PREFIX + base45.encode(forged)).encode()


MAKERS: dict[str, Callable[[random.Random], bytes]] = {
    **{kind: lambda chance, kind=kind: a_text(kind, chance) for kind in TEXTS},  # type: ignore[misc]
    "hcert": a_health_code,
    "city": a_city_pass,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_no_mutated_code_crashes_or_is_taken_for_a_signed_one(kind: str) -> None:
    chance = random.Random(f"{kind} 2021")
    codec = msgspec.msgpack.Decoder(Pass)
    worst_s = 0.0
    tracemalloc.start()
    for _ in range(EACH):
        payload = MAKERS[kind](chance)
        began = time.process_time()
        code = classify(payload)
        confirmed = trust.confirm(code, KEYS, now=NOW)
        worst_s = max(worst_s, time.process_time() - began)
        assert set(code.reasons) | set(confirmed.reasons) <= REASONS.keys(), payload
        # the way from the eye to the gate
        assert codec.decode(msgspec.msgpack.encode(code)).kind == code.kind
        if confirmed.signature == "valid":
            assert confirmed.signed is not None
            assert (confirmed.signed.protected, confirmed.signed.payload) in SIGNED, payload
        elif confirmed.signed is not None:
            assert confirmed.reasons, payload
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # told by `pytest -s`; tracemalloc at work makes it slower than it is
    print(f"{kind}: {EACH} codes, the slowest {worst_s * 1000:.2f} ms of CPU, at most {most_bytes / (1 << 20):.2f} MiB")
    assert most_bytes < MOST_BYTES


@pytest.mark.parametrize(
    "payload",
    [
        b"HC1:" + base45.encode(zlib.compress(bytes(10_000_000), 9)).encode(),
        hcert_text(b"\x9f" * 5000).encode(),
        hcert_text(b"\xd2" * 5000).encode(),
        hcert_text(b"\xbb" + b"\xff" * 8).encode(),
        hcert_text(b"\x5b" + b"\x7f" * 8).encode(),
        hcert_text(b"\x84" + b"\x40\xa0\x40\x40" * 3000).encode(),
        b'{"data":' * 900 + b'"sig":',
        b"[" * 7000,
        b"|" * 7000,
        b"A" * 7089,
        b" " * 7089,
        b"NZCOVIDTRACER:" + b"W1tb" * 1700,
        b'{"data":{"hdr":' + b'{"a":' * 1000 + b'"sig":{}',
        b"0" * 12 + b"||" + b"\xcc\x81" * 3000 + b"|18011987|Nam||",
    ],
    ids=range(14),
)
def test_what_was_made_to_hurt_is_refused_within_bounds(payload: bytes) -> None:
    tracemalloc.start()
    code = trust.confirm(classify(payload[:7089]), KEYS, now=NOW)
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code.reasons
    assert most_bytes < MOST_BYTES
