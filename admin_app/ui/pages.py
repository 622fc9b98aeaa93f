"""The pages of the dashboard and their files.

A page holds no data, so all are public: its script calls the API, which checks the caller.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import flask
from flask import Response, redirect, render_template, send_from_directory

from admin_app.auth.access import Access, requires
from admin_app.http.forwarded import path_prefix
from shared.core.empty import EMPTY

_STATIC = Path(__file__).parent / "static"
#: Pages need their own files only. Scripts set styles through the DOM, which this policy does not concern.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def _hash_of_files() -> str:
    files = sorted(path for path in _STATIC.rglob("*") if path.is_file())
    named = (f"{path.relative_to(_STATIC).as_posix()}\0".encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"\0".join(named)).hexdigest()[:12]


#: Part of the address of every file, so that browsers may keep it forever.
VERSION = _hash_of_files()


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its name, its path, and the item of the menu that is current on it.

    `template` is the name of its template; empty: its own name.
    """

    name: str
    path: str
    menu: str = ""
    template: str = ""


_TENANT = "/ui/tenants/<tenant_id>"
PAGES = (
    Page("overview", "/ui/"),
    Page("tenants", "/ui/tenants"),
    Page("tenant", _TENANT, "tenants"),
    Page("rule", f"{_TENANT}/rules/<rule_id>", "tenants"),
    Page("connect", f"{_TENANT}/connect", "tenants"),
    Page("request", f"{_TENANT}/requests/<path:request_id>", "traffic"),
    Page("any_request", "/ui/requests/<path:request_id>", "traffic", "request"),
    Page("traffic", "/ui/traffic"),
    Page("limits", "/ui/limits"),
    Page("providers", "/ui/providers"),
    Page("models", "/ui/models"),
    Page("plugins", "/ui/plugins", template="explain"),
    Page("test", "/ui/test", template="explain"),
    Page("audit", "/ui/audit", template="history"),
    Page("history", "/ui/history", "audit"),
    Page("system", "/ui/system"),
    Page("login", "/ui/login"),
)
#: The page of a path that leads to none.
MISSING = Page("missing", "/ui/<path:path>")

blueprint = flask.Blueprint("ui", __name__, template_folder="templates")


@blueprint.get("/")
@requires(Access.PUBLIC)
def root() -> flask.typing.ResponseReturnValue:
    return redirect(f"{path_prefix()}/ui/")


@blueprint.get("/ui/files/<version>/<path:name>")
@requires(Access.PUBLIC)
def file(version: str, name: str) -> Response:
    response = send_from_directory(_STATIC, name, mimetype=_TYPES.get(Path(name).suffix))
    response.headers["Cache-Control"] = _FOREVER if version == VERSION else "no-store"
    return response


def _view(page: Page) -> Callable[..., Response]:
    @requires(Access.PUBLIC)
    def view(**ids: str) -> Response:
        prefix, template = path_prefix(), page.template or page.name
        text = render_template(
            [f"pages/{template}.html", f"{template}.html"],
            files=f"{prefix}/ui/files/{VERSION}",
            prefix=prefix,
            name=page.name,
            menu=page.menu or page.name,
            ids=ids if page is not MISSING else EMPTY,
        )
        response = Response(text, 404 if page is MISSING else 200, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.add_etag()
        return response

    return view


for _page in (*PAGES, MISSING):
    blueprint.add_url_rule(_page.path, _page.name, _view(_page), methods=["GET"])
