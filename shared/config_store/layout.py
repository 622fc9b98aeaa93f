"""The keys of the configuration in Redis. They share one hash tag, so one node of a Cluster has them all.

{cfg}:tenant:<id>            hash    version, revision, root, subdomain, status, created_at, updated_at
{cfg}:doc:<id>:<version>     string  the root of that version, which names its parts; never changed. Without
                                     root in the record it is a whole document, of layout 2
{cfg}:part:<id>:<name>       string  a rule, provider, model or budget that a root names
{cfg}:versions:<id>          zset    the versions that are kept, by their numbers
{cfg}:notes:<id>             hash    version -> its note: author, time, summary; see history/versions.py
{cfg}:version_bytes:<id>     hash    version -> the bytes that it wrote: its root, and its new parts
{cfg}:dropped:<id>           zset    parts that only old versions name, by the version that dropped them
{cfg}:pinned:<id>            set     the versions that stay however old they are
{cfg}:pinned_parts:<id>      hash    part -> how many of the pinned versions name it
{cfg}:keys:<id>              list    the API keys, in order
{cfg}:used:<id>              hash    key id -> time of its last use; written by the proxies
{cfg}:subdomains             hash    subdomain -> tenant id
{cfg}:hashes                 hash    hash of an API key -> tenant id, a space, key id
{cfg}:platform               hash    version, revision, root, updated_at of the platform. Its content has keys
                                     like those of a tenant, with the id "platform"
{cfg}:platformdoc:<version>  string  its whole document, of layout 3; without root in the record
{cfg}:uses:<use>             set     ids of the tenants that name it: provider:<name> or model:<name>
{cfg}:discovered:<id>        string  the models that a provider listed, and when; never authoritative
{cfg}:tokens                 hash    hash of a platform token -> the token; `revision`: their last change
{cfg}:events                 hash    `revision`: the last event, such as a log-in
{cfg}:order                  zset    tenant ids by the number of the change that created them
{cfg}:changes                zset    tenant ids, deleted ones too, and "platform" by their last change, which
                                     may be that of a list of models
{cfg}:deleted                zset    ids of deleted tenants by time; after a day they leave `changes`
{cfg}:quarantine:<subdomain> string  the tenant that had the subdomain; expires
{cfg}:idem:<name>            string  the claim of a running call, later its sealed response; expires
{cfg}:calls:<id>             zset    the names of the responses that a tenant, or the platform, has; expires
{cfg}:resealed               set     owners whose secrets were sealed anew, which no worker was told yet
{cfg}:login:<network>        list    the times of the last failed logins of an address; expires
{cfg}:changed_at:<id>        list    the times of the last changes with keys of a tenant; expires
{cfg}:plan:<id>              string  a plan of a file, sealed; expires
{cfg}:staged:<call>:<id>     string  a root that waits to be written with others
{cfg}:leftovers              zset    what is removed if it is not used by then: staged keys, staged parts, and
                                     what else is stored of tenants that were deleted together
{cfg}:revision               string  the number of the newest change
{cfg}:audit                  stream  the changes, newest last; see history/audit.py
{cfg}:faults                 hash    tenant id -> why the proxies serve an older document; written by them
{cfg}:alerts                 stream  what webhooks tell, written by the proxies; {cfg}:alerted:<kind>:<hash>
                                     says that it was told. See shared/alerts/stream.py
{cfg}:deliveries             hash    what is not sent yet to webhooks; see shared/alerts/deliveries.py
{cfg}:delivered              hash    the last delivery of each webhook, and the last alert that was read
{cfg}:format                 string  the layout that a reader must know; without it, one older than 1
{cfg}:identity               hash    id, generation, pepper, keys, replaces:<id>; see identity.py. Per
                                     older pepper audit:<id>, hashed:<id>; see history/retired.py
{cfg}:changed                channel the ids of tenants that change, and "platform"
"""

from pathlib import Path
from typing import NamedTuple

