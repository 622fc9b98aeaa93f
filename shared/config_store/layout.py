"""The keys of the configuration in Redis. They share one hash tag, so one node of a Cluster has them all.

{cfg}:tenant:<id>            hash    version, revision, root, subdomain, status, created_at, updated_at
{cfg}:doc:<id>:<version>     string  the root of that version, which names its parts; never changed. Without
                                     root in the record it is a whole document, of layout 2
{cfg}:part:<id>:<name>       string  a rule, provider or model that a root names; never changed
{cfg}:keys:<id>              list    the API keys, in order
{cfg}:used:<id>              hash    key id -> time of its last use; written by the proxies
{cfg}:subdomains             hash    subdomain -> tenant id
{cfg}:hashes                 hash    hash of an API key -> tenant id, a space, key id
{cfg}:platform               hash    version, revision, updated_at of the document of the platform
{cfg}:platformdoc:<version>  string  the document of that version; never changed
{cfg}:uses:<use>             set     ids of the tenants that name it: provider:<name> or model:<name>
{cfg}:discovered:<id>        string  the models that a provider listed, and when; never authoritative
{cfg}:order                  zset    tenant ids by the number of the change that created them
{cfg}:changes                zset    tenant ids, deleted ones too, and "platform" by their last change, which
                                     may be that of a list of models
{cfg}:deleted                zset    ids of deleted tenants by time; after a day they leave `changes`
{cfg}:quarantine:<subdomain> string  the tenant that had the subdomain; expires
{cfg}:idem:<name>            string  the claim of a running call, later its sealed response; expires
{cfg}:revision               string  the number of the newest change
{cfg}:faults                 hash    tenant id -> why the proxies serve an older document; written by them
{cfg}:format                 string  the layout that a reader must know; without it, one older than 1
{cfg}:identity               hash    id, generation, pepper, keys, replaces:<id>; see identity.py
{cfg}:changed                channel the ids of tenants that change, and "platform"
"""

from pathlib import Path

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

#: What stands for the platform where other changes have the id of a tenant.
PLATFORM_ID = "platform"
#: The newest layout. A release reads its own and the one before it. 3 has the documents of tenants in parts.
#: A store gets it with the first of them, so two releases can run side by side until then.
FORMAT = 3
#: The layout of a store that has nothing newer.
OLDEST_FORMAT = 2

#: The beginning of the keys of documents; the version follows.
DOCUMENT = "{{cfg}}:doc:{}:"


def tenant_key(tenant_id: str) -> str:
    return f"{{cfg}}:tenant:{tenant_id}"


def document_key(tenant_id: str, version: int) -> str:
    return f"{DOCUMENT.format(tenant_id)}{version}"


def part_key(tenant_id: str, name: str) -> str:
    return f"{{cfg}}:part:{tenant_id}:{name}"


def keys_key(tenant_id: str) -> str:
    return f"{{cfg}}:keys:{tenant_id}"


def used_key(tenant_id: str) -> str:
    return f"{{cfg}}:used:{tenant_id}"


def platform_document_key(version: int | str) -> str:
    return f"{{cfg}}:platformdoc:{version}"


def uses_key(use: str) -> str:
    return f"{{cfg}}:uses:{use}"


def discovered_key(provider_id: str) -> str:
    return f"{{cfg}}:discovered:{provider_id}"


def quarantine_key(subdomain: str) -> str:
    return f"{{cfg}}:quarantine:{subdomain}"


def idempotency_key(name: str) -> str:
    return f"{{cfg}}:idem:{name}"


def script(name: str) -> str:
    """The text of one of the Lua scripts in `lua/`."""
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text(encoding="utf-8")
