"""What tests give to a translation beside a document."""

from typing import Any

from shared.translation.notes import Context

TOKEN = "0123456789abcdefghijklmnopqrstuv"


def context(**given: Any) -> Context:
    return Context(now=1_790_000_000, token=TOKEN, **given)
