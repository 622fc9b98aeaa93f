"""A provider as the calls of one tenant use it: its keys, opened, and the upstream of each call."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from shared.core.errors import GatewayError
from shared.core.http_tokens import KEY_HEADERS
from shared.http.forwarding import OwnHeaders
from shared.model.messages import encoded
from shared.model.providers import Provider, ProviderKey
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
# Also not for a provider: cookies are for the host of the gateway, and its requests have no content coding.
_DROPPED = (*_ACCOUNT, *KEY_HEADERS, "authorization", "content-encoding", "cookie")
_BEARER, _HEADER, _QUERY = "bearer", "header", "query"


@dataclass(frozen=True, slots=True)
class ProviderCalls:
    """What calls of a provider need.

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
            OwnHeaders({"Accept-Encoding": "identity"}),
            timeouts=timeouts,
            ca=self.known.provider.ca,
            path=endpoint.path(call.api, call.path, model),
            query=_written(endpoint.query),
            defaults=tuple((encoded(name), encoded(text)) for name, text in endpoint.headers.items()),
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
            KnownProvider(provider, owner, endpoint, discovered),
            {key.id: text for key in provider.keys if (text := self._key(key, owner, provider, origin))},
            {
                name: self.sealer.open(value.text, provider_header_context(*context, name, origin))
                for name, value in provider.headers.items()
            },
            {
                name: self.sealer.open(value.text, provider_query_context(*context, name, origin))
                for name, value in provider.query.items()
            },
            self.timeouts.with_own(provider.timeouts),
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
                raise ValueError(f"{name} is not among the secrets that the operator opened")
            return text
        except (GatewayError, ValueError) as error:
            logger.error("Key %s of provider %s cannot be used: %s", key.id, provider.id, error)
            return None
