"""The values that a translation needs beside a document."""

from typing import Any

from shared.translation.notes import Context, Notes

TOKEN = "0123456789abcdefghijklmnopqrstuv"


def context(**given: Any) -> Context:
    return Context(now=1_790_000_000, token=TOKEN, **given)


def with_usage() -> Context:
    """The context of a client that asks for the usage of a stream."""
    notes = Notes()
    notes.include_usage = True
    return context(notes=notes)
