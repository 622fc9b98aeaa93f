"""Writes the reference pages that the code determines: ``python -m scripts.reference``.

They are in docs/reference. A test fails when one of them is not what this prints.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from flask_smorest import Api

from admin_app import create_app
from admin_app.auth.access import Access, Caller
from admin_app.auth.failed_logins import MAX_FAILURES
from admin_app.auth.field_access import PROVIDER_FIELDS, RULE_FIELDS, TENANT_FIELDS
from admin_app.changes.file.plan import MAX_TENANTS
from admin_app.http.bodies import MAX_BODY_BYTES
from admin_app.http.errors import ADMIN_ERRORS
from admin_app.http.paging import MAX_LIMIT
from admin_app.jobs.webhooks import MAX_WAITING
from admin_app.views.ai.usage import MAX_DAYS, MAX_PLATFORM_DAYS, MAX_TAG_DAYS, MAX_TRIED_DAYS
from admin_app.views.ai.usage import MAX_TRIED as MAX_TRIED_CALLS
from admin_app.views.api_keys import MAX_INACTIVE_KEYS
from scripts.gw_page import gw_page
from scripts.page import code, page, table
from scripts.pools_page import pools_page
from scripts.translation_page import translation_page
from shared import explain
from shared.bodies.json.parse import MAX_DEPTH, MAX_DIGITS
from shared.bodies.text import patterns
from shared.bodies.text.rules import MAX_MASKED
from shared.budgets.settings import MAX_ALERTS
from shared.config_store.idempotency import MAX_KEPT
from shared.core.durations import HOUR_SECONDS
from shared.core.errors import ERRORS, LOG_ONLY
from shared.documents.ai.budget import MAX_INCREASES
from shared.documents.ai.provider_key import MAX_KEYS as MAX_PROVIDER_KEYS
from shared.documents.api_key import ApiKeyInput
from shared.documents.plugin_config import MAX_ENTRIES, MAX_TIMEOUT_SECONDS
from shared.health.known import WINDOW_SECONDS
from shared.http.content_coding import MAX_DECODED, MAX_RATIO
from shared.limits import quotas
from shared.limits.distinct_values import MAX_VALUES
from shared.log_lines import AI_FIELDS, CAUSES, KINDS, fields_of, json_schema
from shared.metrics import registry
from shared.metrics.names import FAMILIES as METRICS
from shared.model.amounts import MAX_AMOUNT, amount_text
from shared.model.config import PlatformScope, Scope
from shared.model.providers import ProviderAuth
from shared.model.webhooks import MAX_WEBHOOKS
from shared.pipeline.chain import MAX_WEIGHT
from shared.plugins import external_validator
from shared.plugins.content_validator import LONGEST
from shared.providers.shipped.presets import presets
from shared.routing.ai import translated
from shared.services import Services, SystemClock
from shared.settings.declare import declared
from shared.settings.sections import Settings
from shared.settings.sources import PREFIX

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def settings_page() -> str:
    """Every setting, with its default and its variable."""
    rows = [
        (f"`{name}`", _default(default), help_text) for name, default, help_text in _settings(Settings, "")
    ]
    return page(
        "Settings",
        "Each setting of `config.yaml` can also be set by a variable: `server.admin_port` by "
        f"`{PREFIX}SERVER__ADMIN_PORT`. The variable has precedence over the file. [config.yaml]"
        "(../../config.yaml) is the same list as a file.",
        table(("setting", "default", "meaning"), rows),
    )


def _settings(kind: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    for field, described in declared(kind):
        if section := described.get("section"):
            yield from _settings(section, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}", described["default"], described["description"]


def _default(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"`{name}`" for name in value)
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return "`null`" if value is None else f"`{value}`" if value != "" else "empty"


def metrics_page() -> str:
    """Every metric, with its labels."""
    bounds = ", ".join(f"{count:,} of `{label}`" for label, count in registry.MAX_VALUES.items())
    return page(
        "Metrics",
        "[Watch with Prometheus](../how-to/metrics.md) shows how to read them. A process tells apart "
        f"{bounds}, and 500 of each other label; all further values are `{registry.OTHER}`. "
        "`tenant` is a subdomain, `rule` the path of a rule. `model` is a name that is configured, or in the "
        "list of its provider; all others are `other`. A client cannot make up any value.",
        table(
            ("metric", "type", "labels", "meaning"),
            [
                (f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning)
                for one in METRICS
            ],
        ),
    )


def errors_page() -> str:
    """Every error code of both programs."""
    proxy = {code: error for code, error in ERRORS.items() if code not in LOG_ONLY}
    return page(
        "Errors",
        "A response with a status from 400 on has the header `X-Gateway-Error-Source`: `gateway`, "
        "`plugin:<name>` or `upstream`. An error of the gateway has one of these codes, and mostly a more "
        "precise sentence than the one here. `request_id` in the body is that of the log.",
        "## The proxy\n",
        'The body is `{"error": {"message", "type", "param", "code"}, "request_id"}`, or Anthropic\'s shape '
        "on `/v1/messages`. In a stream that has begun, an error event of the same shape ends the stream.",
        _error_table(proxy),
        "## The admin API\n",
        "The body is a problem document (RFC 9457) with `code`. `errors` points to each wrong field. "
        "Besides the codes of the proxy, these exist:",
        _error_table(ADMIN_ERRORS),
    )


def _error_table(found: Mapping[str, tuple[int, str]]) -> str:
    rows = sorted((status, code, text) for code, (status, text) in found.items())
    return table(
        ("status", "code", "meaning"), [(str(status), f"`{code}`", text) for status, code, text in rows]
    )


def admin_api_page() -> str:
    """Every operation of the admin API, and the access that it needs."""
    rows = [
        (f"`{name}`", operation["summary"], _access(operation.get("description", "")))
        for name, operation in _operations()
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


def _operations() -> list[tuple[str, dict[str, Any]]]:
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


def scopes_page() -> str:
    """The keys, and who may call which operation and write which field."""
    default = _scopes(ApiKeyInput().load({})["scopes"])
    return page(
        "Keys, scopes and roles",
        "## Keys\n",
        table(
            ("role", "key", "reaches"),
            [
                ("platform", "`admin.token`, or `GATEWAY_ADMIN_TOKEN`", "all tenants"),
                ("operator", "a token of the platform with a scope", "all tenants"),
                ("tenant", "an API key with one or more scopes", "its own tenant; objects of others are 404"),
                ("nobody", "no key", "public rules, probes, the version, and Swagger UI"),
            ],
        ),
        "Without a platform key, calls from this machine count as the platform's: with a local Host header, "
        "and not through a proxy.",
        "## Scopes\n",
        table(
            ("scope", "allows"),
            [
                (f"`{Scope.PROXY}`", "calls through the proxy"),
                (
                    f"`{Scope.READ}`",
                    "reads of the tenant, its rules, keys, providers, models, limits and usage; dry runs",
                ),
                (f"`{Scope.ADMIN}`", "the same, and changes of the tenant and of what it has"),
            ],
        ),
        f"A key that is created without `scopes` has {default}. The first key of a tenant has "
        f"{_scopes((Scope.ADMIN, Scope.PROXY))}. An application needs {_scopes((Scope.PROXY,))} only.",
        "Tokens of the platform have scopes of their own:\n",
        table(
            ("scope", "allows"),
            [
                (f"`{PlatformScope.READ}`", "reads of all tenants and of the platform; dry runs"),
                (f"`{PlatformScope.WRITE}`", "the same, and all changes but those of tokens of the platform"),
                (f"`{PlatformScope.ADMIN}`", "everything, as the platform key"),
            ],
        ),
        "## Operations\n",
        _operations_by_caller(),
        "`call_outside` of a dry run needs `admin`. The header `X-Gateway-Trace` needs `admin` and `proxy`.",
        "## Fields\n",
        "Only the platform may write these fields. A tenant may send their stored values back.",
        table(
            ("object", "fields"),
            [
                ("tenant", ", ".join(map(code, TENANT_FIELDS))),
                ("budget", "all of a budget with the owner `platform`; the owner `platform` of another one"),
                ("rule", ", ".join(map(code, RULE_FIELDS))),
                ("provider", ", ".join(map(code, PROVIDER_FIELDS))),
                ("rule", "`limits.request_body` and `limits.response_body` above the gateway's own"),
            ],
        ),
        "A tenant can neither remove, weaken nor reorder the entries of its tier and of `required_plugins`.",
    )


def _operations_by_caller() -> str:
    callers = [Caller("platform"), *(Caller(scope, "a tenant", (scope,)) for scope in Scope)]
    return table(
        ("operation", "platform", *(f"`{scope}`" for scope in Scope)),
        [
            (f"`{name}`", *("yes" if caller.may(access) else "" for caller in callers))
            for name, operation in _operations()
            if (access := Access(_access(operation.get("description", "")))) is not Access.PUBLIC
        ],
    )


def _access(description: str) -> str:
    _, found, access = description.rpartition("Requires ")
    return access.removesuffix(".") if found else "no key"


def _scopes(scopes: Iterable[str]) -> str:
    return " and ".join(map(code, scopes))


def bounds_page() -> str:
    """Every fixed bound that a user can meet, and how long a change takes."""
    bodies = [
        ("the body of a call of the admin API", _size(MAX_BODY_BYTES)),
        ("the tenants that one plan changes", str(MAX_TENANTS)),
        (
            "responses kept for calls with an `Idempotency-Key`, per tenant and for the platform",
            f"{MAX_KEPT:,}",
        ),
        ("a page of a list", f"{MAX_LIMIT} objects"),
        ("a chain", f"{MAX_ENTRIES} entries"),
        ("the timeout of an entry", f"{MAX_TIMEOUT_SECONDS:g} s"),
        ("the time of a dry run", f"{explain.MAX_SECONDS:g} s"),
        ("wrong keys from one address per minute", str(MAX_FAILURES)),
        ("inactive keys of a tenant that are kept", str(MAX_INACTIVE_KEYS)),
        ("keys of a provider", str(MAX_PROVIDER_KEYS)),
        (
            "a budget",
            f"{amount_text('usd', MAX_AMOUNT)}, {MAX_ALERTS} alerts, {MAX_INCREASES} increases at a time",
        ),
        ("webhooks of a tenant, and of the platform", str(MAX_WEBHOOKS)),
        ("alerts that wait for a webhook", str(MAX_WAITING)),
        (
            "days of a report of usage",
            f"{MAX_DAYS}, of all tenants {MAX_PLATFORM_DAYS}, by tag {MAX_TAG_DAYS}",
        ),
        ("calls on which limits are tried", f"{MAX_TRIED_CALLS:,} of {MAX_TRIED_DAYS} days"),
    ]
    plugins = [
        ("patterns of a list", f"{patterns.MAX_PATTERNS}, of {_size(patterns.MAX_LENGTH)} each"),
        ("the compiled patterns of a list", f"{patterns.MAX_SIZE:,} RE2 instructions"),
        ("the compiled patterns of a chain", f"{MAX_WEIGHT:,} RE2 instructions"),
        ("a match in a stream", f"{LONGEST} characters"),
        ("matches that are masked in one text", f"{MAX_MASKED:,}"),
        ("levels of arrays and objects in JSON", str(MAX_DEPTH)),
        ("digits of an integer in JSON", f"{MAX_DIGITS:,}"),
        ("a decoded body", f"{_size(MAX_DECODED)}, and {MAX_RATIO} times its encoded size"),
        (
            "a whole response that is translated",
            f"{_size(translated.MAX_WHOLE)}, {translated.MAX_PARTS:,} parts",
        ),
        (
            "a stream that is translated",
            f"{_size(translated.MAX_STREAM)}, {_size(translated.MAX_EVENT)} per event",
        ),
        ("the response of a validator", _size(external_validator.MAX_RESPONSE)),
        (
            "a limit",
            f"{quotas.MAX_LIMIT:,} requests, {quotas.MAX_TOKENS:,} tokens, {amount_text('usd', MAX_AMOUNT)}; "
            f"{quotas.MAX_QUOTAS} windows per dimension",
        ),
        ("values with counters of their own per limit", f"{MAX_VALUES:,}"),
    ]
    return page(
        "Bounds and times",
        "These bounds are fixed. Those that an operator can change are in [Settings](settings.md), and "
        "those of a tenant in its tier.",
        "## The admin API\n",
        table(("what", "at most"), bodies),
        "## Plugins\n",
        table(("what", "at most"), plugins),
        "## Times\n",
        table(("what", "time"), _times()),
    )


def _times() -> list[tuple[str, str]]:
    settings = Settings()
    quarantine = f"after {settings.admin.subdomain_quarantine / HOUR_SECONDS:g} h"
    return [
        ("a change reaches every worker", "0.1 s as a rule, 2 s at most while Redis responds"),
        ("a revoked key is rejected", "the same"),
        ("the workers together check for changes", f"every {settings.cache.config_ttl:g} s"),
        ("a worker hears that a target or a key fails", "0.1 s as a rule"),
        ("what two tenants see counts for all", f"if they see it within {WINDOW_SECONDS:g} s"),
        ("the subdomain of a deleted tenant is free again", quarantine),
    ]


def _size(count: int) -> str:
    return f"{count // 1024**2} MiB" if count >= 1024**2 else f"{count // 1024} KiB"


def providers_page() -> str:
    """Every kind of provider, with its address, its APIs and its parameters."""
    rows = [
        (
            f"[{kind}]({preset.docs})",
            preset.title,
            code(preset.base_url) if preset.base_url else "your own",
            _place(preset.auth) + (", optional" if preset.optional_key else ""),
            ", ".join(map(code, preset.apis)) or "your own",
            ", ".join(
                f"{code(name)}{'' if one.is_required else ' (optional)'}"
                for name, one in preset.params.items()
            ),
        )
        for kind, preset in presets().items()
    ]
    return page(
        "Kinds of providers",
        "`kind` of a provider says where its calls go. `base_url`, `apis` and `auth` of the provider replace "
        "what the kind says. [Connect providers](../how-to/providers.md) has an example. A parameter such as "
        "`{region}` stands in the address; Azure and Bedrock have other addresses for some of their values.",
        table(("kind", "service", "address", "credential", "APIs", "parameters"), rows),
    )


def _place(auth: ProviderAuth) -> str:
    return "`Authorization: Bearer`" if auth.type == "bearer" else code(f"{auth.name}")


def logs_page() -> str:
    """Every kind of line of the log, with its fields."""
    kinds = [
        part
        for kind in KINDS
        for part in (
            f"## {kind.title}\n",
            f"{kind.meaning} `logger` is `{kind.logger}`." if kind.logger else kind.meaning,
            table(
                ("field", "type", "meaning"),
                [
                    (f"`{field.name}`", _type(field.schema), field.meaning + _absence(field.is_always_there))
                    for field in fields_of(kind)
                ],
            ),
        )
    ]
    causes = [(f"`{cause}`", meaning) for cause, meaning in CAUSES.items()]
    return page(
        "The log",
        "Both programs write their log to standard output: one JSON object per line, in UTF-8. Standard "
        "error has sentences that are not part of the log, such as the reason why a start failed. "
        "`log.level` sets the lowest level; above `info` there are no lines of requests, starts and changes.",
        "[logs.schema.json](logs.schema.json) is the JSON Schema of a line. These names and meanings are "
        "stable; later releases add fields. The fields of a kind are always there, unless the table says "
        "otherwise, and are null when there is nothing to say. Texts of clients are masked, and cut after "
        "1,024 characters. The log has no bodies, keys or other secrets.",
        *kinds,
        "## Requests to models\n",
        "On a rule for AI, `ai` has these members:",
        table(
            ("member", "type", "meaning"),
            [(f"`{one.name}`", _type(one.schema), one.meaning) for one in AI_FIELDS],
        ),
        "## Causes\n",
        "With a 502 or 504 of the gateway, `cause` says why, `detail` says it as a sentence, and `upstream` "
        "names the host:",
        table(("cause", "meaning"), causes),
        "## What is not logged\n",
        "`log.sample` writes a share of the lines with a class of status, such as 0.1 of those with "
        "2xx. Records, metrics and traces have all requests.",
        "Health checks are not logged. Requests without a valid head, and those above `limits.in_flight` or "
        "`limits.connections`, are counted and not logged.",
        "With `server.engine: mitmproxy` the cause comes from the text of mitmproxy's core: it is never "
        "`timeout`, because that core has no timeouts, and null for a text that is not known. `attempts` is "
        "at most 1.",
        "A reader that blocks the pipe loses lines after the first 10,000, and delays no request. Later a "
        'line says in `dropped` how many are missing, and `gateway_dropped_total{kind="log"}` counts them.',
    )


# Above so many, the values of a field are listed elsewhere.
_MAX_SHOWN = 4


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        values = [code(one) for one in schema["enum"] if one is not None]
        if len(values) < len(schema["enum"]):
            values = [*values, "null"] if len(values) <= _MAX_SHOWN else ["one of the values below"]
        return ", ".join(values)
    types = schema["type"]
    return types if isinstance(types, str) else " or ".join(types)


def _absence(is_always_there: bool) -> str:
    return "" if is_always_there else "; only if there is one"


def logs_schema() -> str:
    """The JSON Schema of a line of the log."""
    return json.dumps(json_schema(), indent=2) + "\n"


#: The pages by the names of their files.
PAGES = {
    "providers.md": providers_page,
    "pools.md": pools_page,
    "translation.md": translation_page,
    "settings.md": settings_page,
    "errors.md": errors_page,
    "admin-api.md": admin_api_page,
    "scopes.md": scopes_page,
    "bounds.md": bounds_page,
    "logs.md": logs_page,
    "metrics.md": metrics_page,
    "logs.schema.json": logs_schema,
    "gw.md": gw_page,
}


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
