"""How a new box becomes one of the city's: a one-time code, a key that never leaves it, a certificate."""

import hashlib
import logging
import os
import random
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.settings import Tls

log = logging.getLogger(__name__)

_LOOK_S = 3600.0


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
        asked = {"code": secret, "request": _request(key)}
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


class Renewal:
    """Sees to it, on a thread of its own, that the box's certificate does not run out. Its key stays the same; for a
    new key the box is invited anew. Connections that are made from then on show the new one.
    """

    def __init__(self, https: str, files: Tls, known: ssl.SSLContext) -> None:
        self._https = https
        self._files = files
        self._known = known
        self.failures = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="certificate", daemon=True)

    @property
    def days_left(self) -> int:
        """Whole days until it ends; negative once it has."""
        return (_certificate(self._files).not_valid_after_utc - datetime.now(UTC)).days

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()

    def _keep(self) -> None:
        while not self._closing.is_set():
            try:
                if is_due(_certificate(self._files), datetime.now(UTC)):
                    self.renew()
            except (Refused, OSError, ValueError) as error:
                self.failures += 1
                log.warning("certificate: not renewed (%s); %d days are left", error, self.days_left)
            self._closing.wait(_LOOK_S * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)

    def renew(self) -> None:
        """Raises Refused; the present certificate stays then."""
        key = serialization.load_pem_private_key(Path(self._files.key).read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Refused(f"{self._files.key} is no key of ours; let the box be invited anew")
        try:
            with httpx.Client(base_url=self._https, verify=self._known, timeout=15.0, trust_env=False) as client:
                answer = client.post("/enrolment/renew", json={"request": _request(key)})
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise Refused(f"{self._https} is not reached ({type(error).__name__})") from error
        if not answer.is_success:
            raise Refused(f"central answers {answer.status_code}")
        pem = answer.json()["certificate"].encode()
        if x509.load_pem_x509_certificate(pem).public_key() != key.public_key():
            raise Refused("central's answer is not for this box's key")
        path = Path(self._files.certificate)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(pem)
        part.replace(path)
        self._known.load_cert_chain(path, self._files.key)
        log.info("certificate: renewed, %d days", self.days_left)


def _certificate(files: Tls) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """In the last third of its time."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now > end - (end - begin) / 3


def _request(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


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
