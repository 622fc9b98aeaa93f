"""An error says what mitmproxy's core cannot do when it is configured."""

from typing import Any, cast

from mitm_addons.stock.serve import unsupported
from shared.config_store.history.edit import Edit
from shared.config_store.port import ConfigStore
from shared.core.errors import StoreDown
from shared.model.config import Rule
from shared.model.rule_timeouts import RuleTimeouts
from shared.settings import load_settings
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import ACTOR, StillClock, a_tenant


def said(store: ConfigStore | None = None, **settings: Any) -> list[str]:
    environ = {f"GATEWAY__{name}": value for name, value in settings.items()}
    return [*unsupported(load_settings(environ=environ), store or MemoryStore(StillClock(), 60))]


def test_unsupported_settings_at_their_defaults_are_not_reported() -> None:
    assert said() == []


def test_settings_without_effect_are_named() -> None:
    assert said(LIMITS__TIMEOUTS__CONNECT="1s", SERVER__DRAIN_TIMEOUT="1s") == [
        "server.drain_timeout",
        "limits.timeouts",
    ]
    assert said(LIMITS__CONNECTIONS="5", LIMITS__IN_FLIGHT="5") == ["limits.connections", "limits.in_flight"]


def test_rules_with_timeouts_are_found_among_many_tenants() -> None:
    store = MemoryStore(StillClock(), 60)
    for number in range(501):
        store.write(None, a_tenant(f"t{number}", rules=(Rule("r", "/", "http://u"),)), edit=Edit(actor=ACTOR))
    assert said(store) == []
    rule = Rule("r", "/", "http://u", timeouts=RuleTimeouts(total=5))
    store.write(None, a_tenant("last", rules=(rule,)), edit=Edit(actor=ACTOR))
    assert said(store) == ["the timeouts of rules"]


def test_start_continues_without_the_store() -> None:
    class Down:
        def list(self, limit: int, cursor: str | None) -> None:
            raise StoreDown("down")

    assert said(cast(ConfigStore, Down())) == []
