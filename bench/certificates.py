"""A certificate authority for one run, and one certificate for localhost."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_LIFE = timedelta(days=1)


class Certificates:
    """PEM files in `folder`: `ca`, and `certificate` with its `key` for localhost and 127.0.0.1.

    `pair` holds certificate and key together.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca, self.certificate = folder / "ca.pem", folder / "localhost.pem"
        self.key, self.pair = folder / "localhost.key", folder / "pair.pem"
        signer, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = _authority(signer)
        self.ca.write_bytes(authority.public_bytes(Encoding.PEM))
        self.certificate.write_bytes(_localhost(own, signer).public_bytes(Encoding.PEM))
        self.key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.key.chmod(0o600)
        self.pair.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())
        self.pair.chmod(0o600)


def _draft(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(_name("Benchmark CA"))
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
    )


def _authority(signer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(signer.public_key())
    draft = _draft("Benchmark CA", signer).add_extension(x509.BasicConstraints(True, None), critical=True)
    draft = draft.add_extension(usage, critical=True).add_extension(identifier, critical=False)
    return draft.sign(signer, hashes.SHA256())


def _localhost(own: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    draft = _draft("localhost", own).add_extension(names, critical=False)
    return draft.add_extension(identifier, critical=False).sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
