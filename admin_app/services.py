"""What the admin API uses of the world, and how its views reach it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from flask import Flask, current_app

from admin_app.auth.failed_logins import FailedLogins
from shared.config_store.port import ConfigStore
from shared.core.clock import Clock
from shared.explain import Asked, Explained
from shared.limits.values import Decision, Limit
from shared.model.config import Snapshot
from shared.pipeline.plugin import Plugin
from shared.secrets.api_keys import PepperedHasher
from shared.secrets.sealing import AesSealer
from shared.settings import Settings

_EXTENSION = "gateway"


class Services(Protocol):
    """The part of `shared.services.Services` that the admin API needs."""

    @property
    def settings(self) -> Settings: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def catalogue(self) -> Mapping[str, type[Plugin]]: ...

    @property
    def store(self) -> ConfigStore: ...

    @property
    def hasher(self) -> PepperedHasher: ...

    @property
    def sealer(self) -> AesSealer: ...

    def peek(self, limits: Sequence[Limit]) -> Decision: ...

    def explain(self, snapshot: Snapshot, asked: Asked, *, call_outside: bool) -> Explained: ...

    def random_bytes(self, count: int) -> bytes: ...

    def check_target(self, url: str, *, allow_query: bool = False) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class _Attached:
    services: Services
    logins: FailedLogins


def attach(app: Flask, services: Services) -> None:
    """Give `app` its services, and a count of failed logins that is its own."""
    app.extensions[_EXTENSION] = _Attached(services, FailedLogins(services.clock))


def current() -> Services:
    """The services of the app that answers the current request."""
    return _attached().services


def failed_logins() -> FailedLogins:
    """The count of failed logins of the app that answers the current request."""
    return _attached().logins


def _attached() -> _Attached:
    return cast(_Attached, current_app.extensions[_EXTENSION])


def new_id(kind: str) -> str:
    """A new id such as ``rule_3f…``: what it names, and 96 random bits."""
    return f"{kind}_{current().random_bytes(12).hex()}"
