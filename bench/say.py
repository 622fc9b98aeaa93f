"""Progress, on standard error, so that the report can be kept alone."""

import sys


def say(text: str) -> None:
    """One line at once."""
    print(f"-- {text}", file=sys.stderr, flush=True)
