"""One dispatcher around every hook, which fails closed, and the hook `post_response`.

mitmproxy logs the exception of an addon and forwards the request all the same. So our addons are not
registered with it. The dispatcher is, calls them, and handles every exception.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from mitmproxy import http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_addons.flows import reject_flow, state_of
from shared.core import tasks
from shared.core.errors import make_rejection

logger = logging.getLogger(__name__)

_BEFORE_RESPONSE = ("requestheaders", "request")
_FLOW_HOOKS = (*_BEFORE_RESPONSE, "responseheaders", "response", "error", "post_response")
# Final hooks: every addon must clean up, even after an error of another.
_FINAL_HOOKS = ("response", "error", "post_response", "client_disconnected")
_CONNECTION_HOOKS = (
    "client_connected",
    "client_disconnected",
    "server_connect",
    "server_connect_error",
    "tls_start_server",
)

Hook = Callable[..., Awaitable[None]]
#: A hook of our addons. Its result, if it has one, has to be awaited.
Method = Callable[..., Awaitable[None] | None]


class Dispatcher:
    """Calls the addons of a hook one after the other, in the order of the list, up to the first error.

    An error before the first byte was sent becomes a 503. A later one ends the connection, so that a broken
    response does not look complete. Hooks that no addon has are not registered.
    """

    post_response: Hook

    def __init__(self, addons: Sequence[object]) -> None:
        for hook in (*_FLOW_HOOKS, *_CONNECTION_HOOKS):
            methods = [getattr(addon, hook) for addon in addons if hasattr(addon, hook)]
            if methods:
                setattr(self, hook, _guarded(hook, methods))


def _guarded(hook: str, methods: Sequence[Method]) -> Hook:
    async def call(subject: object) -> None:
        for method in methods:
            try:
                if (waiting := method(subject)) is not None:
                    await waiting
            except Exception:  # every error of an addon is handled here
                logger.exception("The hook %s failed; the exchange is rejected.", hook)
                _fail(hook, subject)
                if hook not in _FINAL_HOOKS:
                    return

    return call


def _fail(hook: str, subject: object) -> None:
    if isinstance(subject, http.HTTPFlow):
        _fail_flow(hook, subject)
    elif isinstance(subject, ServerConnectionHookData):
        subject.server.error = "the check of the upstream's address failed"


def _fail_flow(hook: str, flow: http.HTTPFlow) -> None:
    rejection = make_rejection("plugin_failure")
    state = state_of(flow)
    if hook in _BEFORE_RESPONSE:
        reject_flow(flow, rejection)
    elif hook == "responseheaders" and flow.response is not None:
        flow.response.stream = False
        if state:
            state.pending_rejection = rejection
        else:
            flow.kill()
    elif hook == "response":
        if flow.response is not None and not flow.response.stream:
            reject_flow(flow, rejection)
        else:
            flow.kill()


class PostResponse:
    """Calls `post_response`, which the core does not have, once: a flow has either `response` or `error`."""

    def __init__(self, gateway: Dispatcher) -> None:
        self._gateway = gateway

    def response(self, flow: http.HTTPFlow) -> None:
        tasks.start(self._run(flow), "post_response")

    error = response

    async def _run(self, flow: http.HTTPFlow) -> None:
        # Tasks start eagerly here; let the response go out first.
        await asyncio.sleep(0)
        await self._gateway.post_response(flow)
