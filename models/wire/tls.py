"""One way to speak TLS: both sides show a certificate of the city's own authority, and nothing else is believed."""

import ssl
from pathlib import Path


class BadCertificate(ValueError):
    """A certificate or key that cannot be used; the message says which file."""


def context(ca: Path, certificate: Path, key: Path, *, serves: bool = False) -> ssl.SSLContext:
    """Raises BadCertificate. A server asks for the other's certificate without insisting: a new box has none yet."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if serves else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_verify_locations(ca)
        made.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise BadCertificate(
            f"TLS: one of {ca}, {certificate}, {key} cannot be used ({error.strerror or error}); scripts/pki makes them"
        ) from error
    if serves:
        made.verify_mode = ssl.CERT_OPTIONAL
    return made


def revoke(made: ssl.SSLContext, crl: Path) -> None:
    """From now on refuse what this list names. Call it again when the file has changed."""
    made.load_verify_locations(crl)
    made.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
