"""Who calls, whether it may, and where to: decided from the head of a request alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from shared.core.errors import BODY_TOO_LONG, Rejection, make_rejection
from shared.core.http_tokens import KEY_HEADERS
from shared.core.memo import Memo
from shared.http.forwarding import passed_here
from shared.http.paths import has_encoded_slash, normalize_path
from shared.model.config import ApiKey, Scope
from shared.model.messages import Headers
from shared.routing.compile import Gateway, Route
from shared.routing.router import allowed_methods, match_method
from shared.secrets.api_keys import PepperedHasher, parse_key

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r":[0-9]{1,5}\Z")
# Each 401 names the scheme that would help (RFC 9110, 15.5.2).
_CHALLENGE = {"WWW-Authenticate": "Bearer"}

#: One body for a malformed key, an unknown key, another tenant's key and an unknown tenant.
INVALID_KEY = make_rejection(
    "invalid_api_key",
    "The API key is not valid here. Check the key, and that it belongs to the tenant that you call.",
    _CHALLENGE,
)
MISSING_KEY = make_rejection(
    "missing_api_key",
    "This call needs an API key. Send it as 'Authorization: Bearer <key>', 'x-api-key' or 'api-key'.",
    _CHALLENGE,
)


@dataclass(frozen=True, slots=True)
class HostRules:
    """How Host headers name tenants.

    Under a host of `shared`, and under an IP literal when `any_address`, the key says which tenant.
    """

    base_domain: str
    shared: tuple[str, ...]
    any_address: bool
    _known: Memo[str, str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", Memo(self._parse))

    def parse(self, host: str) -> str | None:
        """The tenant's subdomain, or None under a shared host.

        Raises ValueError on every other Host: unknown names, more labels than one, bad characters.
        """
        return self._known[host]

    def _parse(self, host: str) -> str | None:
        name = _PORT.sub("", host.lower())
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
    """True for an IPv4 address, and for an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    bracketed = name.startswith("[") and name.endswith("]") and "%" not in name
    kind, text = (IPv6Address, name[1:-1]) if bracketed else (IPv4Address, name)
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


def presented_keys(headers: Headers) -> tuple[str, ...]:
    """Every distinct credential in the head, in order; whatever scheme or form it has."""
    found = []
    for value in headers.all("authorization"):
        scheme, _, text = value.strip().partition(" ")
        found.append(text.strip() if scheme.lower() == "bearer" else value)
    for name in KEY_HEADERS:
        found += [value.strip() for value in headers.all(name)]
    texts = [text for text in found if text]
    return tuple(texts if len(texts) < 2 else dict.fromkeys(texts))


def one_key(presented: Sequence[str]) -> str | None:
    """The key, when exactly one was presented and it has the right form; None otherwise."""
    if len(presented) != 1:
        return None
    try:
        return parse_key(presented[0])
    except ValueError:
        return None


class Call(NamedTuple):
    """What a head says about who calls, and where to, before anything is looked up.

    `subdomain` is None under a shared host, `key_hash` when no well-formed key was sent; `has_key` says
    whether any credential was.
    """

    subdomain: str | None
    path: str
    has_key: bool
    key_hash: str | None


def read_call(
    headers: Headers, target: str, hosts: HostRules, hasher: PepperedHasher, via: str
) -> Call | Rejection:
    """Read a head that has a Host. `target` is the path as it came, with its query; `via` is our own name."""
    try:
        subdomain = hosts.parse(headers["host"])
    except ValueError as error:
        return make_rejection("invalid_host", str(error))
    try:
        path = normalize_path(target.partition("?")[0])
    except ValueError as error:
        return make_rejection("bad_request", str(error))
    if passed_here(headers, via):
        return make_rejection("loop_detected", "This request has already been through this gateway.")
    presented = presented_keys(headers)
    key = one_key(presented)
    return Call(subdomain, path, bool(presented), hasher(key) if key else None)


def too_large(limit: int) -> Rejection:
    """The refusal of a body above `limit` bytes."""
    return make_rejection("body_too_large", BODY_TOO_LONG.format(limit))


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may be forwarded: by this route, as this key (None on a public rule)."""

    gateway: Gateway
    route: Route
    key: ApiKey | None


def admit(
    gateway: Gateway | None, key_hash: str | None, has_key: bool, method: str, path: str, now: float
) -> Admitted | Rejection:
    """Decide a request to `path` (normalized) of the tenant that `gateway` is, None when unknown.

    `key_hash` is None when no well-formed key was sent; `has_key` says whether any credential was.
    The order fixes what a stranger can learn: without a valid key, only that the key is not valid.
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
        message = f"The API key {key.prefix}… is {status}. Ask for a new one."
        return make_rejection(f"api_key_{status}", message, _CHALLENGE)
    if Scope.PROXY not in key.scopes:
        return make_rejection(
            "forbidden", f"The API key {key.prefix}… lacks the scope 'proxy' that calls need."
        )
    return None


def _check_route(
    gateway: Gateway, routes: Sequence[Route], route: Route | None, key: ApiKey | None, path: str
) -> Admitted | Rejection:
    if not routes:
        return make_rejection("no_matching_rule", f"No rule of this tenant matches the path {path[:200]}.")
    if has_encoded_slash(path) and (route is None or route.rule.encoded_slashes != "allow"):
        return make_rejection("bad_request", "The path must not hold %2F (an encoded slash) here.")
    if route is None:
        allow = allowed_methods(routes)
        return make_rejection(
            "method_not_allowed", f"This path takes {allow}, not the method sent.", {"Allow": allow}
        )
    if route.fault is not None:
        return make_rejection(
            "config_unavailable", "The configuration of this rule cannot be used. Ask its owner."
        )
    return Admitted(gateway, route, key)
