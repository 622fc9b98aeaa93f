"""A dry run of a request, without its upstream and without charging any limit.

It takes the same steps as the proxy: `read_call`, `admit`, the moments of `Run`, `outgoing`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from shared.core.errors import Rejection, make_rejection
from shared.http.client_address import client_address
from shared.http.forwarding import client_head, plugin_view
from shared.http.request_id import request_id
from shared.limits.values import Decision
from shared.model.config import Cors, Snapshot
from shared.model.messages import Exchange, Headers, Request, Response
from shared.model.providers import PlatformDocument
from shared.pipeline.dry_run import ReadOnlyLimiter
from shared.pipeline.run import Run
from shared.pipeline.trace import Trace
from shared.providers.headers import HIDDEN, PREFIX, with_prefix
from shared.routing.admission import (
    Admitted,
    Call,
    HostRules,
    admit,
    cors_of,
    preflight,
    read_call,
    too_large,
    with_stored_hash,
)
from shared.routing.ai_calls import AiCalls
from shared.routing.ai_exchange import AiExchange
from shared.routing.compile import Compiler, Gateway
from shared.routing.outgoing import ForwardedRequest, OutgoingRequest, choose_upstream, outgoing
from shared.routing.upstream import Upstream
from shared.secrets.api_keys import PepperedHasher
from shared.settings import Settings
from shared.stored.store import Bindings
from shared.translation.notes import BadResponse

#: The longest that a dry run may take, in seconds. A plugin that takes longer has no verdict.
MAX_SECONDS = 10.0
# Threads of one dry run. A group seldom has more entries.
_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """A request to explain.

    Attributes:
        method: its method.
        target: its path with the query.
        headers: its headers, with Host.
        body: its body.
        peer: the address that connects.
        key_hash: the hash of an API key that is not in the headers; None takes the key from the headers.
        response: what the upstream would respond; None explains the way to the upstream only.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    peer: str
    key_hash: str | None = None
    response: Response | None = None


@dataclass(slots=True, kw_only=True)
class ExplainResult:
    """The outcome: `rejection`, `responded` or `outgoing`; none of them if the time runs out.

    Attributes:
        gateway: the compiled tenant.
        sent: the head of the request.
        is_tenants: the request leads to this tenant.
        path: the normalized path; empty if there is none.
        admitted: the matched rule and the key.
        rejection: the rejection; beside `outgoing` it follows the upstream's response.
        responded: the response of a plugin in the upstream's place.
        outgoing: the request that the upstream would get.
        upstream: where it would go.
        ai: the request to a model, on a rule for AI.
        response: the response that the client would get.
        run: the plugins that ran.
        decisions: those of the limiter, in order; nothing was charged.
        response_headers: what plugins add to a rejection.
        cors: the web pages that may read the response; None: none.
    """

    gateway: Gateway
    sent: Headers
    is_tenants: bool = False
    path: str = ""
    admitted: Admitted | None = None
    rejection: Rejection | None = None
    responded: Response | None = None
    outgoing: OutgoingRequest | None = None
    upstream: Upstream | None = None
    ai: AiExchange | None = None
    response: Response | None = None
    run: Run | None = None
    decisions: list[Decision] = field(default_factory=list)
    response_headers: dict[str, str] = field(default_factory=dict)
    cors: Cors | None = None


async def run_explain(
    request: ExplainRequest,
    snapshot: Snapshot,
    *,
    compiler: Compiler,
    hosts: HostRules,
    hasher: PepperedHasher,
    instance: str,
    settings: Settings,
    random_bytes: Callable[[int], bytes],
    platform: PlatformDocument | None = None,
    bindings: Bindings | None = None,
) -> ExplainResult:
    """Return the outcome of `request` under the configuration in `snapshot`.

    The tools of `compiler` may be those of the proxy: the limiter is only read, and so are `bindings`, what
    providers have stored.
    """
    decisions: list[Decision] = []
    tools = compiler.tools
    dry = replace(tools.dry(), limiter=ReadOnlyLimiter(tools.limiter, decisions.append))
    gateway = replace(compiler, tools=dry)(snapshot, compiler.platform(platform or PlatformDocument()))
    result = ExplainResult(gateway=gateway, sent=request.headers, decisions=decisions)
    call = read_call(request.headers, request.target, hosts, hasher, instance)
    if isinstance(call, Rejection):
        result.rejection = call
        return result
    request = replace(request, headers=call.headers, target=call.target)
    verdict = _admit(result, request, call, tools.clock.now())
    calls = AiCalls(tools.clock, random.random, bindings=bindings)
    if isinstance(verdict, Admitted):
        verdict = await _check(result, verdict, request, calls)
    if isinstance(verdict, Response):
        result.responded = result.response = verdict
        return result
    if isinstance(verdict, Rejection):
        result.rejection = verdict
        return result
    result.admitted = verdict
    client = client_address(request.peer, request.headers, settings.trusted_proxies)
    identity = request_id(request.headers.get("x-request-id"), random_bytes)
    exchange = _exchange(request, verdict, result.path, identity, client)
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="explain")
    try:
        result.run = Run(verdict.route.plan, exchange, pool, trace=Trace(tools.clock.monotonic))
        await _run(result, result.run, verdict, request=request, instance=instance, calls=calls)
    finally:
        # A call that does not end keeps its thread.
        pool.shutdown(wait=False, cancel_futures=True)
    return result


