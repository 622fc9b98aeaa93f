"""The platform as it is read again and again: what did not change is not read and not decoded again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.config_store import layout
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.records.codec import encode
from shared.config_store.records.parts import PartNames
from shared.config_store.records.platform import PlatformChange, PlatformVersion, write_platform_call
from shared.config_store.records.stored import MOST_PARTS, Done, StoredContents, advance
from shared.config_store.records.tenants import ScriptCall
from shared.core.errors import BadRecord
from shared.model.providers import Model, ModelTarget, PlatformDocument, Provider, ProviderModel

PROVIDERS = tuple(Provider(f"prv_{name}", name, "openai", models=(ProviderModel(id="m"),)) for name in "ab")
MODELS = (Model("fast", (ModelTarget(provider="a", model="m"),)),)
CHANGED = replace(PROVIDERS[0], enabled=False)
EDIT = Edit(actor="platform")


class Stored:
    """The keys that calls of the script have written, without Redis, and what was asked for."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self.record: dict[str, str] = {}
        self.asked: list[str] = []
        self.most_asked = 0

    def write(self, writer: StoredContents, before: PlatformDocument, **content: Any) -> PlatformDocument:
        change = PlatformChange.between(before, replace(before, **content))
        split = writer.change_platform(change, "platform")
        call = write_platform_call(change, split, EDIT, AuditKey())
        members = json.loads(call.arguments[0])
        self.texts[f"{members['roots']}{members['content']['version']}"] = call.arguments[1].encode()
        for name, text in zip(members["content"]["names"], call.arguments[2:], strict=True):
            self.texts[f"{members['parts']}{name}"] = text.encode()
        self.record = {**members["record"], "revision": str(before.revision + 1)}
        writer.written(layout.PLATFORM_ID, split)
        return replace(change.after, revision=before.revision + 1)

    def read(self, reader: StoredContents) -> PlatformDocument:
        reading = reader.platform()
        step = advance(reading)
        while not isinstance(step, Done):
            step = advance(reading, self._reply(step))
        return step.result

    def _reply(self, ask: ScriptCall | Sequence[str]) -> Any:
        if not isinstance(ask, ScriptCall):
            self.asked.extend(ask)
            self.most_asked = max(self.most_asked, len(ask))
            return [self.texts.get(key) for key in ask]
        roots, _, held = ask.arguments
        record = [part.encode() for pair in self.record.items() for part in pair]
        text = self.texts.get(f"{roots}{self.record.get('version')}")
        return (b"", b"0"), record, b"" if held and held == self.record.get("root") else text


@pytest.fixture
def stored() -> Stored:
    return Stored()


def contents() -> StoredContents:
    return StoredContents(PartNames(b"p" * 32))


def test_what_did_not_change_is_neither_asked_for_nor_decoded_again(stored: Stored) -> None:
    writer, reader = contents(), contents()
    first = stored.write(writer, PlatformDocument(updated_at=2.0), providers=PROVIDERS, models=MODELS)
    read = stored.read(reader)
    assert read == first
    assert len(stored.asked) == 3
    second = stored.write(writer, first, providers=(PROVIDERS[1], CHANGED), models=())
    stored.asked.clear()
    again = stored.read(reader)
    assert again == second
    assert len(stored.asked) == 1
    assert again.providers[0] is read.providers[1]
    stored.asked.clear()
    assert stored.read(reader).providers[1] is again.providers[1]
    assert stored.asked == []


def test_many_parts_are_asked_for_some_at_a_time(stored: Stored) -> None:
    models = tuple(replace(MODELS[0], name=f"m{number}") for number in range(2 * MOST_PARTS + 1))
    first = stored.write(contents(), PlatformDocument(updated_at=2.0), models=models)
    assert stored.read(contents()) == first
    assert (len(stored.asked), stored.most_asked) == (len(models), MOST_PARTS)


def test_platform_without_a_write_is_empty(stored: Stored) -> None:
    assert stored.read(contents()) == PlatformDocument()


@pytest.mark.parametrize("damage", [b"{}", b"1", b"no JSON", None])
def test_a_damaged_root_or_part_is_rejected_and_mended_by_the_next_version(
    stored: Stored, damage: bytes | None
) -> None:
    writer, reader = contents(), contents()
    first = stored.write(writer, PlatformDocument(), providers=PROVIDERS)
    for key, text in list(stored.texts.items()):
        if damage is None:
            del stored.texts[key]
        else:
            stored.texts[key] = damage
        with pytest.raises(BadRecord, match="The stored platform cannot be read"):
            stored.read(reader)
        stored.texts[key] = text
    assert stored.read(reader) == first


@pytest.mark.parametrize(
    "damage",
    [{"providers": 1}, {"providers": [1]}, {"providers": [{}]}, {"models": [{"name": []}]}, {"more": 1}],
)
def test_a_damaged_document_of_layout_3_is_rejected(damage: Any) -> None:
    whole = PlatformVersion(providers=PROVIDERS, models=MODELS, prices={}, actor="x", written_at=1.0)
    record = [b"version", b"1", b"updated_at", b"2.0", b"revision", b"3"]

    def read(text: bytes | None) -> PlatformDocument:
        reading = contents().platform()
        advance(reading)
        step = advance(reading, (b"", record, text))
        assert isinstance(step, Done)
        return step.result

    text = encode(whole)
    expected = PlatformDocument(PROVIDERS, MODELS, version=1, updated_at=2.0, revision=3)
    assert read(text.encode()) == expected
    for wrong in (json.dumps(json.loads(text) | damage).encode(), None):
        with pytest.raises(BadRecord, match="cannot be read"):
            read(wrong)
