"""`python -m bench.upload`: one large upload through nginx without buffering, and through the gateway.

The upstream is a server in this process that drops what it reads. Each round measures both, in turn.
"""

import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click

from bench import machine
from bench.gateway import RESPONSE, Gateway
from bench.load import Call, await_rule
from bench.programs import BenchFailed, Running, free_port
from bench.report import Target, end_with
from bench.rivals.programs import nginx

_MB = 1_000_000
_PIECE = bytes(_MB)
_PROBES = 10  # uploads whose first byte is timed, per round
_LOCATION = "proxy_pass http://plain; proxy_request_buffering off;"


class _Sink(threading.Thread):
    """An upstream that reads each body to its end. `first_byte` is the time at which the last one began."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.listener.getsockname()[1]
        self.has_body = threading.Event()
        self.first_byte = 0.0

    def run(self) -> None:
        while True:
            threading.Thread(target=self._serve, args=self.listener.accept()[:1], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        space = memoryview(bytearray(_MB))
        with client:
            while head := self._head(client):
                raw, _, begun = head.partition(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in raw.split(b"\r\n")[1:])
                left = int(fields.get(b"content-length", 0)) - len(begun)
                self._note(bool(begun))
                while left > 0 and (count := client.recv_into(space)):
                    self._note(True)
                    left -= count
                if left > 0:
                    return
                fields_sent = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(RESPONSE)
                client.sendall(b"HTTP/1.1 200 OK\r\n" + fields_sent + RESPONSE)

    def _note(self, has_body: bool) -> None:
        if has_body and not self.has_body.is_set():
            self.first_byte = time.perf_counter()
            self.has_body.set()

    @staticmethod
    def _head(client: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            try:
                data = client.recv(65_536)
            except ConnectionError:
                return b""
            if not data:
                return b""
            head += data
        return head


class Upload(NamedTuple):
    """A contender: its port and call, and its program."""

    port: int
    call: Call
    program: Running

    def send(self, size: int) -> float:
        """Upload so many bytes. Return the seconds. Raises `BenchFailed`."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as client:
            begun = time.perf_counter()
            client.sendall(self._head(size))
            for _ in range(size // _MB):
                client.sendall(_PIECE)
            status = client.recv(65_536)[:12]
            if status != b"HTTP/1.1 200":
                raise BenchFailed(f"expected status 200, got {status!r}")
            return time.perf_counter() - begun

    def first_byte(self, sink: _Sink) -> float:
        """Begin an upload. Return the seconds until its first byte is at the upstream."""
        sink.has_body.clear()
        with socket.create_connection(("127.0.0.1", self.port), 60) as client:
            begun = time.perf_counter()
            client.sendall(self._head(_MB) + b"x" * 1000)
            if not sink.has_body.wait(10):
                raise BenchFailed("the upload did not reach the upstream")
            return sink.first_byte - begun

    def _head(self, size: int) -> bytes:
        head = self.call._replace(body=b"").encode()
        return head.replace(b"Content-Length: 0", b"Content-Length: %d" % size)

    def find_worker(self) -> int:
        """Return the process that serves: the one that works during an upload."""
        pids = machine.tree(self.program.pid)
        before = {pid: machine.cpu_seconds_of(pid) for pid in pids}
        self.send(100 * _MB)
        return max(pids, key=lambda pid: machine.cpu_seconds_of(pid) - before[pid])


def _forget_memory(pid: int) -> int:
    """Begin to note the most memory of a process anew. Return what it holds now, in bytes."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets VmHWM: proc(5)
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def measure(rounds: int, size: int) -> list[Target]:
    """All figures with their targets. Raises `BenchFailed`."""
    ratios, added, delays = list[float](), list[float](), list[float]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        sink = _Sink()
        sink.start()
        express, other = _start(folder, sink, stack)
        machine.await_idle(express.program.pid)
        worker = express.find_worker()
        for number in range(rounds):
            print(f"-- round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            theirs = other.send(size)
            before = _forget_memory(worker)
            ours = express.send(size)
            added.append((_status(worker, "VmHWM") - before) / _MB)
            ratios.append(theirs / ours)
            delays += [express.first_byte(sink) * 1e3 for _ in range(_PROBES)]
            print(
                f"   nginx {size / theirs / _MB:.0f} MB/s, gateway {size / ours / _MB:.0f} MB/s", flush=True
            )
        express.program.check()
    return [
        Target(f"an upload of {size // _MB} MB, of nginx without buffering", ratios, 0.5, is_minimum=True),
        Target("memory during the upload, MB", added, 20),
        Target("first byte at the upstream, ms", delays, 20),
    ]


def _start(folder: Path, sink: _Sink, stack: ExitStack) -> tuple[Upload, Upload]:
    gateway, port, other = Gateway(folder / "gateway", sink.port), free_port(), free_port()
    programs = (
        gateway.admin(),
        nginx(folder, "nginx", other, sink.port, _LOCATION),
        gateway.proxy("proxy", port),
    )
    running = [Running(program, folder, stack) for program in programs]
    for one in running:
        one.wait()
    call = gateway.create_tenant("upload", limits={"request_body": "1GB"})
    await_rule(port, call, RESPONSE)
    return Upload(port, call, running[2]), Upload(other, call, running[1])


@click.command()
@click.option("--rounds", default=5, help="How often each is measured.")
@click.option("--size", default=500, help="The size of an upload, in MB.")
def main(rounds: int, size: int) -> None:
    """Measure an upload beside nginx. Exit code 1 when a target is missed."""
    print(machine.describe())
    found = measure(rounds, size * _MB)
    end_with(found)


if __name__ == "__main__":
    main()
