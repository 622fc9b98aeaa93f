"""/tenants/{id}/connection: how clients call the rules of a tenant."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.offered import Offered
from admin_app.changes.owners import holding_of
from admin_app.changes.snapshot import find_tenant
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents.connection import (
    AI,
    CONNECTION,
    MAX_MODELS,
    PLAIN,
    ConnectionOutput,
    connection_document,
)
from shared.model.config import Rule, Snapshot
from shared.model.providers import AiRule
from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, PATHS
from shared.providers.resolve import Resolution
from shared.settings import Settings

blueprint = Blueprint("connection", __name__, "How clients call the rules of a tenant.")

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# The APIs of rules whose paths have the path of the call.
_ENDS: Final = {f"/v1{PATHS[api][0]}": api for api in (OPENAI_CHAT, ANTHROPIC_MESSAGES)}


@blueprint.route("/tenants/<tenant_id>/connection")
class Connection(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getConnection")
    @blueprint.responses(200, ConnectionOutput, example=CONNECTION)
    def get(self, tenant_id: str) -> Response:
        """Read how clients call the rules of a tenant

        The addresses are made of `server.public_url`, or else of where the proxy listens.
        """
        snapshot = find_tenant(tenant_id)
        where = addresses(services().settings, snapshot.tenant.subdomain)
        return response(connection_document(*where, list(_rules(snapshot))))


class Addresses(NamedTuple):
    """Where the proxy is for clients: by the tenant's host, for SDKs, and the host's address without DNS."""

    own: str
    sdk: str
    resolve: str | None


def addresses(settings: Settings, subdomain: str) -> Addresses:
    """The addresses of a tenant under these settings."""
    server = settings.server
    if server.public_url is not None:
        url = server.public_url.replace("{subdomain}", subdomain)
        return Addresses(url, url, None)
    scheme, host = "https" if server.tls.files else "http", f"{subdomain}.{server.base_domain}"
    port = "" if server.proxy_port == _DEFAULT_PORTS[scheme] else f":{server.proxy_port}"
    own = f"{scheme}://{host}{port}"
    if not server.is_proxy_local:
        return Addresses(own, own, None)
    # The proxy's certificate is for the host names of tenants, not for localhost.
    has_local = "localhost" in server.shared_hosts and not server.tls.files
    sdk = f"{scheme}://localhost{port}" if has_local else own
    return Addresses(own, sdk, f"{host}:{server.proxy_port}:127.0.0.1")


def _rules(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    offered = Offered(holding_of(snapshot))
    for rule in snapshot.rules:
        if rule.active and (not rule.methods or "POST" in rule.methods):
            yield {
                "id": rule.id,
                "path": rule.path,
                "kind": PLAIN if rule.ai is None else AI,
                "base_path": base_path(rule.path),
                "apis": _own_api(rule) if rule.ai is None else sorted(offered.apis(rule.ai)),
                "models": [] if rule.ai is None else _models(offered, rule.ai),
                "public": rule.public,
                "credential": rule.credential,
            }


def base_path(path: str) -> str:
    """The part of the path before ``/v1/…`` in the calls that a rule serves.

    >>> [base_path(one) for one in ("/", "/v1", "/ai", "/ai/v1/", "/v1/chat/completions")]
    ['', '', '/ai', '/ai', '']
    """
    path = path.rstrip("/")
    end = next((one for one in _ENDS if path.endswith(one)), "/v1")
    return path.removesuffix(end)


def _own_api(rule: Rule) -> list[str] | None:
    """The API of a plain rule, if its path is that of one; else it has those of its target."""
    return next(([api] for end, api in _ENDS.items() if rule.path.endswith(end)), None)


def _models(offered: Offered, ai: AiRule) -> list[dict[str, Any]]:
    resolver, apis = offered.resolver(ai), sorted(offered.apis(ai))
    names = sorted(resolver.allowed_names(None), key=lambda name: (name != ai.default_model, name))
    return [
        {
            "name": name,
            "apis": [api for api in apis if isinstance(resolver.resolve(name, api, None), Resolution)],
        }
        for name in islice(names, MAX_MODELS)
    ]
