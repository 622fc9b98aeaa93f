"""A supervisor over echo workers, as a program: ``python -m tests.mitm_engine.echo_server uvloop 2 FOLDER``."""

import logging
import resource
import sys
from pathlib import Path

from mitm_engine.processes.listener import listener_socket
from mitm_engine.processes.slot import Patience
from mitm_engine.processes.supervisor import supervise
from shared.core.errors import CannotListen
from tests.mitm_engine.echo_worker import work


def main(loop: str, workers: str, marks: str, port: str = "0", descriptors: str = "") -> None:
    logging.basicConfig(format="%(message)s")
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
    try:
        listener = listener_socket("127.0.0.1", int(port))
    except CannotListen as error:
        sys.exit(f"echo: {error}")
    print(listener.getsockname()[1], flush=True)
    code = supervise(
        work,
        (loop, Path(marks)),
        socket=listener,
        workers=int(workers),
        drain_timeout=1.0,
        patience=Patience(longest_pause=0.1),
    )
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
