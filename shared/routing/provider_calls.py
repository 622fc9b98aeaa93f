"""A provider as the calls of one tenant use it: its keys, opened, and the upstream of each call."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from shared.bodies.json.parse import parse_json
from shared.core.errors import GatewayError
from shared.core.http_tokens import KEY_HEADERS
from shared.http.forwarding import OwnHeaders
from shared.http.sent_secrets import SentSecrets
from shared.model.messages import encoded
from shared.model.providers import Provider, ProviderKey
from shared.net.port import FetchRequest, FetchResponse
from shared.providers.calls import ApiCall
from shared.providers.resolve import KnownProvider
from shared.providers.shipped.presets import Endpoint
from shared.routing.timeouts import UpstreamTimeouts
from shared.routing.upstream import Upstream
from shared.secrets.context import (
    PLATFORM,
    provider_header_context,
    provider_key_context,
    provider_query_context,
)
from shared.secrets.redaction import redact
from shared.secrets.sealing import AesSealer

logger = logging.getLogger(__name__)

# Headers with which a client could name another account of the provider, or another way to pay: those of
# OpenAI, Anthropic, Google, Azure and Amazon.
_ACCOUNT = (
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "anthropic-user-profile-id",
    "anthropic-worker-id",
    "anthropic-workspace-id",
    "x-goog-iam-authority-selector",
    "x-goog-iam-authorization-token",
    "x-goog-quota-user",
    "x-goog-user-project",
    "ocp-apim-subscription-key",
    "x-amz-date",
    "x-amz-security-token",
)
# Headers with which some servers take a request for one with another method than the gateway has judged.
_METHOD = ("x-http-method", "x-http-method-override", "x-method-override")
# Headers with which a client asks for a version of its API, or for parts of it.
_OF_API = (
    *("anthropic-beta", "anthropic-version", "anthropic-dangerous-direct-browser-access"),
    *("openai-beta", "x-client-request-id"),
)
# Also not for a provider: cookies are for the host of the gateway, and its requests have no content coding.
_DROPPED = (*_ACCOUNT, *KEY_HEADERS, *_METHOD, "authorization", "content-encoding", "cookie")
_TIMEOUT_SECONDS: Final = 15.0
_MAX_BYTES: Final = 4 * 1024 * 1024  # a list of thousands of models
_MAX_ERROR: Final = 300  # the most characters of an error that are kept
_BEARER, _HEADER, _QUERY = "bearer", "header", "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCalls:
    """The values that calls of a provider need.

    Attributes:
        known: the provider, its names and where it is.
        credentials: the opened keys by their ids; one that cannot be opened is missing.
        headers, query: its own, opened.
        timeouts: those of its calls.
    """

    known: KnownProvider
    credentials: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)

    @property
    def keys(self) -> tuple[ProviderKey, ...]:
        """The keys that could be opened."""
        return tuple(key for key in self.known.provider.keys if key.id in self.credentials)

    def own_parts(self, key: ProviderKey | None) -> tuple[dict[str, str], dict[str, str]]:
        """The headers and the parameters of each call with a key; None: the provider needs none."""
        endpoint = self.known.endpoint
        query = {**endpoint.query, **self.query}
        headers = {**endpoint.own, **self.headers, "Accept-Encoding": "identity"}
        if key is not None:
            secret, auth = self.credentials[key.id], endpoint.auth
            if auth.type == _BEARER:
                headers["Authorization"] = f"Bearer {secret}"
            elif auth.type == _HEADER:
                headers[auth.name] = secret
            elif auth.type == _QUERY:
                query[auth.name] = secret
        return headers, query

    def upstream(
        self, call: ApiCall, model: str, key: ProviderKey | None, timeouts: UpstreamTimeouts
    ) -> Upstream:
        """The upstream of a call. `key` is None for a provider that needs none."""
        endpoint = self.known.endpoint
        headers, query = self.own_parts(key)
        own = {name.lower() for name in headers}
        secrets = {**self.headers, **self.query}
        if key is not None:
            secrets[endpoint.auth.name or "Authorization"] = self.credentials[key.id]
        return Upstream(
            endpoint.base,
            OwnHeaders(headers, _DROPPED),
            timeouts=timeouts,
            ca=self.known.provider.ca,
            path=endpoint.path(call.api, call.path, model),
            query=_written(query),
            secrets=secrets,
            key="" if key is None else self.credentials[key.id],
            defaults=tuple(
                (encoded(name), encoded(value))
                for name, value in endpoint.headers.items()
                if name.lower() not in own
            ),
        )

    def upstream_for_client(self, call: ApiCall, model: str, timeouts: UpstreamTimeouts) -> Upstream:
        """The upstream of a call with the client's own credential: it gets nothing of the provider's."""
        endpoint = self.known.endpoint
        return Upstream(
            endpoint.base,
            OwnHeaders({"Accept-Encoding": "identity"}, _METHOD),
            timeouts=timeouts,
            ca=self.known.provider.ca,
            path=endpoint.path(call.api, call.path, model),
            query=_written(endpoint.query),
            defaults=tuple((encoded(name), encoded(text)) for name, text in endpoint.headers.items()),
        )

    def for_translated(self, upstream: Upstream) -> Upstream:
        """The same upstream for translated requests: it gets nothing that is for the client's API."""
        auth = self.known.endpoint.auth
        place = {_BEARER: "Authorization", _HEADER: auth.name}.get(auth.type)
        return replace(
            upstream,
            own=upstream.own.with_json(_OF_API),
            is_translated=True,
            credential=(encoded(place), auth.type == _BEARER) if place else None,
        )


