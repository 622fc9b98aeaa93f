"""The engine knows its own header fields however they are spelled."""

import doctest

from mitm_engine.http1 import header_names as names
from mitm_engine.http1.header_names import HeaderNames


def test_the_example_in_the_docs_is_true() -> None:
    assert doctest.testmod(names).failed == 0


def test_invented_names_do_not_fill_the_memory() -> None:
    hosts = HeaderNames([b"host"])
    for number in range(5000):
        assert hosts[b"x-%d" % number] is None
    for number in range(5000):
        assert hosts[b"x-%d" % number + b"a" * 10_000] is None
    assert len(hosts) < 2000
    assert sum(map(len, hosts)) < 100_000
    assert hosts[b"HOST"] == b"host"
