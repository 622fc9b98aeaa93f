"""Webhooks: the addresses that get alerts."""

from dataclasses import dataclass

from shared.model.sealed import Sealed

#: The most webhooks of one owner: each is a call for each alert.
MAX_WEBHOOKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that gets alerts of its owner: of the platform, or of a tenant.

    Attributes:
        name: unique for its owner.
        url: the address.
        events: the kinds of alerts that it gets.
        secret: signs what is sent, encrypted for the origin of `url`. Exactly one of `secret`, `env` and
            `file` is set.
        env: the name of a variable of the environment that the operator opened.
        file: the name of a file in the folder of secrets.
        active: False keeps it, and sends nothing.
    """

    id: str
    name: str
    url: str
    events: tuple[str, ...] = ()
    secret: Sealed | None = None
    env: str | None = None
    file: str | None = None
    active: bool = True
    created_at: float = 0.0
    updated_at: float = 0.0