def _written(query: Mapping[str, str]) -> str:
    """The query as it stands in a URL: names and values percent-encoded."""
    return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in query.items())


@dataclass(frozen=True, slots=True)
class ProviderCompiler:
    """Compiles providers.

    Attributes:
        sealer: decrypts secrets.
        timeouts: those of the operator.
        opened: the secrets that the operator opened for providers of the platform, by ``env:<name>`` and
            ``file:<name>``.
    """

    sealer: AesSealer
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)
    opened: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __call__(
        self, provider: Provider, owner: str, discovered: frozenset[str] = frozenset()
    ) -> ProviderCalls:
        """Compile a provider of a tenant or of the platform.

        A key that cannot be opened is left out and logged. Raises ValueError when the provider as a whole
        cannot be used.
        """
        endpoint = Endpoint.of(provider)
        origin, context = endpoint.base.origin, (owner, provider.id)
        return ProviderCalls(
            known=KnownProvider(provider, owner, endpoint, discovered),
            credentials={
                key.id: text for key in provider.keys if (text := self._key(key, owner, provider, origin))
            },
            headers={
                name: self.sealer.open(value.text, provider_header_context(*context, name, origin))
                for name, value in provider.headers.items()
            },
            query={
                name: self.sealer.open(value.text, provider_query_context(*context, name, origin))
                for name, value in provider.query.items()
            },
            timeouts=self.timeouts.with_own(provider.timeouts),
        )

    def _key(self, key: ProviderKey, owner: str, provider: Provider, origin: str) -> str | None:
        try:
            if key.secret is not None:
                return self.sealer.open(
                    key.secret.text, provider_key_context(owner, provider.id, key.id, origin)
                )
            if owner != PLATFORM:
                raise ValueError("only keys of the platform may be in the environment or in files")
            name = f"env:{key.env}" if key.env is not None else f"file:{key.file}"
            if (text := self.opened.get(name)) is None:
                raise ValueError(f"{name} is not among the secrets that the operator opened, or is no secret")
            return text
        except (GatewayError, ValueError) as error:
            logger.error("Key %s of provider %s cannot be used: %s", key.id, provider.id, error)
            return None


# Calls of the gateway's own, with the provider's credential: for its list of models, and for tests.


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
        trouble: why it is not a success, without secrets; None when it is one.
        body: as it came.
    """

    status: int
    document: Any
    trouble: str | None
    body: bytes = field(default=b"", repr=False)


def first_key(calls: ProviderCalls, now: float) -> ProviderKey | None:
    """The first key that can be used now."""
    usable = (one for one in calls.keys if one.enabled and (one.expires_at is None or one.expires_at > now))
    return next(usable, None)


def call_provider(
    fetch: Callable[..., FetchResponse], calls: ProviderCalls, key: ProviderKey | None, call: Call
) -> ProviderResponse:
    """Call a provider by `Services.fetch`. Raises `OutsideError` when there is no response."""
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
    found = fetch(request, ca=calls.known.provider.ca)
    document = _parsed(found.body)
    trouble = None
    if not 200 <= found.status < 300:
        secrets = [*calls.credentials.values(), *calls.headers.values(), *calls.query.values()]
        trouble = (
            _without_secrets(_error_of(document), secrets) or f"The provider responded with {found.status}."
        )
    elif document is None or (call.method == "GET" and listed_models(document) is None):
        trouble = "The response is not that of this API. Check base_url."
    return ProviderResponse(found.status, document, trouble, found.body)


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


def _without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text of a provider without what it repeats of the secrets."""
    left = SentSecrets(filter(None, secrets)).removed(text.encode(errors="replace"))  # a header may be empty
    return redact(left.decode())[:_MAX_ERROR]
