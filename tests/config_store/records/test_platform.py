"""The document of the platform, parsed again and again."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.config_store.records.codec import encode
from shared.config_store.records.platform import PlatformParser, PlatformVersion
from shared.core.errors import BadRecord
from shared.model.providers import Model, ModelTarget, PlatformDocument, Provider, ProviderModel

RECORD = [b"version", b"1", b"updated_at", b"2.0", b"revision", b"3"]
PROVIDERS = tuple(Provider(f"prv_{name}", name, "openai", models=(ProviderModel(id="m"),)) for name in "ab")
MODELS = (Model("fast", (ModelTarget(provider="a", model="m"),)),)


def reply(providers: Any = PROVIDERS, models: Any = MODELS) -> Any:
    version = PlatformVersion(providers=providers, models=models, prices={}, actor="x", written_at=1.0)
    return b"", RECORD, encode(version).encode()


def test_what_did_not_change_stays_the_same_object() -> None:
    parse = PlatformParser()
    first = parse(reply())
    assert first == PlatformDocument(PROVIDERS, MODELS, version=1, updated_at=2.0, revision=3)
    changed = replace(PROVIDERS[0], enabled=False)
    second = parse(reply((PROVIDERS[1], changed), ()))
    assert second.providers == (PROVIDERS[1], changed)
    assert second.providers[0] is first.providers[1]
    third = parse(reply((changed,)))
    assert third.providers[0] is second.providers[1]
    assert third.models == MODELS


@pytest.mark.parametrize(
    "damage",
    [{"providers": 1}, {"providers": [1]}, {"providers": [{}]}, {"models": [{"name": []}]}, {"more": 1}],
)
def test_a_damaged_document_is_rejected_and_forgotten(damage: Any) -> None:
    parse = PlatformParser()
    first = parse(reply())
    _, record, text = reply()
    with pytest.raises(BadRecord, match="cannot be read"):
        parse((b"", record, json.dumps(json.loads(text) | damage)))
    with pytest.raises(BadRecord, match="is missing"):
        parse((b"", record, None))
    assert parse(reply()).providers[0] is first.providers[0]
