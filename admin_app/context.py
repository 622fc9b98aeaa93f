"""The services that every view reaches without passing them, and new ids."""

from typing import cast

from flask import current_app

from shared.services import Services

#: The key of `Services` in `flask.Flask.extensions`.
EXTENSION = "gateway"


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast(Services, current_app.extensions[EXTENSION])


def new_id(kind: str) -> str:
    """A new id such as ``rule_3f…``: its kind, and 96 random bits."""
    return f"{kind}_{services().random_bytes(12).hex()}"
