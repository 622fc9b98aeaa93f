"""The settings of Redis behind sentinels and in a Cluster."""

import pytest

from tests.settings.conftest import File


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{mode: sentinel}", "redis.mode: set redis.sentinels to the addresses of servers, too"),
        ("{mode: cluster}", "redis.mode: set redis.nodes to the addresses of servers, too"),
        ("{mode: cluster, nodes: ['127.0.0.1:1'], db: 1}", "redis.db: a Cluster has only the database 0"),
        ("{mode: cluster, nodes: ['127.0.0.1:1'], url: 'redis://a'}", "redis.url: it is not for redis.mode"),
        ("{mode: cluster, nodes: ['10.0.0.1:1']}", "redis.nodes: gateways that share a Redis server need"),
        ("{tls: {cert: a}}", "redis.tls.cert: set redis.tls.key, too"),
        ("{tls: {key: a}}", "redis.tls.key: set redis.tls.cert, too"),
        ("{confirm: disk}", "redis.confirm: set redis.min_replicas to at least 1, too"),
        ("{nodes: [localhost]}", "must be a host and a port, such as 10.0.0.1:6379 or [fd00::1]:6379"),
        ("{nodes: ['localhost:65536']}", "must be a host and a port"),
        ("{address_map: {a: 'b:1'}}", "'a' is not a valid name"),
    ],
)
def test_settings_that_contradict_each_other_are_rejected_with_the_way_out(
    config: File, text: str, sentence: str
) -> None:

    assert sentence in config.rejection(f"redis: {text}")


def test_servers_are_read_from_a_variable(config: File) -> None:
    found = config.load(
        GATEWAY__REDIS__MODE="sentinel", GATEWAY__REDIS__SENTINELS="127.0.0.1:26379, [::1]:26380,LOCALHOST:1"
    )
    assert found.redis.sentinels == ("127.0.0.1:26379", "[::1]:26380", "localhost:1")
    assert found.redis.is_local
