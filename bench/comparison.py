"""The comparison: a small request and its response, beside the other proxies."""

import time

from bench.contenders import Bench, Contender
from bench.gateway import RESPONSE
from bench.load import CONNECTIONS, await_rule, run_wrk

#: The contenders in the order in which they are measured.
CONTENDERS = {
    "direct": "the upstream itself",
    "nginx": "nginx as proxy, one worker, keep-alive upstream, no log",
    "haproxy": "HAProxy as proxy, one thread, keep-alive upstream, no log",
    "lua+chain": "nginx with Lua and Redis, built as Kong is: key, the same chain, access log",
    "mitmdump": "stock mitmdump -q --mode reverse, no addon",
    "mitmproxy": "the gateway on mitmproxy's core: host, key and rule",
    "mitmproxy+chain": "the same with a chain of plugins",
    "express": "the gateway on the express engine: host, key and rule",
    "express+chain": "the same with a chain of plugins",
    "express+ai": "the same with a rule for AI, to one provider with one key",
    "free-1": "express, one worker, nothing pinned",
    "free-2": "express, two workers, nothing pinned",
}
#: The contenders that show the cost of limits. Only the benchmark of the limiter measures them.
LIMITED = {
    "express": "the gateway without limits",
    "express+1": "one limit, of the rule",
    "express+3": "one limit of the tenant, two of the rule",
}


def turn(bench: Bench, contender: Contender, seconds: int) -> dict[str, float]:
    """The figures of one contender: alone on one connection, under full load, and on one core."""
    bench.place(contender, apart=True)
    await_rule(contender.port, contender.call, RESPONSE)
    if not contender.is_pinned:
        return _full_load(contender, seconds)
    one = run_wrk(contender.port, contender.call, 1, seconds)
    figures = {"rate 1": one.rate, "p50 1": one.p50, "p99 1": one.p99, **_full_load(contender, seconds)}
    if contender.program:
        bench.place(contender, apart=False)
        figures["cpu"] = _full_load(contender, seconds)["cpu apart"]
    return figures


def _full_load(contender: Contender, seconds: int) -> dict[str, float]:
    used, started = contender.cpu_seconds(), time.monotonic()
    load = run_wrk(contender.port, contender.call, CONNECTIONS, seconds)
    figures = {"rate": load.rate, "p50": load.p50, "p99": load.p99}
    if contender.program:
        used, elapsed = contender.cpu_seconds() - used, time.monotonic() - started
        figures |= {"cpu apart": used / load.requests, "busy": used / elapsed}
    return figures
