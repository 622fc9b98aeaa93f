"""Operators are warned of responses that are not as the API of a provider describes them."""

import pytest

from mitm_addons.ai.provider_warnings import ProviderWarnings

HOUR = 3_600.0


@pytest.mark.parametrize("kind", ["implausible", "untranslatable"])
def test_provider_is_named_once_an_hour_for_each_tenant(caplog: pytest.LogCaptureFixture, kind: str) -> None:
    warnings = ProviderWarnings()

    def warn(provider: str, tenant: str, now: float) -> int:
        caplog.clear()
        if kind == "implausible":
            warnings.implausible(provider, tenant, now)
        else:
            warnings.untranslatable(provider, tenant, b"[]", now)
        assert all(provider in line and tenant in line for line in caplog.messages)
        return len(caplog.messages)

    assert [warn("main", "t1", 0.0), warn("main", "t1", HOUR - 1), warn("main", "t1", HOUR)] == [1, 0, 1]
    assert [warn("main", "t2", HOUR), warn("spare", "t1", HOUR)] == [1, 1]


def test_both_kinds_are_logged_apart(caplog: pytest.LogCaptureFixture) -> None:
    warnings = ProviderWarnings()
    warnings.implausible("main", "t1", 0.0)
    warnings.untranslatable("main", "t1", b"[]", 0.0)
    assert len(caplog.messages) == 2


def test_body_is_logged_only_in_its_beginning_and_without_keys(caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-proj-0123456789abcdefghij"
    body = f'{{"key": "{key}", "text": "'.encode() + b"x" * 5_000 + b'END"}'
    ProviderWarnings().untranslatable("main", "t1", body, 0.0)
    (line,) = caplog.messages
    assert (f"{len(body)} bytes" in line, '"text": "xxx' in line) == (True, True)
    assert (key in line, "END" in line, len(line) < 1_300) == (False, False, True)
