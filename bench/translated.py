"""`python -m bench.translated`: streams that are translated, beside the same ones that pass.

A client of Anthropic's messages calls a provider of OpenAI's chat, and a client of chat the same one. Events
per second of a core are by CPU time. The delay of the first content by translation is measured on the wire.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click

from bench import machine
from bench.contenders import Bench, Contender
from bench.gateway import RESPONSE
from bench.load import CONNECTIONS, await_rule, open_connection
from bench.report import Target, end_with
from bench.streams import open_streams
from bench.upstream import Upstream

#: Events per second of one worker, and milliseconds that the first content may take longer.
_LEAST, _MOST_MS = 5_000.0, 2.0
_CALLS = 200
_BODY = (
    b'{"model": "bench", "stream": true, "max_tokens": 99, "messages": [{"role": "user", "content": "Hi!"}]}'
)
_BEGIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":0,"model":"bench","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"word"},"finish_reason":null}]}\n\n'
)


def first_content(contender: Contender, upstream: Upstream) -> float:
    """The milliseconds from a request to the first content of its stream."""
    wire = contender.call._replace(body=_BODY).encode()
    with open_connection(contender.port) as client:
        began, data = time.perf_counter(), b""
        client.sendall(wire)
        with upstream.take() as one:
            one.sendall(_BEGIN)
            while b"word" not in data:
                data += client.recv(65_536)
            return (time.perf_counter() - began) * 1e3


def measure(rounds: int, seconds: float) -> list[Target]:
    """The figures of the rounds. Raises `BenchFailed`."""
    with ExitStack() as stack:
        upstream = Upstream(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(folder, stack, upstream=upstream.port)
        [passed] = bench.start(["express+ai"])
        await_rule(passed.port, passed.call, RESPONSE)
        call = passed.call._replace(path="/v1/messages")
        translated = Contender("express+translated", passed.port, call, passed.program)
        rates, added = list[float](), list[float]()
        for _ in range(rounds):
            rates.append(_rate(bench, translated, upstream, seconds))
            added.append(_added(passed, translated, upstream))
    return [
        Target(
            f"translated events per second of a core, {CONNECTIONS} streams", rates, _LEAST, is_minimum=True
        ),
        Target("added to the first content, ms", added, _MOST_MS),
    ]


def _rate(bench: Bench, contender: Contender, upstream: Upstream, seconds: float) -> float:
    with open_streams(contender.port, contender.call, upstream) as streams:
        bench.place(contender, apart=True)
        used = contender.cpu_seconds()
        count = streams.pass_for(seconds)
        return count / (contender.cpu_seconds() - used)


def _added(passed: Contender, translated: Contender, upstream: Upstream) -> float:
    """The difference of the medians of calls in turn."""
    times: Sequence[tuple[float, float]] = [
        (first_content(passed, upstream), first_content(translated, upstream)) for _ in range(_CALLS)
    ]
    return median(one for _, one in times) - median(one for one, _ in times)


@click.command()
@click.option("--rounds", default=3, help="How often each is measured.")
@click.option("--seconds", default=2.0, help="Length of each load.")
def main(rounds: int, seconds: float) -> None:
    """Measure translated streams through the gateway. Exit code 1 when a target is missed."""
    print(machine.describe())
    found = measure(rounds, seconds)
    end_with(found)


if __name__ == "__main__":
    main()
