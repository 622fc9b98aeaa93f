"""Limits as a compiled plan holds them: everything but the value that one request brings."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network

from shared.core.addresses import plain_address
from shared.core.durations import format_duration
from shared.core.limits import Limit, Quota
from shared.core.messages import Exchange


@dataclass(frozen=True, slots=True)
class LimitTemplate:
    """A limit whose counter is chosen by the request: one for each value of `dimension`.

    `key_prefix` says which counters; two templates with the same one count the same thing. `floor_ms` is
    the shortest wait that a refused client is told.
    """

    key_prefix: str
    dimension: str
    quota: Quota
    scope: str
    window: str
    cost: int
    floor_ms: int

    def limit(self, exchange: Exchange) -> Limit:
        """The limit with the counter that `exchange` is charged to."""
        key = self.key_prefix + _digest(_value(self.dimension, exchange))
        return Limit(key, self.quota, self.scope, self.dimension, self.window, self.cost)


def limit_template(
    tenant_id: str, rule_id: str | None, dimension: str, quota: Quota, cost: int, floor_ms: int
) -> LimitTemplate:
    """A limit of the rule, or of the whole tenant when `rule_id` is None.

    The tenant's id is the Cluster's hash tag, so that all counters of a request are on one node. The
    number is not in the key: who edits it keeps what was used.
    """
    scope = "gateway" if rule_id is None else "rule"
    holder = "g" if rule_id is None else f"r{rule_id}"
    limit_id = _digest(f"{dimension} requests {quota.window_ms}")
    key_prefix = f"rl:{{{tenant_id}}}:{holder}:{limit_id}:{dimension}:"
    window = format_duration(quota.window_ms)
    return LimitTemplate(key_prefix, dimension, quota, scope, window, cost, floor_ms)


def merged(templates: Iterable[LimitTemplate]) -> tuple[LimitTemplate, ...]:
    """The rule's limits before the gateway's. Those that count the same thing are one, the strictest."""
    found: dict[str, LimitTemplate] = {}
    for template in templates:
        other = found.setdefault(template.key_prefix, template)
        found[template.key_prefix] = replace(
            template,
            quota=min(template.quota, other.quota, key=lambda quota: quota.limit),
            cost=max(template.cost, other.cost),
            floor_ms=max(template.floor_ms, other.floor_ms),
        )
    return tuple(sorted(found.values(), key=lambda template: template.scope != "rule"))


def network_of(client: str) -> str:
    """What an address counts as: itself, or its /64 in IPv6, where one client has that many addresses.

    >>> network_of("192.0.2.7"), network_of("2001:db8::7"), network_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7')
    """
    address = plain_address(client)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)


def _value(dimension: str, exchange: Exchange) -> str:
    """What a request counts as. Nothing that a client can choose buys it a counter of its own."""
    match dimension:
        case "per_ip":
            return network_of(exchange.client)
        case "per_key":
            return exchange.key.id if exchange.key else ""
        case _:
            return ""


def _digest(value: str) -> str:
    return hashlib.blake2b(value.encode(), digest_size=8).hexdigest()
