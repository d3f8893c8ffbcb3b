"""A certificate authority for test servers on 127.0.0.1."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_DAY = timedelta(days=1)
_NO_USE = dict.fromkeys(
    (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "encipher_only", "decipher_only"),
    ),
    False,
)
_SIGNS_CERTIFICATES = x509.KeyUsage(key_cert_sign=True, crl_sign=True, **_NO_USE)


class Authority:
    """One authority. `file` is its certificate, for clients that trust it.

    Python 3.13 verifies strictly and requires the key identifiers, unless it is told not to.
    """

    def __init__(self, folder: Path, *, identifiers: bool = True) -> None:
        self._identifiers = identifiers
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("made-up CA")
        certificate = (
            self._builder(self._name, self._key, _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .sign(self._key, SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server(
        self, *, address: str = "127.0.0.1", days_left: int = 1, self_signed: bool = False
    ) -> ssl.SSLContext:
        """The context of a server that proves to be `address`, or did until `days_left`.

        `self_signed`: the key signs its own certificate.
        """
        key = self._key if self_signed else ec.generate_private_key(ec.SECP256R1())
        subject = self._name if self_signed else _name("made-up server")
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        certificate = (
            self._builder(subject, key, days_left * _DAY)
            .add_extension(names, critical=False)
            .sign(self._key, SHA256())
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem = self._folder / "server.pem"
        pem.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta
    ) -> x509.CertificateBuilder:
        """The common part."""
        now = datetime.now(UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * _DAY)
            .not_valid_after(now + life)
        )
        if not self._identifiers:
            return builder
        return builder.add_extension(issuer, critical=False).add_extension(own, critical=False)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
