"""Support for tests of plugins: a sample exchange, and the verdict of a plugin on it.

plugin = MaxPrompt.parse({"max_bytes": 10})
assert run_plugin(plugin, Stage.PRE_REQUEST, sample_exchange(body=b"short")) == CONTINUE
"""

import asyncio
import inspect
from collections.abc import Awaitable, Mapping
from typing import cast

from shared.core.empty import EMPTY
from shared.model.config import ApiKey, Rule, Stage, Tenant
from shared.model.messages import Exchange, Headers, Request, Response
from shared.pipeline.plugin import Plugin, Verdict
from shared.pipeline.validate_verdict import invalid_reason


def sample_exchange(
    *,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    query: str = "",
    headers: Mapping[str, str] = EMPTY,
    body: bytes | None = b"{}",
    client: str = "192.0.2.1",
    key_id: str | None = None,
    response: Response | None = None,
    notes: Mapping[str, object] = EMPTY,
) -> Exchange:
    """An exchange of the tenant ``sample``. `response` is that of the upstream."""
    return Exchange(
        "sample-request",
        Tenant("tenant_sample", "Sample", "sample"),
        Rule("rule_sample", "/v1", "https://upstream.example"),
        Request(method, path, Headers(headers.items()), query, body),
        client,
        ApiKey(key_id, "sample", "gwk_sample", "") if key_id else None,
        response=response,
        notes=notes,
    )


def run_plugin(plugin: Plugin, stage: Stage, exchange: Exchange) -> Verdict:
    """The verdict of `plugin` at `stage`, also of a coroutine. Not for a running loop.

    Raises ValueError with the reason if there is no such stage, or if the gateway would count a fault.
    """
    method = plugin.method(stage)
    if method is None:
        raise ValueError(f"{plugin.name} has no method {stage}.")
    outcome = method(plugin, exchange)
    if inspect.isawaitable(outcome):
        outcome = asyncio.run(_awaited(outcome))
    if why := invalid_reason(outcome, stage, plugin):
        raise ValueError(f"The gateway would count this as a fault of {plugin.name}: {why}.")
    return cast(Verdict, outcome)


async def _awaited(outcome: Awaitable[object]) -> object:
    return await outcome
