"""The stored configuration of the owners that a file names."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from admin_app.auth.access import caller
from admin_app.changes.file.request import Request
from admin_app.changes.file.wanted import unknown_tenant
from admin_app.changes.platform import platform
from admin_app.changes.snapshot import find_tenant
from admin_app.changes.whole.document import Problems
from admin_app.context import new_id, services
from shared.config_store.layout import PLATFORM_ID
from shared.core.errors import Invalid
from shared.documents.file.normal import NormalForm, settled
from shared.documents.file.parse import FileDocument, parse_file
from shared.model.config import Snapshot
from shared.model.providers import Shared


class StoredOwners:
    """The stored configuration of the owners in a file, as it is read once.

    Attributes:
        tenants: by their subdomains.
        ids: of tenants, also of new ones, by their subdomains.
        is_complete: whether all tenants were read, so that those that the file does not name are deleted.
    """

    def __init__(self, request: Request) -> None:
        document = request.document
        tenants = document.get("tenants")
        names = [str(name).lower() for name in tenants] if isinstance(tenants, Mapping) else []
        self.is_complete = (
            request.prune
            and request.allow_delete_tenants
            and caller().is_platform
            and isinstance(tenants, Mapping)
            and request.tenants is None
        )
        self.platform = platform()
        own = caller().tenant_id
        if own is not None:
            snapshot = find_tenant(own)
            self.tenants: Mapping[str, Snapshot] = {snapshot.tenant.subdomain: snapshot}
        else:
            shared = _shared_names(document)
            wanted = None if self.is_complete else list(dict.fromkeys([*names, *shared]))
            self.tenants = services().store.read_named(wanted)
        self._names = names
        self.ids = {name: one.tenant.id for name, one in self.tenants.items()}

    def new_count(self) -> int:
        """The number of tenants in the file that are new."""
        return len(set(self._names) - self.tenants.keys())

    def parse(self, request: Request) -> FileDocument:
        """The file. Parts that are stored in the same form are not read again. Raises `Invalid`."""
        now = services().clock.now()
        subdomains = {tenant_id: name for name, tenant_id in self.ids.items()}
        known = [self.tenants[name] for name in self._names if name in self.tenants]
        is_platform = "platform" in request.document
        form = NormalForm(services().catalogue, subdomains)
        stored = form.dump(self.platform if is_platform else None, known, now)
        try:
            file = settled(parse_file(request.document, stored), stored, services().catalogue)
        except Invalid as error:
            moved = [replace(one, pointer=f"/document{one.pointer}") for one in error.problems]
            raise Invalid(moved) from None
        for name in (file.tenants or {}).keys() - self.ids.keys():
            self.ids[name] = new_id("tenant")
        return file

    def base(self, file: FileDocument) -> dict[str, int]:
        """The revisions of the owners that the file names; 0 for one that is not there."""
        names = self.tenants if self.is_complete else file.tenants or {}
        found = {name: one.revision if (one := self.tenants.get(name)) else 0 for name in names}
        if file.platform is not None:
            found[PLATFORM_ID] = self.platform.revision
        return found

    def shared(self, shared: Shared, pointer: str, problems: Problems) -> Shared:
        """The ids of the tenants with which something is shared. An id of one that is gone stays."""
        found = []
        for name in shared.tenants:
            if name not in self.ids and not name.startswith("tenant_"):
                problems.found.append(unknown_tenant(name, f"/document{pointer}"))
            found.append(self.ids.get(name, name))
        return replace(shared, tenants=tuple(dict.fromkeys(found)))


def _shared_names(document: Mapping[str, Any]) -> Iterator[str]:
    """The subdomains with which the platform of a document shares something; the document may be wrong."""
    owner = document.get("platform")
    for kind in ("providers", "models"):
        section = owner.get(kind) if isinstance(owner, Mapping) else None
        for one in section.values() if isinstance(section, Mapping) else ():
            shared = one.get("shared") if isinstance(one, Mapping) else None
            names = shared.get("tenants") if isinstance(shared, Mapping) else None
            yield from (str(name) for name in names) if isinstance(names, list) else ()
