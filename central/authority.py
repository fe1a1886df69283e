"""The city's own certificate authority: a key, its certificate, who was given one, and who lost it again."""

import fcntl
import hashlib
import ipaddress
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CENTRAL = "central"
"""The name of central's own certificate; the broker's access list gives it everything."""
_CA_DAYS = 3650
_LEAF_DAYS = 398
_CRL_DAYS = 3650
"""No box may fall silent because nobody renewed a list that has not changed."""
_SLACK = timedelta(minutes=10)


class Refused(ValueError):
    """Something that this authority does not sign or does not know; the message says why."""


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a broker may be reading it."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


class Authority:
    """A folder: ca.key, ca.pem, crl.pem, issued.json. Made at its first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not (folder / "ca.pem").exists():
            self._found()
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Refused(f"{folder / 'ca.key'}: not a key of ours; put the saved copy back")
        self._key = key
        self._ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())

    def _found(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name("Cửa Ô"))
            .issuer_name(_name("Cửa Ô"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SLACK)
            .not_valid_after(now + timedelta(days=_CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_key(self._folder / "ca.key", key)
        _write(self._folder / "ca.pem", _pem(certificate))
        self._key, self._ca = key, certificate
        self._keep({})
        self._publish({})

    @property
    def pem(self) -> bytes:
        return _pem(self._ca)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.pem)

    def issued(self) -> dict[str, dict[str, str]]:
        """Serial (hex) -> name, until, and revoked once it was."""
        told: dict[str, dict[str, str]] = json.loads((self._folder / "issued.json").read_bytes())
        return told

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Replicas and scripts/pki share the folder: a revocation must not be written over."""
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def sign(self, common: str, request: bytes, hosts: Sequence[str] = (), *, shown: str | None = None) -> bytes:
        """The certificate for this request, under our name for it whatever it calls itself. `shown` is the serial (hex)
        of the one that it follows. Raises Refused.
        """
        try:
            asked = x509.load_pem_x509_csr(request)
        except ValueError as error:
            raise Refused("not a certificate request in PEM") from error
        if not asked.is_signature_valid:
            raise Refused("the request is not signed by its own key")
        now = datetime.now(UTC)
        until = now + timedelta(days=_LEAF_DAYS)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(self._ca.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SLACK)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(name) for name in hosts]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        with self._alone():
            told = self.issued()
            if shown is not None and "revoked" in told.get(f"{int(shown, 16):x}", {"revoked": "never issued"}):
                raise Refused("the certificate that was shown is revoked")
            self._keep(told | {f"{certificate.serial_number:x}": {"name": common, "until": until.isoformat()}})
        return _pem(certificate)

    def issue(self, common: str, folder: Path, hosts: Sequence[str] = ()) -> None:
        """A key and its certificate as `<folder>/<common>.key` and `.pem`, with ours beside them."""
        key = ec.generate_private_key(ec.SECP256R1())
        write_key(folder / f"{common}.key", key)
        _write(folder / f"{common}.pem", self.sign(common, request_for(key, common), hosts))
        if folder != self._folder:
            _write(folder / "ca.pem", self.pem)

    def revoke(self, common: str) -> int:
        """Every certificate of that name that is still good; how many. The list must then reach broker and central."""
        with self._alone():
            told = self.issued()
            lost = [one for one in told.values() if one["name"] == common and "revoked" not in one]
            for one in lost:
                one["revoked"] = datetime.now(UTC).isoformat()
            self._keep(told)
            self._publish(told)
        return len(lost)

    def _keep(self, issued: dict[str, dict[str, str]]) -> None:
        _write(self._folder / "issued.json", json.dumps(issued, indent=1).encode())

    def _publish(self, issued: dict[str, dict[str, str]]) -> None:
        """The list of the revoked. Of two lists with the same second OpenSSL goes on with the one it read first, so
        each is dated later than the one before it."""
        now = datetime.now(UTC)
        path = self._folder / "crl.pem"
        dated = now - _SLACK
        if path.exists():
            last = x509.load_pem_x509_crl(path.read_bytes()).last_update_utc
            dated = min(max(dated, last + timedelta(seconds=1)), now)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._ca.subject)
        builder = builder.last_update(dated).next_update(now + timedelta(days=_CRL_DAYS))
        for serial, one in issued.items():
            if "revoked" in one:
                at = datetime.fromisoformat(one["revoked"])
                entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(at)
                builder = builder.add_revoked_certificate(entry.build())
        _write(path, _pem(builder.sign(self._key, hashes.SHA256())))


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def request_for(key: ec.EllipticCurvePrivateKey, common: str) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(common)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def fingerprint(pem: bytes) -> str:
    """How a person compares two authorities: the beginning of the certificate's SHA-256."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()[:16]
