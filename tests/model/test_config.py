"""The values of the configuration cannot be changed."""

import pytest

from shared.model.config import ApiKey, PlatformToken, PluginConfig, Rule, Snapshot, Stage, Tenant
from shared.model.providers import ProviderKey

KEY = ApiKey("k", "n", "gwk_9fK2mQ7x", "hash")


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (KEY, "active"),
        (ApiKey("k", "n", "p", "h", expires_at=10.001), "active"),
        (ApiKey("k", "n", "p", "h", expires_at=10.0), "expired"),
        (ApiKey("k", "n", "p", "h", expires_at=0.0), "expired"),
        (ApiKey("k", "n", "p", "h", revoked=True), "revoked"),
        (ApiKey("k", "n", "p", "h", revoked=True, expires_at=0.0), "revoked"),
    ],
)
def test_a_key_is_active_until_it_is_revoked_or_expires(key: ApiKey, status: str) -> None:
    assert key.status(10.0) == status


def test_stages_are_in_the_order_of_an_exchange() -> None:
    assert [str(stage) for stage in Stage] == ["pre_request", "post_request", "pre_response", "post_response"]


def test_defaults_are_those_of_the_contract() -> None:
    rule = Rule("r", "/", "http://u")
    assert (rule.methods, rule.match, rule.streams) == ((), "prefix", "pass")
    assert (rule.strip_path, rule.public) == (False, False)
    entry = PluginConfig("p")
    assert (entry.enabled, entry.priority, entry.parallel, entry.mode) == (True, 100, False, "enforce")
    assert KEY.scopes == ("proxy",)


def test_keys_that_replaced_each_other_are_of_one_line() -> None:
    assert KEY.line == ApiKey("k2", "n", "p", "h", first=KEY.id).line == KEY.id


@pytest.mark.parametrize("value", [KEY, Rule("r", "/", "http://u"), Tenant("t", "T", "t"), PluginConfig("p")])
def test_configuration_cannot_be_changed_in_place(value: object) -> None:
    for one in (value, Snapshot(Tenant("t", "T", "t"))):
        for name in one.__dataclass_fields__:  # type: ignore[attr-defined]
            with pytest.raises(AttributeError):
                setattr(one, name, "other")


@pytest.mark.parametrize(("where", "is_outside"), [({"env": "A"}, True), ({"file": "a"}, True), ({}, False)])
def test_key_in_a_variable_or_a_file_is_outside_the_store(where: dict[str, str], is_outside: bool) -> None:
    assert ProviderKey(id="pk_1", name="main", **where).is_outside is is_outside  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expires_at", "status"), [(None, "active"), (101.0, "active"), (100.0, "expired"), (99.0, "expired")]
)
def test_token_of_the_platform_is_active_until_it_expires(expires_at: float | None, status: str) -> None:
    token = PlatformToken("ptk_1", "ci", "gwp_", "hash", scopes=(), expires_at=expires_at)
    assert token.status(100.0) == status
