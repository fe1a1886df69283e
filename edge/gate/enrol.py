"""How a new box becomes one of the city's: a one-time code, a key that never leaves it, a certificate."""

import hashlib
import os
import ssl
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Refused(RuntimeError):
    """Central did not take us in; the message says why and what to do."""


def enrol(https: str, code: str, folder: Path) -> str:
    """Write ca.pem, edge.key and edge.pem into the folder; the lines for the box's YAML file.

    The code is `<secret>.<fingerprint of the authority>`: by its second half the box knows whom it talks to.
    """
    secret, _, expected = code.rpartition(".")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        ca = _authority(https, expected)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "new")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        asked = {"code": secret, "request": request.public_bytes(serialization.Encoding.PEM).decode()}
        known = ssl.create_default_context(cadata=ca)
        with httpx.Client(base_url=https, verify=known, timeout=15.0, trust_env=False) as client:
            answer = client.post("/enrolment", json=asked)
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise Refused(
            f"{https} is not reached or not to be trusted ({type(error).__name__}); check the address"
        ) from error
    if not answer.is_success:
        raise Refused(f"central answers {answer.status_code}: the code is unknown, used or too old; ask for a new one")
    told = answer.json()
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    with os.fdopen(os.open(folder / "edge.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    (folder / "edge.pem").write_text(told["certificate"])
    (folder / "ca.pem").write_text(told["ca"])
    return (
        f"site: {told['site']}\nedge: {told['edge']}\ncentral:\n  broker: {told['broker']}\n  http: {https}\n"
        f"  seal_key: {told['seal_key']}\n  sign_key: {told['sign_key']}\n"
        f"  tls: {{ca: {folder / 'ca.pem'}, certificate: {folder / 'edge.pem'}, key: {folder / 'edge.key'}}}\n"
    )


def _authority(https: str, expected: str) -> str:
    """The authority's certificate, if it is the one that the code names. Until then nobody is believed, and nothing is
    told."""
    nobody = ssl.create_default_context()
    nobody.check_hostname = False
    nobody.verify_mode = ssl.CERT_NONE
    with httpx.Client(base_url=https, verify=nobody, timeout=15.0, trust_env=False) as client:
        ca = client.get("/enrolment/ca").raise_for_status().text
    try:
        der = x509.load_pem_x509_certificate(ca.encode()).public_bytes(serialization.Encoding.DER)
    except ValueError as error:
        raise Refused(f"{https} shows no certificate; is it central?") from error
    if hashlib.sha256(der).hexdigest()[:16] != expected:
        raise Refused(f"{https} is not the central that gave this code; check address and code")
    return ca