def _exchange(request: ExplainRequest, admitted: Admitted, path: str, identity: str, client: str) -> Exchange:
    sent = Request(request.method, path, plugin_view(request.headers), request.target.partition("?")[2])
    tenant, rule = admitted.gateway.snapshot.tenant, admitted.route.rule
    return Exchange(identity, tenant, rule, sent, client, admitted.key)


async def _check(
    result: ExplainResult, admitted: Admitted, request: ExplainRequest, calls: AiCalls
) -> Admitted | Rejection:
    """Judge the length of the body, and find the targets of the model, before plugins run."""
    route = admitted.route
    limit = route.bodies.request if admitted.key else route.bodies.public
    if len(request.body) > limit:
        return too_large(limit)
    if route.ai is None:
        return admitted
    begun = calls.begin(result.path, route.ai)
    if isinstance(begun, Rejection):
        return begun
    result.ai = begun
    query = request.target.partition("?")[2]
    sent = Request(request.method, result.path, request.headers, query, request.body)
    found = calls.resolve(begun, admitted.key, sent)
    rejection = await found if isinstance(found, Awaitable) else found
    return rejection or admitted


def _admit(
    result: ExplainResult, request: ExplainRequest, call: Call, now: float
) -> Admitted | Response | Rejection:
    gateway, result.path = result.gateway, call.path
    if request.key_hash is not None:
        call = call._replace(key_hash=request.key_hash, has_key=True, is_own=True)
    call = with_stored_hash(call, gateway)
    if call.subdomain is None:
        result.is_tenants = call.key_hash is not None and call.key_hash in gateway.keys
    else:
        result.is_tenants = call.subdomain == gateway.snapshot.tenant.subdomain
    known = gateway if result.is_tenants else None
    if response := preflight(known, call, request.method):
        return response
    result.cors = cors_of(gateway, call.path, request.method) if known else None
    return admit(known, call, request.method, now)


async def _run(
    result: ExplainResult,
    run: Run,
    admitted: Admitted,
    *,
    request: ExplainRequest,
    instance: str,
    calls: AiCalls,
) -> None:
    try:
        async with asyncio.timeout(MAX_SECONDS):
            await run.request_head()
            await run.request_body(request.body, result.ai.names if result.ai else (), result.ai)
            if not run.rejection and not run.responded:
                await _forward(result, run, admitted, request=request, instance=instance, calls=calls)
            if result.rejection or result.responded:
                return
            body = await _respond(run, request.response, result.ai, calls)
    except TimeoutError:
        result.outgoing = None
        return
    finally:
        # Without a response only what precedes it is explained.
        await run.finish(runs_post_response=run.exchange.response is not None)
    if (response := run.response()) and response.body is None:
        response = response._replace(body=body)  # it passed as it came
    result.response, result.rejection, result.responded = response, run.rejection, run.responded
    if run.rejection:
        result.response_headers = dict(run.response_headers())


async def _forward(
    result: ExplainResult,
    run: Run,
    admitted: Admitted,
    *,
    request: ExplainRequest,
    instance: str,
    calls: AiCalls,
) -> None:
    """Set the request for the upstream, or the gateway's own response."""
    exchange = run.exchange
    sent = exchange.request.with_body(exchange.request.body or b"")
    choosing = choose_upstream(calls, admitted, result.ai, sent)
    found = await choosing if isinstance(choosing, Awaitable) else choosing
    if isinstance(found, Rejection):
        result.rejection = found
    elif isinstance(found, Response):
        result.responded = result.response = found
    else:
        if found.pooled is not None:
            found.pooled.end()  # nothing is called
        forwarded = ForwardedRequest(
            admitted=admitted,
            method=sent.method,
            path=sent.path,
            headers=sent.headers,
            sent=request.headers,
            sent_target=request.target.encode("latin-1"),
            request_id=exchange.id,
            client=exchange.client,
            instance=instance,
        )
        result.upstream = found.upstream
        result.outgoing = outgoing(forwarded, found.upstream, found.body)


async def _respond(run: Run, given: Response | None, ai: AiExchange | None, calls: AiCalls) -> bytes:
    """Run the stages of a plugin's response, or of the `given` one of the upstream. Return its body."""
    response = run.responded
    if response is None and given:
        choice = run.exchange.rule.upstream_headers
        head = client_head(given.headers, HIDDEN[choice])
        response = given._replace(headers=with_prefix(head) if choice == PREFIX else head)
        response = _translated(ai, run, response, calls)
    if response is None or run.rejection:
        return b""
    body = response.body or b""
    await run.response_head(response)
    await run.response_body(body)
    if not run.rejection:
        run.response_sent(body)
    return body


def _translated(ai: AiExchange | None, run: Run, response: Response, calls: AiCalls) -> Response | None:
    """The response of the upstream for the client; None if it is not one of its API, so it is rejected."""
    translated = None if ai is None else calls.translated(ai)
    if translated is None:
        return response
    headers = translated.head(response.status, response.headers)
    try:
        body = translated.whole(response.body or b"")
    except BadResponse as error:
        run.rejection = make_rejection("translation_failed", str(error))
        return None
    return Response(translated.status, headers, body)
