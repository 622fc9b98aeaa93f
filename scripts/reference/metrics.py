"""The page of all metrics."""

from scripts.reference.page import page, table
from shared.metrics import registry
from shared.metrics.names import FAMILIES as METRICS


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
