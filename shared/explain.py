"""A request as it would go through the gateway, without the upstream and without spending anything.

What decides is what decides on the proxy: `read_call`, `admit`, the rule's own plan, `outgoing_fields`.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from shared.core.addresses import Network
from shared.core.errors import Rejection
from shared.http.client_address import client_address
from shared.http.forwarding import client_head, plugin_view
from shared.http.request_id import request_id
from shared.limits.values import Decision
from shared.model.config import Snapshot, Stage
from shared.model.messages import Exchange, Fields, Headers, Request, Response
from shared.pipeline import Run, Trace
from shared.pipeline.dry_run import ReadOnlyLimiter
from shared.providers.headers import HIDDEN_FROM_CLIENTS
from shared.routing.admission import Admitted, HostRules, admit, read_call, too_large
from shared.routing.compile import Compiler, Gateway
from shared.routing.outgoing import outgoing_fields, outgoing_target
from shared.secrets.api_keys import PepperedHasher

#: Seconds that a dry run may take. What has no verdict by then has none.
LONGEST = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to explain. `target` is its path with the query, `headers` have a Host, `peer` connects.

    `key_hash` is that of the key whose secret nobody has to send; None: what the headers say. `response` is
    what the upstream would answer, for the stages behind it.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    peer: str
    key_hash: str | None = None
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The request that the upstream would get."""

    method: str
    url: str
    fields: Fields
    body: bytes


@dataclass(slots=True)
class Explained:
    """What would happen: `rejection`, or `responded`, or else `outgoing`; none of them in time.

    A `rejection` beside an `outgoing` came behind the upstream. `response` is what the client gets of one
    that was given, or that a plugin gave.
    `is_tenants` says that the request leads to the tenant at all. `path` is the normalized one, "" when
    there is none. `decisions` are those of the limiter, in order; nothing was charged. `response_headers` are
    those of plugins on a refusal.
    """

    gateway: Gateway
    is_tenants: bool = False
    path: str = ""
    admitted: Admitted | None = None
    rejection: Rejection | None = None
    responded: Response | None = None
    outgoing: Outgoing | None = None
    response: Response | None = None
    run: Run | None = None
    decisions: list[Decision] = field(default_factory=list)
    response_headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explainer:
    """What a dry run needs to know of the proxy. `tools` may be real: only their limiter is never charged.

    `request_body` and `public_body` are the largest bodies with and without a key, in bytes.
    """

    compiler: Compiler
    hosts: HostRules
    hasher: PepperedHasher
    instance: str
    trusted_proxies: Sequence[Network]
    request_body: int
    public_body: int
    random_bytes: Callable[[int], bytes]
    pool: Executor

    async def __call__(self, snapshot: Snapshot, asked: Asked) -> Explained:
        """What would happen to `asked`, under the configuration that `snapshot` is."""
        decisions: list[Decision] = []
        tools = self.compiler.tools
        dry = replace(tools.dry(), limiter=ReadOnlyLimiter(tools.limiter, decisions.append))
        compiler = replace(self.compiler, tools=dry)
        explained = Explained(compiler(snapshot), decisions=decisions)
        verdict = self._admit(explained, asked)
        if isinstance(verdict, Rejection):
            explained.rejection = verdict
        else:
            explained.admitted = verdict
            await self._run(explained, verdict, asked)
        return explained

    def _admit(self, explained: Explained, asked: Asked) -> Admitted | Rejection:
        gateway = explained.gateway
        call = read_call(asked.headers, asked.target, self.hosts, self.hasher, self.instance)
        if isinstance(call, Rejection):
            return call
        explained.path = call.path
        key_hash = asked.key_hash or call.key_hash
        if call.subdomain is None:
            explained.is_tenants = key_hash in gateway.keys
        else:
            explained.is_tenants = call.subdomain == gateway.snapshot.tenant.subdomain
        known = gateway if explained.is_tenants else None
        now = self.compiler.tools.clock.now()
        has_key = call.has_key or asked.key_hash is not None
        verdict = admit(known, key_hash, has_key, asked.method, call.path, now)
        if isinstance(verdict, Admitted):
            limit = self.request_body if verdict.key else self.public_body
            if len(asked.body) > limit:
                return too_large(limit)
        return verdict

    async def _run(self, explained: Explained, admitted: Admitted, asked: Asked) -> None:
        query = asked.target.partition("?")[2]
        exchange = Exchange(
            request_id(asked.headers.get("x-request-id"), self.random_bytes),
            admitted.gateway.snapshot.tenant,
            admitted.route.rule,
            Request(asked.method, explained.path, plugin_view(asked.headers), query),
            client_address(asked.peer, asked.headers, self.trusted_proxies),
            admitted.key,
        )
        plan = admitted.route.plan
        trace = Trace(self.compiler.tools.clock.monotonic)
        run = explained.run = Run(plan, exchange, self.pool, trace=trace)
        try:
            async with asyncio.timeout(LONGEST):
                await _before_response(run, asked.body)
                if run.rejection is None and run.responded is None:
                    explained.outgoing = self._outgoing(explained, admitted, asked, run.exchange)
                await _after_response(run, asked.response)
        except TimeoutError:
            explained.outgoing = None
            return
        finally:
            if run.exchange.response is None:
                # Without an answer nothing but what comes before it runs.
                run.plan = replace(plan, stages={})
            await run.cleanup()
        explained.response = run.response()
        explained.rejection, explained.responded = run.rejection, run.responded
        if run.rejection:
            explained.response_headers = run.response_headers()

    def _outgoing(
        self, explained: Explained, admitted: Admitted, asked: Asked, exchange: Exchange
    ) -> Outgoing:
        request = exchange.request
        fields = outgoing_fields(
            admitted,
            request.method,
            request.headers,
            request.body or b"",
            sent=asked.headers,
            request_id=exchange.id,
            client=exchange.client,
            instance=self.instance,
        )
        target = outgoing_target(admitted, explained.path, asked.target)
        url = f"{admitted.route.target.scheme}://{admitted.route.target.authority}{target}"
        return Outgoing(request.method, url, fields, request.body or b"")


async def _after_response(run: Run, given: Response | None) -> None:
    """The stages behind the upstream, on what it would answer or what a plugin answered: head, then body."""
    response = run.responded
    if response is None and given:
        response = replace(given, headers=client_head(given.headers, HIDDEN_FROM_CLIENTS))
    if run.rejection or not response:
        return
    run.exchange = run.exchange.with_response(replace(response, body=None))
    await run.stage(Stage.POST_REQUEST)
    seen = run.exchange.response or response
    run.exchange = run.exchange.with_response(replace(seen, body=response.body or b""))
    await run.stage(Stage.PRE_RESPONSE)


async def _before_response(run: Run, body: bytes) -> None:
    await run.head()
    if run.rejection or run.responded:
        return
    run.exchange = replace(run.exchange, request=replace(run.exchange.request, body=body))
    await run.stage(Stage.PRE_REQUEST)
