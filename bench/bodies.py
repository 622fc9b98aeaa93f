"""`python -m bench.bodies`: the CPU time of a chat body of 1 MB and 10 MB, forwarded and searched.

One connection sends them one after the other. The response is small.
"""

import itertools
import json
import pstats
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench.contenders import Bench, Contender, command
from bench.gateway import RESPONSE
from bench.load import await_rule, drive
from bench.report import Round, Table, cell, over_rounds, ratios
from bench.upstream import Upstream

#: The contenders in the order in which they are measured.
CONTENDERS = {
    "nginx": "nginx as proxy, without buffering of requests",
    "haproxy": "HAProxy as proxy",
    "lua+chain": "nginx with Lua and Redis: all of the chain",
    "express+large": "the gateway: host, key and rule",
    "express+content": "the same, content_validator parses and searches the body",
}
SIZES = {"1 MB": 1_000_000, "10 MB": 10_000_000}
_LOCATION = "proxy_pass http://plain; proxy_request_buffering off;"
_LUA_MAX_BYTES = 1_000_000  # in rivals/chain.lua
_WORDS = ("What", "would", "you", "say", "about", "a", "longer", "text,", "please?\n", "Thanks!")
_WORDS_OF_MESSAGE = 200


def chat_body(size: int) -> bytes:
    """A chat of that many bytes: messages of about 1 KB."""
    words = itertools.cycle(_WORDS)
    text = " ".join(itertools.islice(words, _WORDS_OF_MESSAGE))
    message = {"role": "user", "content": text}
    frame = len(json.dumps({"model": "bench", "messages": []}))
    count = (size - frame) // (len(json.dumps(message)) + 2)
    document = {"model": "bench", "messages": [message] * count}
    missing = size - len(json.dumps(document))
    document["messages"] = [*[message] * (count - 1), {"role": "user", "content": text + "x" * missing}]
    return json.dumps(document).encode()


def _turn(
    bench: Bench, contender: Contender, bodies: Mapping[str, bytes], seconds: float
) -> Mapping[str, float]:
    figures = {}
    await_rule(contender.port, contender.call, RESPONSE)
    for size, body in bodies.items():
        if contender.name.startswith("lua") and len(body) > _LUA_MAX_BYTES:
            continue
        call = contender.call._replace(body=body)
        for name in ("cpu apart", "cpu"):
            bench.place(contender, apart=name == "cpu apart")
            used = contender.cpu_seconds()
            times = drive(contender.port, [call], RESPONSE, connections=1, seconds=seconds)
            figures[f"{size} {name}"] = (contender.cpu_seconds() - used) / len(times)
            if name == "cpu apart":
                figures[f"{size} p50"] = median(times)
    return figures


def measure(names: Collection[str], rounds: int, seconds: float) -> list[Round]:
    """CPU time and latency of each size, of each contender in each round. Raises `BenchFailed`."""
    bodies = {name: chat_body(size) for name, size in SIZES.items()}
    with _opened(names) as (bench, contenders):
        return bench.measure(contenders, rounds, lambda one: _turn(bench, one, bodies, seconds))


def profile(name: str, seconds: float = 1.0) -> tuple[pstats.Stats, int]:
    """The profile of the worker while it gets bodies of 1 MB, and their number. Raises `BenchFailed`."""
    with _opened([name], profiled=True) as (bench, [contender]):
        await_rule(contender.port, contender.call, RESPONSE)
        call, times = contender.call._replace(body=chat_body(SIZES["1 MB"])), list[float]()

        def work() -> None:
            times.extend(drive(contender.port, [call], RESPONSE, connections=1, seconds=seconds))

        return bench.profile(contender, work), len(times)


@contextmanager
def _opened(names: Collection[str], *, profiled: bool = False) -> Iterator[tuple[Bench, list[Contender]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        # nginx as the upstream would respond before it has the body.
        upstream = Upstream(stack)
        bench = Bench(folder, stack, upstream=upstream.port, location=_LOCATION, profiled=profiled)
        yield bench, bench.start(names)


def body_table(rounds: Sequence[Round]) -> Table:
    """CPU time and latency of a body, and the speed of nginx by CPU time."""
    rows = [
        [
            f"{name}, {size}",
            cell(over_rounds(rounds, name, f"{size} p50"), 1e3, 2),
            cell(over_rounds(rounds, name, f"{size} cpu apart"), 1e3, 2),
            cell(ratios(rounds, "nginx", name, f"{size} cpu apart"), 1, 2),
            cell(over_rounds(rounds, name, f"{size} cpu"), 1e3, 2),
        ]
        for size in SIZES
        for name in rounds[0]
        if over_rounds(rounds, name, f"{size} cpu")
    ]
    head = ["", "p50 ms", "CPU ms", "CPU: of nginx", "one core: CPU ms"]
    return Table("Bodies, 1 connection", head, rows)


main = command("Measure large bodies.", CONTENDERS, seconds=1.0, measure=measure, table=body_table)


if __name__ == "__main__":
    main()
