"""The stream of alerts in Redis: names, values, and the call of the script that adds one.

{cfg}:alerts                 stream  the newest 10,000 alerts; the field ``alert`` has one as JSON
{cfg}:alerted:<kind>:<hash>  string  the same was added; expires
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from shared.alerts.alert import KINDS, Alert
from shared.core.fields import timestamp_text
from shared.redis_client.script import Script

#: The stream.
ALERTS: Final = "{cfg}:alerts"
#: The alerts that are kept: about so many, for Redis drops whole nodes of a stream.
MAX_ALERTS: Final = 10_000
#: Adds an alert, unless the same was added of late. Load it on the connection that calls it.
ADD: Final = Script.of(Path(__file__).parent / "lua" / "add.lua")
_FIELD: Final = b"alert"


class Note(NamedTuple):
    """The keys and arguments of one call of `ADD`."""

    keys: tuple[str, str]
    arguments: tuple[str | int, ...]


def note_of(alert: Alert) -> Note:
    """The call that adds an alert."""
    name = hashlib.sha256(alert.mark.encode()).hexdigest()[:32]
    members = {
        "type": alert.kind,
        "time": timestamp_text(alert.at),
        "tenant_id": alert.tenant,
        "data": alert.about,
    }
    keys = ALERTS, f"{{cfg}}:alerted:{alert.kind}:{name}"
    return Note(keys, (MAX_ALERTS, round(alert.quiet * 1000), orjson.dumps(members).decode()))


class StoredAlert(NamedTuple):
    """An alert of the stream. `id` is that of the entry, ``<milliseconds>-<number>``."""

    id: str
    kind: str
    tenant: str | None
    members: dict[str, Any]

    @classmethod
    def parse(cls, entry_id: bytes, fields: dict[bytes, bytes]) -> "StoredAlert":
        """The alert in an entry. Raises ValueError on one of another form."""
        members = orjson.loads(fields.get(_FIELD, b""))
        kind, tenant = _heading(members) if isinstance(members, dict) else ("", "")
        if kind not in KINDS or tenant == "":
            raise ValueError("It is not an alert of a known kind.")
        return cls(entry_id.decode(), kind, tenant, members)

    @property
    def milliseconds(self) -> int:
        """The time when it was written, by the clock of Redis, since the Unix epoch."""
        return int(self.id.partition("-")[0])

    @property
    def about(self) -> Mapping[str, Any]:
        """Its ids, names and figures."""
        found = self.members.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def body(self) -> bytes:
        """The JSON that receivers get."""
        return orjson.dumps({"id": self.id, **self.members})


def _heading(members: dict[str, Any]) -> tuple[str, str | None]:
    """The kind and the tenant of an alert; empty if they are not text."""
    kind, tenant = members.get("type"), members.get("tenant_id")
    return kind if isinstance(kind, str) else "", tenant if isinstance(tenant, str | None) else ""
