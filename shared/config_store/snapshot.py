"""The last good configuration on disk: what a worker serves while Redis cannot be read.

One SQLite file has a row per tenant, and one for the platform. A change replaces its rows in one transaction,
so the file is always whole, and a large configuration is not written again for each change. Each row has a
checksum. It holds what Redis holds: hashes of API keys and encrypted secrets. Only its user can open it.
"""

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from shared.config_store.layout import PLATFORM_ID
from shared.config_store.records.codec import decode, encode, encode_around
from shared.core.process.data_files import whole_file
from shared.core.process.failures import Failures
from shared.model.config import Rule, Snapshot
from shared.model.providers import PlatformDocument
from shared.secrets.api_keys import all_hashes

_LAYOUT = 1
_TIMEOUT = 1.0  # seconds that a process waits for the writer
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tenants (
    id TEXT PRIMARY KEY, subdomain TEXT NOT NULL, checksum TEXT NOT NULL, snapshot TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_subdomain ON tenants (subdomain);
CREATE TABLE keys (hash TEXT PRIMARY KEY, tenant TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX by_tenant ON keys (tenant);
"""
_BY_SUBDOMAIN = "SELECT id, checksum, snapshot FROM tenants WHERE subdomain = ?"
_BY_KEY = "SELECT id, checksum, snapshot FROM tenants WHERE id = (SELECT tenant FROM keys WHERE hash = ?)"
# Rules of a tenant whose texts a writer keeps, and those of all tenants: one has about 1.5 KB.
_MANY, _MAX_TEXTS = 50, 20_000
_BY_ID = "SELECT id, checksum, snapshot FROM tenants WHERE id = ?"

logger = logging.getLogger(__name__)


class SnapshotFile:
    """The file at `path`. Any process and thread may read it; one process at a time writes.

    Reading raises nothing: what cannot be read is missing, and logged once. Writing raises OSError or
    sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failures = Failures()
        self._texts = RuleTexts()

    def meta(self) -> Mapping[str, Any]:
        """The last `meta` of `write`; empty when there is no usable file."""
        rows = self._rows("SELECT value FROM meta WHERE name = 'meta'")
        try:
            meta = json.loads(rows[0][0]) if rows else {}
        except ValueError as error:
            self._report(error)
            return {}
        return meta if isinstance(meta, dict) and meta.pop("layout", None) == _LAYOUT else {}

    def find(self, kind: str, text: str) -> Snapshot | None:
        """The tenant by ``key`` (its hash), ``subdomain`` or ``id``."""
        query = {"key": _BY_KEY, "subdomain": _BY_SUBDOMAIN, "id": _BY_ID}[kind]
        for name in all_hashes(text):
            for row in self._rows(query, name):
                return self._decoded(*row)
        return None

    def platform(self) -> PlatformDocument | None:
        """The document of the platform; None when there is none, as in the file of an older release."""
        for (stored,) in self._rows("SELECT value FROM meta WHERE name = ?", PLATFORM_ID):
            try:
                checksum, text = json.loads(stored)
                if checksum != _checksum(PLATFORM_ID, text):
                    raise ValueError("The checksum of the platform is wrong.")
                return decode(PlatformDocument, text)
            except (ValueError, TypeError) as error:
                self._report(error)
        return None

    def tenants(self) -> set[str]:
        """The ids of all tenants whose row is undamaged."""
        if not os.path.exists(self.path):
            return set()
        try:
            with self._open() as database:
                rows = database.execute("SELECT id, checksum, snapshot FROM tenants")
                return {one for one, checksum, text in rows if checksum == _checksum(one, text)}
        except sqlite3.Error as error:
            self._report(error)
            return set()

    def write(
        self,
        meta: Mapping[str, Any],
        put: Iterable[Snapshot],
        drop: Iterable[str],
        platform: PlatformDocument | None = None,
    ) -> None:
        """Store `meta` and the tenants `put`, and remove the ids `drop`, in one transaction.

        Without a `platform` the stored one stays.
        """
        self._create()
        with self._open() as database, database:
            for tenant_id in drop:
                _remove(database, tenant_id)
            for snapshot in put:
                _remove(database, snapshot.tenant.id)
                _insert(database, snapshot, self._texts(snapshot))
            stored = {"meta": json.dumps({**meta, "layout": _LAYOUT})}
            if platform is not None:
                text = encode(platform)
                stored[PLATFORM_ID] = json.dumps([_checksum(PLATFORM_ID, text), text])
            database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", stored.items())

    def remove(self) -> None:
        """Remove the file, when it is damaged."""
        self.path.unlink(missing_ok=True)

    def _create(self) -> None:
        """Create the file whole, so that no reader meets a half one."""
        if os.path.exists(self.path):
            return
        with whole_file(self.path) as half, closing(sqlite3.connect(half)) as database:
            database.executescript(_TABLES)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # A reader may have to undo the half change of a writer that was killed, so it may write, too.
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, timeout=_TIMEOUT, uri=True)) as database:
            yield database

    def _rows(self, query: str, *arguments: str) -> list[tuple[Any, ...]]:
        if not os.path.exists(self.path):
            return []
        try:
            with self._open() as database:
                return database.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            self._report(error)
            return []

    def _decoded(self, tenant_id: str, checksum: str, text: str) -> Snapshot | None:
        if checksum != _checksum(tenant_id, text):
            self._report(ValueError(f"The checksum of the tenant {tenant_id} is wrong."))
            return None
        try:
            return decode(Snapshot, text)
        except ValueError as error:
            self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        if self._failures.is_new(error):
            logger.error("%s cannot be used: %s", self.path, error)


