"""The page of the operations of the admin API, and what each requires."""

from types import SimpleNamespace
from typing import Any, cast

from flask_smorest import Api

from admin_app import create_app
from scripts.reference.page import page, table
from shared.config_store.idempotency import MAX_KEPT
from shared.services import Services, SystemClock
from shared.settings.sections import Settings


def admin_api_page() -> str:
    """Every operation of the admin API, and the access that it needs."""
    rows = [
        (f"`{name}`", operation["summary"], required_access(operation.get("description", "")))
        for name, operation in operations()
    ]
    return page(
        "The admin API",
        "Swagger UI at `/docs` has every field. `/openapi.json` is the same as an OpenAPI 3.1 document. "
        "[Keys, scopes and roles](scopes.md) says which key may call what.",
        "## Operations\n",
        table(("operation", "what it does", "requires"), rows),
        "## Changes\n",
        "Changes of different objects never disturb each other. To change only what you have read, send its "
        "`ETag` as `If-Match`: if it was modified since, the status is 412.",
        "A POST that creates something, or resets a budget, takes an `Idempotency-Key` (1 to 255 printable "
        "characters). Sent again within 24 hours, it changes nothing and gets the same response, with "
        "`Idempotent-Replayed: true`. Errors are not kept, so a rejected call can be corrected and sent "
        f"again. The newest {MAX_KEPT:,} responses of a tenant are kept, and as many of the platform.",
        "PUT and PATCH accept what was read, read-only fields included. null stands for the default of a "
        "field. A new key is shown once, as `key` and `api_key`.",
    )


def operations() -> list[tuple[str, dict[str, Any]]]:
    """Method and path of each operation, with its OpenAPI object."""
    services = SimpleNamespace(clock=SystemClock(), address=SimpleNamespace(options={}), settings=Settings())
    app = create_app(cast(Services, services))
    with app.app_context():
        spec = cast(Api, app.extensions["flask-smorest"]["apis"][""]["ext_obj"]).spec.to_dict()
    return [
        (f"{method.upper()} {path}", operation)
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and "summary" in operation
    ]


def required_access(description: str) -> str:
    _, found, access = description.rpartition("Requires ")
    return access.removesuffix(".") if found else "no key"
