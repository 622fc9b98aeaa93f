"""The admin API: tenants, API keys, rules and plugins over HTTP. `create_app` assembles it."""

from flask import Flask, Response, g, request

from admin_app import context
from admin_app.auth import attempts, failed_logins
from admin_app.auth.access import caller, guard
from admin_app.http.bodies import MAX_BODY_BYTES, MAX_TENANT_FILE, check_content_type
from admin_app.http.errors import register_errors
from admin_app.http.openapi import Api, docs_blueprint
from admin_app.metrics import count_request
from admin_app.ui import pages, session
from admin_app.views import (
    api_keys,
    connection,
    explain,
    health,
    me,
    overview,
    plugins,
    rate_limits,
    requests,
    rule_health,
    rules,
    status,
    tenants,
    warnings,
)
from admin_app.views.ai import (
    budgets,
    known_models,
    models,
    prices,
    provider_health,
    provider_keys,
    provider_test,
    providers,
    providers_health,
    usage,
)
from admin_app.views.alerts import webhooks
from admin_app.views.file import document, plans
from admin_app.views.history import audit, versions
from admin_app.views.platform import tokens
from shared.core import VERSION
from shared.core.http_tokens import WITH_BODY
from shared.http.request_id import request_id
from shared.services import Services

_DESCRIPTION = """\
Manages tenants, their API keys and rules, and providers with their models.

**Authentication.** Send a key as `Authorization: Bearer <key>`. The platform key (setting `admin.token`)
may call every operation; tokens of the platform have scopes. A tenant's API key manages (scope `admin`)
or reads (scope `read`) that tenant only.
If `admin.token` is not set, requests from the gateway's own machine need no key and have all rights.

**Concurrent changes.** Responses carry an `ETag`. Send it as `If-Match` with a change: if the resource was
modified since, the change is rejected with 412.

**Repeated calls.** Send an `Idempotency-Key` with a POST that creates something. If the same call is sent
again within 24 hours, it changes nothing and gets the same response.

**Fields.** null stands for the default. PUT and PATCH accept what was read, read-only fields included. All
problems of a body are reported together. `warnings` name settings that may not work as intended.

**Errors** are problem details (RFC 9457). `code` is stable; `errors` points to each invalid field.
"""
#: In the order of the OpenAPI document.
_VIEWS = (
    me,
    tenants,
    api_keys,
    rules,
    rule_health,
    providers,
    provider_keys,
    provider_test,
    provider_health,
    providers_health,
    models,
    known_models,
    prices,
    budgets,
    connection,
    rate_limits,
    usage,
    webhooks,
    versions,
    audit,
    document,
    tokens,
    plans,
    requests,
    overview,
    status,
    explain,
    plugins,
    warnings,
)
# Swagger UI sets inline styles, and its icons are data: URLs.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(services: Services) -> Flask:
    """The WSGI application on `services`."""
    app = Flask(__name__, static_folder=None)
    app.config.update(
        API_TITLE="AI Gateway: admin API",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": _DESCRIPTION},
            "security": [{"key": []}],
        },
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions[context.EXTENSION] = services
    count = app.extensions[attempts.EXTENSION] = attempts.counting_in(services.address.options)
    app.extensions[failed_logins.EXTENSION] = failed_logins.FailedLogins(
        services.clock, count, services.settings.server.admin_workers
    )
    register_errors(app)
    app.before_request(_set_request_id)
    app.before_request(guard)
    app.before_request(_allow_files)
    app.before_request(_check_content_type)
    app.after_request(_finish)
    api = Api(app)
    api.spec.components.security_scheme(
        "key", {"type": "http", "scheme": "bearer", "description": "The platform key or a tenant's API key."}
    )
    for module in _VIEWS:
        api.register_blueprint(module.blueprint, url_prefix="/api/v1")
    api.register_blueprint(health.blueprint)
    app.register_blueprint(docs_blueprint(api))
    app.register_blueprint(document.schemas)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(session.blueprint)
    return app


def _set_request_id() -> None:
    g.request_id = request_id(request.headers.get("X-Request-ID"), context.services().random_bytes)


def _allow_files() -> None:
    if request.endpoint == plans.FILES:
        most = context.services().settings.admin.max_plan_body
        request.max_content_length = most if caller().is_platform else min(most, MAX_TENANT_FILE)


def _check_content_type() -> None:
    if request.endpoint is not None and request.method in WITH_BODY:
        check_content_type(request)


def _finish(response: Response) -> Response:
    """Set the headers of every response; reply 304 when the client has the current state."""
    count_request(request.method, response.status_code)
    if request.method in ("GET", "HEAD") and response.status_code == 200:
        response.make_conditional(request)
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Content-Security-Policy", _CONTENT_SECURITY_POLICY)
    # Responses may hold a key. "no-cache" still allows conditional requests.
    if request.endpoint != "ui.file":
        response.headers["Cache-Control"] = "private, no-cache" if request.method == "GET" else "no-store"
    return response
