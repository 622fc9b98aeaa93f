"""Calls to services that tenants name: checked and bounded, without implicit headers, proxies or cookies."""

import ssl
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from shared.core.clock import Clock
from shared.core.errors import OutsideError
from shared.net.connections import Call, Guard, OwnedPools
from shared.net.policy import Policy
from shared.net.port import FetchRequest, FetchResponse

# Without these two, the libraries would send their own.
_DEFAULT_HEADERS = {"User-Agent": "ai-gateway", "Accept-Encoding": "identity"}


class GuardedFetch:
    """The port `Fetch` on pooled connections. Safe to use from several threads.

    `ca_file` and `ca` are certificates (PEM) that are trusted besides certifi's. The environment is not
    used: no proxy, no .netrc, no other bundle.
    """

    def __init__(
        self, policy: Policy, clock: Clock, ca_file: Path | None = None, ca: str | None = None
    ) -> None:
        self._clock = clock
        self._guard = Guard(policy)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        trust = ssl.create_default_context(cafile=certifi.where())
        if ca_file is not None:
            trust.load_verify_locations(ca_file)
        if ca is not None:
            trust.load_verify_locations(cadata=ca)
        adapter = _Adapter()
        # Connections of 256 hosts and owners are kept, at most 32 each: one per thread of the default pool.
        adapter.poolmanager = OwnedPools(self._guard, num_pools=256, maxsize=32, ssl_context=trust)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def __call__(self, request: FetchRequest, *, owner: str = "") -> FetchResponse:
        """Raises `OutsideError` unless there is a complete response within the timeout."""
        headers = {**_DEFAULT_HEADERS, **request.headers}
        made = requests.Request(request.method, request.url, headers=headers, data=request.body)
        with Call(self._clock, request.timeout) as call:
            self._guard.call, self._guard.owner = call, owner
            try:
                prepared = self._session.prepare_request(made)
                left = call.left()
                response = self._session.send(prepared, stream=True, allow_redirects=False, timeout=left)
                with response:
                    content = _read(response, request.max_bytes) if request.max_bytes else b""
                # A response without a length also ends when the connection is closed at the deadline.
                call.left()
                return FetchResponse(response.status_code, response.headers, content)
            except (requests.RequestException, HTTPError, OSError) as error:
                # The message of the library contains addresses.
                raise OutsideError(_reason(error, call)) from None
            finally:
                self._guard.call = None

    def close(self) -> None:
        self._session.close()


class _Adapter(HTTPAdapter):
    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing: the TLS context has the certificates. requests would load others each time."""


def _read(response: requests.Response, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := response.raw.read(min(65_536, max_bytes + 1 - len(body)), decode_content=False):
        body += chunk
        if len(body) > max_bytes:
            raise OutsideError(f"The response of the service is longer than {max_bytes} bytes.")
    return bytes(body)


def _reason(error: Exception, call: Call) -> str:
    if call.is_over or isinstance(error, requests.Timeout | TimeoutError):
        return "The service did not respond in time."
    if isinstance(error, requests.exceptions.SSLError):
        return "The certificate of the service is not trusted, or is for another name."
    return "The service closed the connection, or its response is not HTTP."
