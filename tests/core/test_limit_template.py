"""Which counter a request is charged to."""

import pytest

from shared.core.limit_template import LimitTemplate, limit_template, merged, network_of
from shared.core.limits import Quota
from shared.core.messages import Exchange, Headers, Request
from shared.core.model import ApiKey, Rule, Tenant


def exchange(client: str = "192.0.2.7", key: str | None = None) -> Exchange:
    return Exchange(
        id="request",
        tenant=Tenant("t1", "Tenant", "tenant"),
        rule=Rule("r1", "/", "http://localhost"),
        request=Request("GET", "/", Headers()),
        client=client,
        key=ApiKey(key, "Key", "gw_", "hash") if key else None,
    )


def template(
    dimension: str = "global", limit: int = 5, window_ms: int = 60_000, *, rule: str | None = None
) -> LimitTemplate:
    return limit_template("t1", rule, dimension, Quota(limit, window_ms), 1, 0)


def key(template: LimitTemplate, exchange: Exchange) -> str:
    return template.limit(exchange).key


def test_a_key_names_tenant_level_window_and_dimension_but_neither_number_nor_value() -> None:
    gateway = key(template("per_ip"), exchange())
    assert gateway.startswith("rl:{t1}:g:")
    assert key(template("per_ip", rule="r1"), exchange()) == gateway.replace(":g:", ":rr1:")
    assert ":per_ip:" in gateway
    assert "192.0.2.7" not in gateway
    assert key(template("per_ip", limit=9), exchange()) == gateway
    assert key(template("per_ip", window_ms=61_000), exchange()) != gateway


def test_a_limit_says_what_the_client_is_told() -> None:
    limit = limit_template("t1", "r1", "per_ip", Quota(5, 5_400_000), 2, 0).limit(exchange())
    assert (limit.scope, limit.name, limit.window, limit.cost) == ("rule", "per_ip", "1h30m", 2)
    assert template().limit(exchange()).scope == "gateway"


def test_all_requests_share_the_global_counter() -> None:
    assert key(template(), exchange("192.0.2.7")) == key(template(), exchange("192.0.2.8", "k1"))


def test_each_address_has_its_own_counter_and_an_ipv6_network_one() -> None:
    per_ip = template("per_ip")
    assert key(per_ip, exchange("192.0.2.7")) != key(per_ip, exchange("192.0.2.8"))
    assert key(per_ip, exchange("2001:db8:0:1::1")) == key(per_ip, exchange("2001:db8:0:1:ffff::2"))
    assert key(per_ip, exchange("2001:db8:0:1::1")) != key(per_ip, exchange("2001:db8:0:2::1"))
    assert network_of("::ffff:192.0.2.7") == "192.0.2.7"
    with pytest.raises(ValueError, match="address"):
        network_of("nobody")


def test_each_api_key_has_its_own_counter_and_requests_without_one_share_another() -> None:
    per_key = template("per_key")
    counters = {key(per_key, exchange(key=name)) for name in ("k1", "k2", None)}
    assert len(counters) == 3
    assert key(per_key, exchange("192.0.2.7")) == key(per_key, exchange("192.0.2.8"))


def test_the_rules_limits_come_first_and_each_level_keeps_its_order() -> None:
    given = [template("per_key"), template(rule="r1"), template(), template("per_ip", rule="r1")]
    assert [(t.scope, t.dimension) for t in merged(given)] == [
        ("rule", "global"),
        ("rule", "per_ip"),
        ("gateway", "per_key"),
        ("gateway", "global"),
    ]


def test_limits_of_the_same_counter_are_one_the_strictest() -> None:
    one = limit_template("t1", None, "global", Quota(600, 60_000), 1, 5_000)
    two = limit_template("t1", None, "global", Quota(5, 60_000), 3, 0)
    (only,) = merged([one, two])
    assert (only.quota.limit, only.cost, only.floor_ms) == (5, 3, 5_000)
    assert merged([two, one]) == (only,)
    assert merged([]) == ()
