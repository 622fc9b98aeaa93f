"""How a program ends that cannot start: with a sentence on standard error, and the exit code for it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shared.core.errors import EX_CONFIG, GatewayError


@contextmanager
def exit_with_sentence(program: str) -> Iterator[None]:
    """End the process with the sentence of a `GatewayError`, and with `EX_CONFIG`, instead of a traceback."""
    try:
        yield
    except (GatewayError, ExceptionGroup) as error:
        found: Exception = error
        while isinstance(found, ExceptionGroup) and len(found.exceptions) == 1:  # of a group of tasks
            found = found.exceptions[0]
        if not isinstance(found, GatewayError):
            raise
        sys.stderr.write(f"{program}: {found}\n")
        sys.exit(EX_CONFIG)
