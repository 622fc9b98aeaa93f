"""The admin API: tenants, keys, rules and plugins over HTTP. `create_app` puts it together."""

from flask import Flask, Response, g, request

from admin_app.auth.access import guard
from admin_app.http.bodies import MAX_BODY, check_content_type
from admin_app.http.errors import register_errors
from admin_app.http.openapi import Api
from admin_app.services import Services, attach, current
from admin_app.views import api_keys, explain, health, plugins, rate_limits, rules, tenants
from admin_app.views.docs import docs_blueprint
from shared.http.request_id import request_id

_DESCRIPTION = """\
Manages tenants, their API keys and their rules.

**Who may call.** With `admin.token` set, it is the platform's key. Without one, calls from this machine
count as the platform's. A tenant's API key manages (scope `admin`) or reads (scope `read`) that tenant.

**Changes** answer with an `ETag`; sent back as `If-Match` it keeps one writer from undoing another.
**Errors** are problem documents (RFC 9457).
"""
_WRITES = ("POST", "PUT", "PATCH")
# Swagger UI styles itself from its script and draws its arrows from data: addresses.
_PAGES = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(services: Services) -> Flask:
    """The WSGI application on `services`."""
    app = Flask(__name__, static_folder=None)
    app.config.update(
        API_TITLE="AI Gateway: admin API",
        API_VERSION=health.VERSION,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": _DESCRIPTION},
            "security": [{"key": []}],
        },
        MAX_CONTENT_LENGTH=MAX_BODY,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    attach(app, services)
    register_errors(app)
    app.before_request(_name_request)
    app.before_request(guard)
    app.before_request(_check_body)
    app.after_request(_finish)
    api = Api(app)
    api.spec.components.security_scheme(
        "key", {"type": "http", "scheme": "bearer", "description": "The platform's or a tenant's key."}
    )
    for module in (tenants, api_keys, rules, rate_limits, explain, plugins):
        api.register_blueprint(module.blueprint, url_prefix="/api/v1")
    api.register_blueprint(health.blueprint)
    app.register_blueprint(docs_blueprint(api))
    return app


def _name_request() -> None:
    g.request_id = request_id(request.headers.get("X-Request-ID"), current().random_bytes)


def _check_body() -> None:
    if request.endpoint is not None and request.method in _WRITES:
        check_content_type(request)


def _finish(response: Response) -> Response:
    """Headers of every answer, and 304 for a reader who has the newest state."""
    if request.method in ("GET", "HEAD") and response.status_code == 200:
        response.make_conditional(request)
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Content-Security-Policy"] = _PAGES
    # Answers may hold a key. "no-cache" still lets a reader ask whether something changed.
    response.headers["Cache-Control"] = "private, no-cache" if request.method == "GET" else "no-store"
    return response
