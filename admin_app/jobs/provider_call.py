"""One call of a provider by the admin process, with the provider's own credential."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlencode

from shared.bodies.json.parse import parse_json
from shared.core.http_tokens import MASK
from shared.model.providers import ProviderKey
from shared.net.port import FetchRequest
from shared.routing.provider_calls import ProviderCalls
from shared.secrets.redaction import redact
from shared.services import Services

_TIMEOUT_SECONDS: Final = 15.0
_MAX_BYTES: Final = 4 * 1024 * 1024  # a list of thousands of models
_SHOWN: Final = 300  # characters of an error


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a provider. `query` is added to the provider's own parameters."""

    method: str
    path: str
    body: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_list(cls, calls: ProviderCalls, **query: str) -> Self | None:
        """The call for the list of models; None: this kind has no list."""
        endpoint = calls.known.endpoint
        if endpoint.models is None:
            return None
        return cls("GET", endpoint.base.path.rstrip("/") + endpoint.models, query=query)


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """The response of a provider.

    Attributes:
        document: its JSON; None when it has none.
        trouble: why it is no success, without secrets; None when it is one.
    """

    status: int
    document: Any
    trouble: str | None


def first_key(calls: ProviderCalls, now: float) -> ProviderKey | None:
    """The first key that can be used now."""
    usable = (one for one in calls.keys if one.enabled and (one.expires_at is None or one.expires_at > now))
    return next(usable, None)


def call_provider(
    services: Services, calls: ProviderCalls, key: ProviderKey | None, call: Call
) -> ProviderResponse:
    """Call a provider. Raises `OutsideError` when there is no response."""
    endpoint = calls.known.endpoint
    own, query = calls.own_parts(key)
    query.update(call.query)
    headers = {**endpoint.headers, **own}
    if call.body:
        headers["Content-Type"] = "application/json"
    url = f"{endpoint.base.scheme}://{endpoint.base.authority}{call.path}"
    request = FetchRequest(
        method=call.method,
        url=f"{url}?{urlencode(query)}" if query else url,
        headers=headers,
        body=call.body,
        timeout=_TIMEOUT_SECONDS,
        max_bytes=_MAX_BYTES,
    )
    found = services.fetch(request, ca=calls.known.provider.ca)
    document = _parsed(found.body)
    trouble = None
    if not 200 <= found.status < 300:
        secrets = [*calls.credentials.values(), *calls.headers.values(), *calls.query.values()]
        trouble = _shown(_error_of(document), secrets) or f"The provider responded with {found.status}."
    elif document is None or (call.method == "GET" and listed_models(document) is None):
        trouble = "The response is not that of this API. Check base_url."
    return ProviderResponse(found.status, document, trouble)


def listed_models(document: Any) -> Sequence[Any] | None:
    """The items of a list of OpenAI's or Anthropic's shape; a bare list is Together's. None: it is none."""
    items = document.get("data") if isinstance(document, Mapping) else document
    return items if isinstance(items, list) else None


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError:
        return None


def _error_of(document: Any) -> str:
    error = document.get("error") if isinstance(document, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else error
    return message if isinstance(message, str) else ""


def _shown(text: str, secrets: Iterable[str]) -> str:
    """The text of a provider without what it repeats of the secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return redact(text)[:_SHOWN]