SUBDOMAINS = "{cfg}:subdomains"
HASHES = "{cfg}:hashes"
ORDER = "{cfg}:order"
CHANGES = "{cfg}:changes"
DELETED = "{cfg}:deleted"
REVISION = "{cfg}:revision"
FAULTS = "{cfg}:faults"
LAYOUT = "{cfg}:format"
IDENTITY = "{cfg}:identity"
CHANNEL = "{cfg}:changed"
PLATFORM = "{cfg}:platform"
AUDIT = "{cfg}:audit"
TOKENS = "{cfg}:tokens"
EVENTS = "{cfg}:events"
LEFTOVERS = "{cfg}:leftovers"
RESEALED = "{cfg}:resealed"

#: The beginning of the keys of whole documents of the platform.
WHOLE_PLATFORM = "{cfg}:platformdoc:"

#: The id of the platform where other changes have the id of a tenant.
PLATFORM_ID = "platform"
#: The id of the platform's tokens in the audit log.
TOKENS_ID = "platform.tokens"
#: The same for events that change nothing.
EVENTS_ID = "platform.events"
#: The newest layout. A release reads its own and those before it. 3 has the documents of tenants in parts, 4
#: keeps old versions, and has the document of the platform in parts. A store gets it with the first content
#: that is written in it, so two releases can run side by side until then.
FORMAT = 4
#: The layout of a store that has nothing newer.
OLDEST_FORMAT = 2


def tenant_key(tenant_id: str) -> str:
    return f"{{cfg}}:tenant:{tenant_id}"


def root_prefix(owner: str) -> str:
    """The beginning of the keys of the roots of an owner; the version follows."""
    return f"{{cfg}}:doc:{owner}:"


def root_key(owner: str, version: int | str) -> str:
    return f"{root_prefix(owner)}{version}"


def part_prefix(owner: str) -> str:
    """The beginning of the keys of the parts of an owner; the name follows."""
    return f"{{cfg}}:part:{owner}:"


def part_key(owner: str, name: str) -> str:
    return f"{part_prefix(owner)}{name}"


class VersionKeys(NamedTuple):
    """The keys of the versions of one owner."""

    versions: str
    notes: str
    version_bytes: str
    dropped: str
    pinned: str
    pinned_parts: str


def version_keys(owner: str) -> VersionKeys:
    return VersionKeys(*(f"{{cfg}}:{name}:{owner}" for name in VersionKeys._fields))


def keys_key(tenant_id: str) -> str:
    return f"{{cfg}}:keys:{tenant_id}"


def used_key(tenant_id: str) -> str:
    return f"{{cfg}}:used:{tenant_id}"


def whole_key(owner: str, version: int | str) -> str:
    """The key of a document of an older layout, which is not in parts."""
    return f"{WHOLE_PLATFORM}{version}" if owner == PLATFORM_ID else root_key(owner, version)


def uses_key(use: str) -> str:
    return f"{{cfg}}:uses:{use}"


def discovered_key(provider_id: str) -> str:
    return f"{{cfg}}:discovered:{provider_id}"


def quarantine_key(subdomain: str) -> str:
    return f"{{cfg}}:quarantine:{subdomain}"


def idempotency_key(name: str) -> str:
    return f"{{cfg}}:idem:{name}"


def login_key(network: str) -> str:
    return f"{{cfg}}:login:{network}"


def changes_key(tenant_id: str) -> str:
    return f"{{cfg}}:changed_at:{tenant_id}"


def plan_key(plan_id: str) -> str:
    return f"{{cfg}}:plan:{plan_id}"


def calls_key(caller: str) -> str:
    return f"{{cfg}}:calls:{caller}"


def plans_key(owner: str) -> str:
    return f"{{cfg}}:plans:{owner}"


def staged_key(call: str, owner: str) -> str:
    return f"{{cfg}}:staged:{call}:{owner}"


#: The beginnings of the keys of owners, for scripts that make them.
PREFIXES = {
    **{name: f"{{cfg}}:{name}:" for name in ("tenant", "doc", "part", "keys", "used", "uses", "quarantine")},
    **version_keys("")._asdict(),
}


def script(*names: str) -> str:
    """The text of Lua scripts in `lua/`, one after the other."""
    folder = Path(__file__).parent / "lua"
    return "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
