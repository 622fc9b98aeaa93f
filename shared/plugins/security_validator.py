"""Checks the head of a request: its client address, method and headers."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from marshmallow import fields, validate

from shared.bodies.text.ascii_classes import ascii_warning
from shared.bodies.text.patterns import MAX_PATTERNS, PatternError, patterns_of
from shared.core.addresses import UNKNOWN, Network, is_in, plain_address
from shared.core.empty import EMPTY
from shared.core.errors import STATUS, Invalid, Problem
from shared.core.fields import Flag, token
from shared.core.memo import BoundedDict
from shared.http.forwarding import FOLDED_NAME
from shared.model.messages import SetHeaders
from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Reject, Verdict, setting

#: The headers of `security_headers`: those that OWASP lists for API responses
#: (https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html).
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_ADDED = SetHeaders.of(tuple([(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]))


# The most entries of a list: each header is looked up in every request; 1,000 networks parse in 5 ms.
_MOST_NAMES, _MOST_NETWORKS = 100, 1000
# So many values of User-Agent are searched once, if they have at most so many bytes.
_KNOWN_AGENTS, _KNOWN_BYTES = 64, 256
_AGENT = "user-agent"


def _names(form: str, text: str) -> Any:
    """A list of names; `form` is their format."""
    limit = validate.Length(max=_MOST_NAMES)
    name = fields.String(validate=token("a header name or a method"), metadata={"format": form})
    return setting(fields.List(name, load_default=list, validate=limit), f"{text} At most {_MOST_NAMES}.")


def _networks(text: str) -> Any:
    error = "Must be an IP address or a network such as 10.0.0.0/8 or fd00::/8."
    kind = {"type": "string", "format": "cidr"}
    address = fields.IPInterface(error_messages={"invalid_ip_interface": error}, metadata=kind)
    limit = validate.Length(max=_MOST_NETWORKS)
    networks = fields.List(address, load_default=list, validate=limit)
    return setting(networks, f"{text} At most {_MOST_NETWORKS:,}.")


class SecurityValidator(Plugin):
    """Reject requests by client address, method or headers, and add security headers to responses.

    >>> plugin = SecurityValidator.parse({"required_headers": ["X-Request-ID"], "allowed_methods": ["POST"]})
    >>> plugin.reads, plugin.security_headers
    (frozenset({'headers'}), False)
    """

    reads = frozenset({"headers"})
    blocking = False
    reads_response = False
    example: ClassVar[Mapping[str, Any]] = {
        "required_headers": ["X-Request-ID"],
        "blocked_ips": ["203.0.113.0/24"],
    }

    required_headers: Sequence[str] = _names(
        "header", "Headers that a request must have, with a nonblank value."
    )
    blocked_headers: Sequence[str] = _names(
        "header", "Headers that a request must not have, in any spelling: X-Debug blocks X_Debug."
    )
    allowed_methods: Sequence[str] = _names("method", "Allowed methods. Empty allows all.")
    allowed_ips: Sequence[Any] = _networks("Addresses and networks that may call. Empty allows all.")
    blocked_ips: Sequence[Any] = _networks("Addresses and networks that must not call.")
    blocked_user_agents: Sequence[str] = setting(
        fields.List(
            fields.String(metadata={"format": "regex"}),
            load_default=list,
            validate=validate.Length(max=MAX_PATTERNS),
        ),
        "RE2 patterns. A request is rejected if one of them matches its User-Agent.",
    )
    security_headers: bool = setting(
        Flag(load_default=False),
        f"true adds to every response: {', '.join(SECURITY_HEADERS)}.",
    )

    def prepare(self) -> None:
        self._blocked_names = {FOLDED_NAME[name.encode()]: name for name in self.blocked_headers}
        self._required = [(name, name.lower()) for name in self.required_headers]
        self._methods = [method.upper() for method in self.allowed_methods]
        self._allowed = [_network(interface) for interface in self.allowed_ips]
        self._blocked = [_network(interface) for interface in self.blocked_ips]
        try:
            self._agents = patterns_of(tuple(self.blocked_user_agents))
        except PatternError as error:
            raise Invalid([Problem(f"/blocked_user_agents/{error.number}", str(error))]) from None
        self.weight = self._agents.weight
        self.adds_headers = self.security_headers
        self._known_agents = BoundedDict[tuple[bytes, ...], bool](_KNOWN_AGENTS)
        checks = (
            (self._check_address, self._allowed or self._blocked),
            (self._check_method, self._methods),
            (self._check_blocked, self._blocked_names or self._agents.size),
            (self._check_required, self.required_headers),
        )
        # In this order; one without a setting is not called.
        self._checks = [check for check, settings in checks if settings]

    def warnings(self) -> Sequence[Problem]:
        found = [(number, ascii_warning(source)) for number, source in enumerate(self.blocked_user_agents)]
        return [Problem(f"/blocked_user_agents/{number}", warning) for number, warning in found if warning]

    def pre_request(self, exchange: Exchange) -> Verdict:
        for check in self._checks:
            if verdict := check(exchange):
                return verdict
        return CONTINUE

    def _check_address(self, exchange: Exchange) -> Reject | None:
        if exchange.client == UNKNOWN:
            is_allowed = not self._allowed
        else:
            address = plain_address(exchange.client)
            is_allowed = not is_in(address, self._blocked) and (
                not self._allowed or is_in(address, self._allowed)
            )
        return None if is_allowed else _reject("ip_blocked", "Requests from this address are not allowed.")

    def _check_method(self, exchange: Exchange) -> Reject | None:
        method = exchange.request.method
        if method in self._methods:
            return None
        allowed = ", ".join(self._methods)
        message = f"The method {method} is not allowed. Allowed: {allowed}."
        return _reject("method_not_allowed", message, {"Allow": allowed})

    def _check_blocked(self, exchange: Exchange) -> Reject | None:
        fields = exchange.request.headers.fields
        if self._blocked_names:
            for name, _ in fields:
                if blocked := self._blocked_names.get(FOLDED_NAME[name]):
                    return _reject("forbidden", f"The header {blocked} is not allowed.")
        if self._agents.size and self._is_blocked(tuple([v for n, v in fields if FOLDED_NAME[n] == _AGENT])):
            return _reject("forbidden", "This user agent is not allowed.")
        return None

    def _is_blocked(self, agents: tuple[bytes, ...]) -> bool:
        """Whether a pattern matches one of the values of User-Agent. The clients of a tenant repeat a few."""
        if agents in self._known_agents:
            return self._known_agents[agents]
        found = bool(self._agents.found([agent.decode("latin-1") for agent in agents] or [""]))
        is_short = sum(map(len, agents)) <= _KNOWN_BYTES
        return self._known_agents.keep(agents, found) if is_short else found

    def _check_required(self, exchange: Exchange) -> Reject | None:
        index = exchange.request.headers.by_name()
        missing = [
            name for name, lower in self._required if lower not in index or not "".join(index[lower]).strip()
        ]
        if not missing:
            return None
        return _reject(
            "missing_required_header", f"The request lacks required headers: {', '.join(missing)}."
        )

    def response_headers(self, exchange: Exchange) -> SetHeaders | Mapping[str, str]:
        return _ADDED if self.security_headers else EMPTY


def _network(interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> Network:
    """The network of `interface`; of an IPv4-mapped one the IPv4 network."""
    network: Network = interface.network
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - 96))


def _reject(code: str, message: str, headers: Mapping[str, str] = EMPTY) -> Reject:
    return Reject(STATUS[code], code, message, headers)
