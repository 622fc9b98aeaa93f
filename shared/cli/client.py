"""The one HTTP client of `gw`: it calls the admin API, and turns each error into a `Failure`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from shared.cli.failures import Failure, failure_of
from shared.core import COMMAND, VERSION
from shared.core.addresses import is_own_name
from shared.core.empty import EMPTY

#: The longest time for a connection, and for the next part of a response.
TIMEOUT_SECONDS: Final = 10.0
#: The time for calls that check or write many objects.
LONG_TIMEOUT_SECONDS: Final = 120.0
_PAGE: Final = 500
# Only reads are repeated: a change whose response is lost may have been made.
_RETRIES: Final = Retry(
    total=2,
    backoff_factor=0.2,
    allowed_methods=["GET"],
    status_forcelist=[502, 503, 504],
    respect_retry_after_header=False,
    raise_on_status=False,
)


@dataclass
class AdminApi:
    """The admin API at `url`, with the rights of `token`; without one, those of a caller on this machine."""

    url: str
    token: str | None = field(default=None, repr=False)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a resource. Parameters that are None are not sent. Raises `Failure`."""
        return self._json(self._call("GET", f"/api/v1{path}", params=query))

    def get_slowly(self, path: str) -> Any:
        """The JSON of a resource that takes a while. Raises `Failure`."""
        return self._json(self._call("GET", f"/api/v1{path}", timeout=LONG_TIMEOUT_SECONDS))

    def text(self, path: str, **query: Any) -> str:
        """The body of a resource as text. Raises `Failure`."""
        return self._call("GET", f"/api/v1{path}", params=query).text

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        message: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Any:
        """Change something. The JSON of the response; None if it has no body. Raises `Failure`.

        `message` is the reason, as versions and the audit log keep it.
        """
        headers = {} if message is None else {"X-Gateway-Message": message.encode()}
        response = self._call(method, f"/api/v1{path}", json=body, headers=headers, timeout=timeout)
        return self._json(response) if response.content else None

    def pages(self, path: str, member: str, **query: Any) -> Iterator[Any]:
        """All items of a list, page by page. Raises `Failure`."""
        cursor: str | None = None
        while True:
            page = self.get(path, **{"limit": _PAGE, **query, "cursor": cursor})
            yield from page[member]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def probe(self, path: str) -> tuple[int, Any]:
        """Status and JSON of a probe, whether it is well or not; tried once. Raises `Failure`."""
        response = self._request("GET", path)
        return response.status_code, self._json(response)

    def date(self) -> str:
        """The time at the gateway, as its responses tell it. Raises `Failure`."""
        return self._request("GET", "/version").headers.get("Date", "")

    def _call(self, method: str, path: str, **sent: Any) -> requests.Response:
        response = self._request(method, path, **sent)
        if response.ok and not response.is_redirect:
            return response
        if response.is_redirect:
            raise Failure(
                f"{self.url} sends to another address: {response.headers['Location']}",
                "Use that address: `gw login --url ADDRESS`, or GW_URL.",
            )
        raise failure_of(response.status_code, self._json(response))

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, Any] = EMPTY,
        timeout: float = TIMEOUT_SECONDS,
        **sent: Any,
    ) -> requests.Response:
        try:
            return self._session.request(
                method, self.url + path, headers=headers, timeout=timeout, allow_redirects=False, **sent
            )
        except requests.exceptions.SSLError as error:
            raise Failure(
                f"The certificate of {self.url} is not accepted: {_cause(error)}",
                "Correct the address, or set REQUESTS_CA_BUNDLE to the file of your certificate authority.",
            ) from None
        except requests.Timeout:
            raise Failure(
                f"{self.url} did not respond within {timeout:g} s.", "Repeat the command, or see `gw status`."
            ) from None
        except (requests.RequestException, ValueError) as error:
            raise Failure(
                f"{self.url} cannot be called: {_cause(error)}",
                "Start the gateway (`gw up`), or name its address by GW_URL or `gw login --url ADDRESS`.",
            ) from None

    def _json(self, response: requests.Response) -> Any:
        try:
            document = response.json()
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        raise Failure(
            f"{self.url} responds with status {response.status_code}, and not as the admin API does.",
            "Name the address of the admin API by GW_URL; its default port is 8080.",
        )

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers["User-Agent"] = f"{COMMAND}/{VERSION}"
        session.auth = self._authorize
        # A proxy of the environment cannot reach this machine.
        session.trust_env = not is_own_name(urlsplit(self.url).hostname or "")
        session.mount("http://", HTTPAdapter(max_retries=_RETRIES))
        session.mount("https://", HTTPAdapter(max_retries=_RETRIES))
        for probe in ("/readyz", "/version"):
            session.mount(self.url + probe, HTTPAdapter())
        return session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token. As it is set, requests does not look for a password in ~/.netrc."""
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _cause(error: BaseException) -> str:
    """The innermost reason of an error, as a sentence."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{text.rstrip('.')}."
