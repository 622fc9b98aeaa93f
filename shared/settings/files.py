"""The certificates and keys that settings name, read once at start, so that a wrong one ends the start.

Each check raises `SettingsError` with the setting, its file, what is wrong and what to do.
"""

import importlib.util
import ssl
from datetime import datetime
from pathlib import Path

from shared.settings.observe import Otel
from shared.settings.sections import Security, Tls
from shared.settings.sources import SettingsError

_CERT, _KEY = "server.tls.cert", "server.tls.key"
_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_INSTALL = "pip install --require-hashes -r requirements-otel.txt"
_DATE = "%Y-%m-%dT%H:%M:%SZ"


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


def check_export(otel: Otel) -> None:
    """Check that the packages are installed which export spans, if the settings name a collector."""
    if otel.endpoint is None:
        return
    try:
        found = importlib.util.find_spec(_EXPORTER)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise SettingsError(
            f"otel.endpoint: the packages that export spans are not installed. Install them with "
            f"`{_INSTALL}`, or remove this setting and OTEL_EXPORTER_OTLP_ENDPOINT."
        )


def tls_warning(tls: Tls, now: datetime) -> str | None:
    """A sentence about a certificate of the proxy's chain that is not valid `now`; None if all are.

    A file that cannot be read gives no warning: `check_tls` names it at the start, the workers at a reload.
    """
    if tls.cert is None:
        return None
    from cryptography import x509  # noqa: PLC0415 -- 10 MB, which a proxy without TLS does not need

    try:
        chain = x509.load_pem_x509_certificates(tls.cert.read_bytes())
    except (OSError, ValueError):
        return None
    for one in chain:
        begin, end = one.not_valid_before_utc, one.not_valid_after_utc
        if begin <= now <= end:
            continue
        fault = f"expired at {end:{_DATE}}" if now > end else f"is not valid before {begin:{_DATE}}"
        return (
            f"{_CERT}: the certificate in {tls.cert} {fault}, so clients reject it. Replace the file, and "
            "send SIGHUP to the proxy."
        )
    return None


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
