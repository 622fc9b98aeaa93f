"""A supervisor over echo workers, as a program: ``python -m tests.mitm_engine.echo_server uvloop 2 FOLDER``.

With the fourth argument `replace` it takes over from the one with the same folder.
"""

import contextlib
import logging
import resource
import sys
from pathlib import Path

from mitm_engine.processes.handover import Listening, Offer, Predecessor
from mitm_engine.processes.listener import listener_socket
from mitm_engine.processes.slot import Patience
from mitm_engine.processes.succession import Succession
from mitm_engine.processes.supervisor import supervise
from shared.core.errors import CannotListen, CannotTakeOver
from tests.mitm_engine.echo_worker import work

READY_TIMEOUT = 20.0  # seconds


def main(loop: str, workers: str, marks: str, port: str = "0", descriptors: str = "") -> None:
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    ready_timeout = READY_TIMEOUT
    if (Path(marks) / "ready_timeout").exists():
        ready_timeout = float((Path(marks) / "ready_timeout").read_text())
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
    pause = 0.1
    if (Path(marks) / "pause").exists():
        pause = float((Path(marks) / "pause").read_text())
    path, predecessor = Path(marks) / "run" / "echo.sock", None
    try:
        if port == "replace":
            predecessor = Predecessor.reach(path)
        sockets = [one.socket for one in predecessor.listening] if predecessor else []
        sockets = sockets or [listener_socket("127.0.0.1", int(port) if port.isdecimal() else 0)]
    except (CannotListen, CannotTakeOver) as error:
        sys.exit(f"echo: {error}")
    with contextlib.suppress(BrokenPipeError):  # nobody reads what SIGUSR2 has started
        print(sockets[0].getsockname()[1], flush=True)
    objection = Path(marks) / "objection"
    offer = Offer(
        path,
        [Listening("echo", one) for one in sockets],
        objection.read_text() if objection.exists() else None,
    )
    command = [sys.executable, "-m", "tests.mitm_engine.echo_server", loop, workers, marks, "replace"]
    code = supervise(
        work,
        (loop, Path(marks)),
        sockets=sockets,
        workers=int(workers),
        drain_timeout=1.0,
        patience=Patience(pause=pause, longest_pause=max(pause, 0.1)),
        succession=Succession(offer, command, predecessor=predecessor, ready_timeout=ready_timeout),
    )
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
