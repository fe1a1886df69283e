"""Signed codes as states and the city issue them, made here: nothing public is needed to test with."""

import json
import zlib
from base64 import b64encode
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from models.passes import base45, cbor, cose, trust

NOW = datetime(2021, 9, 22, 6, tzinfo=UTC)
DAY = timedelta(days=1)
CERTIFICATE: dict[str, Any] = {
    "ver": "1.3.0",
    "nam": {"fn": "Nguyễn", "gn": "Khả Hân", "fnt": "NGUYEN", "gnt": "KHA<HAN"},
    "dob": "1987-01-18",
    "v": [
        {
            "tg": "840539006",
            "vp": "J07BX03",
            "mp": "EU/1/21/1529",
            "ma": "ORG-100030215",
            "dn": 2,
            "sd": 2,
            "dt": "2021-08-01",
            "co": "VN",
            "is": "Cục Y tế dự phòng",
            "ci": "URN:UVCI:01:VN:0001",
        }
    ],
}
TEST = {
    "tg": "840539006",
    "tt": "LP6464-4",
    "sc": "2021-09-21T08:00:00+07:00",
    "tr": "260415000",
    "co": "VN",
    "is": "CDC Hà Nội",
    "ci": "URN:UVCI:01:VN:0002",
}
RECOVERY = {
    "tg": "840539006",
    "fr": "2021-06-01",
    "df": "2021-06-12",
    "du": "2021-11-28",
    "co": "VN",
    "is": "CDC Hà Nội",
    "ci": "URN:UVCI:01:VN:0003",
}
OID = "1.3.6.1.4.1.1847.2021.1."
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate_of(private: Private, *oids: str) -> bytes:
    """A self-signed certificate as DER; `oids` say what the key may sign."""
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN")])
    made = x509.CertificateBuilder(name, name, private.public_key(), 7, NOW - 90 * DAY, NOW + 90 * DAY)
    if oids:
        made = made.add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids]), critical=False)
    own_hash = None if isinstance(private, Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(private, own_hash).public_bytes(Encoding.DER)


def signature_of(private: Private, data: bytes) -> bytes:
    """As COSE has it."""
    if isinstance(private, rsa.RSAPrivateKey):
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return private.sign(data, scheme, hashes.SHA256())
    if isinstance(private, Ed25519PrivateKey):
        return private.sign(data)
    half = (private.curve.key_size + 7) // 8
    r, s = utils.decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(half, "big") + s.to_bytes(half, "big")


def algorithm_of(private: Private) -> int:
    if isinstance(private, rsa.RSAPrivateKey):
        return cose.PS256
    return cose.EDDSA if isinstance(private, Ed25519PrivateKey) else cose.ES256


def claims_of(certificate: Any = CERTIFICATE) -> dict[Any, Any]:
    issued, expires = int((NOW - DAY).timestamp()), int((NOW + 30 * DAY).timestamp())
    return {1: "VN", 6: issued, 4: expires, -260: {1: certificate}}


def message_of(
    claims: Any,
    private: Private = EC_KEY,
    *,
    kid: bytes = b"12345678",
    protected: Mapping[int, Any] | None = None,
    unprotected: Mapping[int, Any] | None = None,
    tags: tuple[int, ...] = (18,),
) -> bytes:
    """A COSE_Sign1."""
    signed = {1: algorithm_of(private), 4: kid} if protected is None else protected
    header = cbor.encode(signed) if signed else b""
    payload = cbor.encode(claims)
    message: Any = [header, unprotected or {}, payload, signature_of(private, cose.to_sign(header, payload))]
    for tag in tags:
        message = cbor.Tag(tag, message)
    return cbor.encode(message)


def hcert_text(message: bytes) -> str:
    return "HC1:" + base45.encode(zlib.compress(message))


def kid_of(der: bytes) -> bytes:
    return trust.from_certificate(der).kid


def without(*path: str | int) -> dict[str, Any]:
    """The certificate with something taken away."""
    made = deepcopy(CERTIFICATE)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return made


def line_of(text: str, *certificates: bytes, at: datetime = NOW) -> bytes:
    """What `python -m models.passes` reads."""
    given = {"text": text, "certificates": [b64encode(der).decode() for der in certificates], "at": at.isoformat()}
    return json.dumps(given).encode()
