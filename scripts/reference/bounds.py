"""The page of the fixed bounds that a user can meet, and of the times that a change takes."""

from admin_app.auth.failed_logins import MAX_FAILURES
from admin_app.changes.file.plan import MAX_TENANTS
from admin_app.http.bodies import MAX_BODY_BYTES
from admin_app.http.paging import MAX_LIMIT
from admin_app.jobs.webhooks import MAX_WAITING
from admin_app.views.ai.usage import MAX_DAYS, MAX_PLATFORM_DAYS, MAX_TAG_DAYS, MAX_TRIED_DAYS
from admin_app.views.ai.usage import MAX_TRIED as MAX_TRIED_CALLS
from admin_app.views.api_keys import MAX_INACTIVE_KEYS
from scripts.reference.page import page, table
from shared import explain
from shared.bodies.json.parse import MAX_DEPTH, MAX_DIGITS
from shared.bodies.text import patterns
from shared.bodies.text.rules import MAX_MASKED
from shared.budgets.settings import MAX_ALERTS
from shared.config_store.idempotency import MAX_KEPT
from shared.core.durations import HOUR_SECONDS
from shared.documents.ai.budget import MAX_INCREASES
from shared.documents.ai.provider_key import MAX_KEYS as MAX_PROVIDER_KEYS
from shared.documents.plugin_config import MAX_ENTRIES, MAX_TIMEOUT_SECONDS
from shared.health.known import WINDOW_SECONDS
from shared.http.content_coding import MAX_DECODED, MAX_RATIO
from shared.limits import quotas
from shared.limits.distinct_values import MAX_VALUES
from shared.model.amounts import MAX_AMOUNT, amount_text
from shared.model.webhooks import MAX_WEBHOOKS
from shared.pipeline.chain import MAX_WEIGHT
from shared.plugins import external_validator
from shared.plugins.content_validator import LONGEST
from shared.routing.ai import translated
from shared.settings.sections import Settings


def bounds_page() -> str:
    """Every fixed bound that a user can meet, and how long a change takes."""
    return page(
        "Bounds and times",
        "These bounds are fixed. Those that an operator can change are in [Settings](settings.md), and "
        "those of a tenant in its tier.",
        "## The admin API\n",
        table(("bound", "at most"), _of_admin_api()),
        "## Plugins\n",
        table(("bound", "at most"), _of_plugins()),
        "## Times\n",
        table(("event", "time"), _times()),
    )


def _of_admin_api() -> list[tuple[str, str]]:
    return [
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


def _of_plugins() -> list[tuple[str, str]]:
    return [
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