class RuleTexts:
    """The rules of tenants as JSON. Those of tenants with many that were written last are kept."""

    def __init__(self, most: int = _MAX_TEXTS) -> None:
        self._most = most
        self._count = 0
        self._kept: dict[str, Mapping[int, tuple[Rule, str]]] = {}

    def __call__(self, snapshot: Snapshot) -> Sequence[str]:
        """The rules of a tenant, each as JSON. Of many rules, only those that changed are encoded."""
        if len(snapshot.rules) < _MANY:
            return [encode(rule) for rule in snapshot.rules]
        known = self._take(snapshot.tenant.id)
        # A rule that is kept stays in memory, so no other one has its identity.
        texts = {id(rule): known.get(id(rule)) or (rule, encode(rule)) for rule in snapshot.rules}
        self._kept[snapshot.tenant.id] = texts
        self._count += len(texts)
        while self._count > self._most and len(self._kept) > 1:
            self._take(next(iter(self._kept)))
        return [text for _, text in texts.values()]

    def _take(self, tenant_id: str) -> Mapping[int, tuple[Rule, str]]:
        """Forget the texts of a tenant, and return them."""
        texts = self._kept.pop(tenant_id, {})
        self._count -= len(texts)
        return texts


def _insert(database: sqlite3.Connection, snapshot: Snapshot, rules: Sequence[str]) -> None:
    tenant, text = snapshot.tenant, encode_around(snapshot, "rules", rules)
    row = (tenant.id, tenant.subdomain, _checksum(tenant.id, text), text)
    database.execute("INSERT INTO tenants VALUES (?, ?, ?, ?)", row)
    owned = [(key.hash, tenant.id) for key in snapshot.keys]
    database.executemany("INSERT OR REPLACE INTO keys VALUES (?, ?)", owned)


def _remove(database: sqlite3.Connection, tenant_id: str) -> None:
    """Remove a tenant, or the platform."""
    if tenant_id == PLATFORM_ID:
        database.execute("DELETE FROM meta WHERE name = ?", (PLATFORM_ID,))
    database.execute("DELETE FROM keys WHERE tenant = ?", (tenant_id,))
    database.execute("DELETE FROM tenants WHERE id = ?", (tenant_id,))


def _checksum(tenant_id: str, text: str) -> str:
    return hashlib.blake2b(f"{tenant_id} {text}".encode(errors="surrogatepass"), digest_size=16).hexdigest()
