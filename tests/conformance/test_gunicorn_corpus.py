"""Requests that gunicorn's parser rejects never reach an upstream, but for those that RFC 9112 lets us read.

They are in the source package of the gunicorn that is installed. Each request of its corpus goes as it is, and once more with a Host and a key that are good, so that
nothing but its own fault can stop it.
"""

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conformance.wire import Wire, heads_are_clean

_LIMIT = "gunicorn's default, or a limit set for that test; ours is 32 KiB and 100 fields"
_UNDERSCORE = "an underscore is a character of names (RFC 9110, 5.6.2); gunicorn speaks of CGI's variables"
_TRAILER = "trailers may be dropped unread (RFC 9110, 6.5.1), and are"
_ESCAPE = re.compile(rb"\\(?:([rnt0])|x([0-9a-fA-F]{2}))")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}
#: Requests that may be forwarded, in one clean form, and why.
ALLOWED = {
    "007": _LIMIT,
    "008": _LIMIT,
    "009": _LIMIT,
    "010": _LIMIT,
    "011": _LIMIT,
    "012": _LIMIT,
    "017": _LIMIT,
    "limit_header_default_01": _LIMIT,
    "019": "X-Forwarded-* that contradict each other are no fault of the message; ours replace them",
    "040": _UNDERSCORE,
    "chunked_07": _UNDERSCORE,
    "041": "two Content-Types are no fault of the framing; repeated headers stay repeated",
    "chunked_09": "white space before the end of a size line: RFC 9112, 7.1.1 allows it before an extension",
    "chunked_14": "the extension is dropped unread (RFC 9112, 7.1.1); gunicorn looks into it",
    "rfc9110_trailer_forbidden_cl_01": _TRAILER,
    "rfc9110_trailer_forbidden_host_01": _TRAILER,
    "rfc9110_trailer_forbidden_te_01": _TRAILER,
    "rfc9112_bare_lf_01": "a bare LF may end a line (RFC 9112, 2.2); it is forwarded as CRLF",
    "rfc9112_leading_crlf_02": "empty lines before a request may be ignored (RFC 9112, 2.2)",
}


def corpus(cache: Path) -> dict[str, bytes]:
    """Each request by its name. Raises RuntimeError, in a sentence, when the package cannot be had."""
    return dict(_requests(_package(cache)))


def _package(cache: Path) -> Path:
    name = f"gunicorn-{version('gunicorn')}.tar.gz"
    if not (cache / name).exists():
        requirement = f"gunicorn=={version('gunicorn')}"
        ask = [sys.executable, "-m", "pip", "download", "--no-binary", ":all:", "--no-deps", requirement]
        done = subprocess.run([*ask, "--dest", str(cache)], capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(
                f"The source package of {requirement} could not be downloaded with pip, so its corpus of "
                f"invalid requests cannot be tried. pip said: {done.stderr[-500:]}"
            )
    return cache / name


def _requests(package: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(package) as archive:
        for member in archive:
            path = Path(member.name)
            if path.match("tests/requests/invalid/*.http") and (file := archive.extractfile(member)):
                yield path.stem, _decode(file.read())


def _decode(text: bytes) -> bytes:
    """Line breaks of the file are for the eye; those of the request are written as escapes."""

    def byte(escape: re.Match[bytes]) -> bytes:
        return _PLAIN[escape[1]] if escape[1] else bytes([int(escape[2], 16)])

    return _ESCAPE.sub(byte, text.replace(b"\n", b""))


@pytest.fixture(scope="module")
def requests(pytestconfig: pytest.Config) -> dict[str, bytes]:
    return corpus(Path(pytestconfig.cache.mkdir("gunicorn")))


def with_our_host(wire: Wire, raw: bytes) -> bytes:
    """The request under the tenant's Host and with its key."""
    key = f"Authorization: Bearer {wire.tenant.key}\r\n".encode()
    host = f"Host: {wire.tenant.host}".encode()
    if re.search(rb"\r\nHost: [^\r\n]*", raw):
        raw = re.sub(rb"\r\nHost: [^\r\n]*", b"\r\n" + host, raw, count=1)
        return raw.replace(host, host + b"\r\n" + key[:-2], 1)
    return raw.replace(b"\r\n", b"\r\n" + host + b"\r\n" + key, 1)


def test_invalid_requests_of_gunicorns_corpus_reach_no_upstream(
    wire: Wire, requests: dict[str, bytes]
) -> None:
    assert len(requests) > 70
    assert set(ALLOWED) <= set(requests)
    let_through = set()
    for name, raw in requests.items():
        for variant in (raw, with_our_host(wire, raw)):
            wire.upstream.forget()
            client = wire.client(variant)
            client.half_close()
            client.rest()
            client.close()
            if name in ALLOWED and wire.upstream.received:
                heads_are_clean(wire.upstream.received)
            elif wire.upstream.raw:
                let_through.add(name)
    assert not let_through
    wire.upstream.forget()
    wire.nothing_reached_the_upstream()
