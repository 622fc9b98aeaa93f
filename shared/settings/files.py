"""The certificates and keys that settings name, read once at start, so that a wrong one ends the start.

Each function raises `SettingsError` with the setting, its file, what is wrong and what to do.
"""

import ssl
from pathlib import Path

from shared.settings.sections import Security, Tls
from shared.settings.sources import SettingsError

_CERT, _KEY = "server.tls.cert", "server.tls.key"


def check_tls(tls: Tls) -> None:
    """Check that the proxy's certificate and key can be used together."""
    if tls.files is None:
        return
    cert, key = tls.files
    if "BEGIN CERTIFICATE" not in _text(_CERT, cert):
        raise SettingsError(f"{_CERT}: {cert} holds no certificate in PEM form. Name a file with the chain.")
    private = _text(_KEY, key)
    if "PRIVATE KEY" not in private:
        raise SettingsError(f"{_KEY}: {key} holds no private key in PEM form. Name the certificate's key.")
    if "ENCRYPTED" in private:
        raise SettingsError(
            f"{_KEY}: the private key in {key} has a password. Remove it: openssl pkey -in {key} -out new.pem"
        )
    try:
        # Without a function for the password, OpenSSL would ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"{_KEY}: {key} is not the key of the certificate in {cert}.") from None
        raise SettingsError(
            f"{_CERT}, {_KEY}: {cert} and {key} cannot be used together: {error.reason or error}. "
            "Name a certificate and its key, both in PEM form."
        ) from None


def check_ca_file(security: Security) -> None:
    """Check that the operator's certificate authorities can be used."""
    file = security.ca_file
    if file is None:
        return
    _text("security.ca_file", file)
    try:
        ssl.create_default_context(cafile=str(file))
    except ssl.SSLError:
        raise SettingsError(
            f"security.ca_file: {file} holds no certificate in PEM form. Name a file with the authorities."
        ) from None


def _text(setting: str, file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SettingsError(
            f"{setting}: {file} cannot be read: {error.strerror}. Correct the path or the rights of the file."
        ) from None
