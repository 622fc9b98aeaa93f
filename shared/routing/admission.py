"""Admission: the tenant, key and rule of a request, decided by its head alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from shared.core.errors import BODY_TOO_LONG, KEY_NOT_ACTIVE, Rejection, make_rejection
from shared.core.http_tokens import CHALLENGE, KEY_HEADERS, LABEL, PORT
from shared.core.memo import Memo
from shared.http.forwarding import passed_here
from shared.http.paths import normalize_path
from shared.model.config import ApiKey, Scope
from shared.model.messages import Headers
from shared.routing.compile import Gateway, Route
from shared.routing.router import allowed_methods, match_method
from shared.secrets.api_keys import PepperedHasher, parse_key

_LABEL = re.compile(LABEL)

#: One body for a malformed key, an unknown key, another tenant's key and an unknown tenant.
INVALID_KEY = make_rejection(
    "invalid_api_key",
    "The API key is not valid. Check the key, and that it belongs to the called tenant.",
    CHALLENGE,
)
MISSING_KEY = make_rejection(
    "missing_api_key",
    "An API key is required. Send it as 'Authorization: Bearer <key>', 'x-api-key' or 'api-key'.",
    CHALLENGE,
)


@dataclass(frozen=True, slots=True)
class HostRules:
    """How Host headers name tenants.

    Under a host in `shared`, and with `any_address` under an IP address, the API key names the tenant.
    """

    base_domain: str
    shared: tuple[str, ...]
    any_address: bool
    _known: Memo[str, str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", Memo(self._parse))

    def parse(self, host: str) -> str | None:
        """The subdomain of the tenant; None under a shared host.

        Raises ValueError for every other Host: unknown names, several labels, invalid characters.
        """
        return self._known[host]

    def _parse(self, host: str) -> str | None:
        name = PORT.sub("", host.lower())
        if self.any_address and _is_address(name):
            return None
        name = name.removesuffix(".")
        if name in self.shared:
            return None
        for domain in (self.base_domain, "localhost"):
            label = name.removesuffix("." + domain)
            if label != name and _LABEL.fullmatch(label):
                return label
        raise ValueError(f"The Host must be <tenant>.{self.base_domain}, or one of the shared hosts.")


def _is_address(name: str) -> bool:
    """Whether this is an IPv4 address, or an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    bracketed = name.startswith("[") and name.endswith("]") and "%" not in name
    kind, text = (IPv6Address, name[1:-1]) if bracketed else (IPv4Address, name)
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


def presented_keys(headers: Headers) -> tuple[str, ...]:
    """Every distinct credential in the head, in order, of whatever scheme and form."""
    found = []
    for value in headers.all("authorization"):
        scheme, _, text = value.strip().partition(" ")
        found.append(text.strip() if scheme.lower() == "bearer" else value)
    for name in KEY_HEADERS:
        found += [value.strip() for value in headers.all(name)]
    texts = [text for text in found if text]
    return tuple(texts if len(texts) < 2 else dict.fromkeys(texts))


def one_key(presented: Sequence[str]) -> str | None:
    """The key, if exactly one was presented and is well-formed; otherwise None."""
    if len(presented) != 1:
        return None
    try:
        return parse_key(presented[0])
    except ValueError:
        return None


class Call(NamedTuple):
    """The tenant, path and key that a head names, before any look-up.

    `subdomain` is None under a shared host, `key_hash` without a well-formed key. `has_key` is True if there
    is any credential.
    """

    subdomain: str | None
    path: str
    has_key: bool
    key_hash: str | None


def read_call(
    headers: Headers, target: str, hosts: HostRules, hasher: PepperedHasher, via: str
) -> Call | Rejection:
    """Read a head that has a Host. `target` is as it was sent; `via` is the name of this deployment."""
    try:
        subdomain = hosts.parse(headers["host"])
    except ValueError as error:
        return make_rejection("invalid_host", str(error))
    try:
        path = normalize_path(target.partition("?")[0])
    except ValueError as error:
        return make_rejection("bad_request", str(error))
    if passed_here(headers, via):
        return make_rejection("loop_detected")
    presented = presented_keys(headers)
    key = one_key(presented)
    return Call(subdomain, path, bool(presented), hasher(key) if key else None)


def too_large(limit: int) -> Rejection:
    """The rejection of a body above `limit` bytes."""
    return make_rejection("body_too_large", BODY_TOO_LONG.format(limit))


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may be forwarded by `route`. `key` is None on a public rule without a key."""

    gateway: Gateway
    route: Route
    key: ApiKey | None


def admit(
    gateway: Gateway | None, key_hash: str | None, has_key: bool, method: str, path: str, now: float
) -> Admitted | Rejection:
    """Decide a request to the normalized `path`. `gateway` is None if the tenant is unknown.

    `key_hash` and `has_key` are those of `Call`. Without a valid key a caller learns only that the key is
    not valid: the order of the checks ensures this.
    """
    if gateway is None:
        return INVALID_KEY if has_key else MISSING_KEY
    routes = gateway.router.match_path(path)
    route = match_method(routes, method)
    key = gateway.keys.get(key_hash) if key_hash else None
    rejection = _check_key(key, has_key, now)
    if route is not None and route.rule.public:
        key, rejection = (None if rejection else key), None
    if rejection:
        return rejection
    if gateway.snapshot.tenant.status != "active":
        return make_rejection("tenant_disabled", "This tenant is disabled. Ask the operator of the gateway.")
    return _check_route(gateway, routes, route, key, path)


def _check_key(key: ApiKey | None, has_key: bool, now: float) -> Rejection | None:
    if key is None:
        return INVALID_KEY if has_key else MISSING_KEY
    status = key.status(now)
    if status != "active":
        message = KEY_NOT_ACTIVE.format(key.prefix, status)
        return make_rejection(f"api_key_{status}", message, CHALLENGE)
    if Scope.PROXY not in key.scopes:
        return make_rejection(
            "forbidden", f"The API key {key.prefix}… lacks the scope 'proxy'. Use another key."
        )
    return None


def _check_route(
    gateway: Gateway, routes: Sequence[Route], route: Route | None, key: ApiKey | None, path: str
) -> Admitted | Rejection:
    if not routes:
        return make_rejection("no_matching_rule", f"No rule of this tenant matches the path {path[:200]}.")
    if "%2F" in path and (route is None or route.rule.encoded_slashes != "allow"):
        return make_rejection("bad_request", "The path must not contain %2F (an encoded slash).")
    if route is None:
        allow = allowed_methods(routes)
        return make_rejection("method_not_allowed", f"This path allows only {allow}.", {"Allow": allow})
    if route.fault is not None:
        return make_rejection(
            "config_unavailable", "The configuration of this rule cannot be used. Ask its owner."
        )
    return Admitted(gateway, route, key)
