"""Exchanges with several targets leave nothing for a collection, as plain ones do."""

import json
from dataclasses import replace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from mitm_addons.ai.ledger import Ledger
from mitm_addons.attempts import AI_RETRIES, TARGET_RETRIES, PoolAttempts
from mitm_addons.flows import FlowState, GatewayFlow, begin, head_of
from mitm_addons.forwarding import Forwarding
from mitm_addons.response_head import ResponseHead
from mitm_addons.stages import Stages
from mitm_engine.options import Policy, Terms
from shared.core.clock import Clock
from shared.health.states import PoolStates
from shared.model.pools import AI_POLICY, Affinity, Retry, RetryOn, UrlTarget
from shared.model.providers import Model, ModelTarget, Provider
from shared.model.targets import Target
from shared.pipeline.plan import Plan
from shared.pipeline.trace import TraceSampler
from shared.routing.ai_calls import AiCalls
from shared.routing.compile import Route
from shared.routing.target_pool import TargetPool
from shared.routing.upstream import Upstream, own_headers
from shared.services import SystemClock
from shared.usage.aggregates import WaitingRow
from tests.mitm_addons.begun import admitted
from tests.mitm_engine.test_leaks import no_garbage
from tests.mitm_engine.world import World, world
from tests.routing.test_ai_route import route
from tests.support.ports import free_port
from tests.support.upstream import STREAM, Peer, chunk, sized

CLOCK: Clock = SystemClock()
USAGE = {"prompt_tokens": 9, "completion_tokens": 2}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
WHOLE = json.dumps({"id": "resp_1", "object": "x", "choices": [CHOICE], "usage": USAGE}).encode()
TEXT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
LAST = b"data: %s\n\ndata: [DONE]\n\n" % json.dumps({"choices": [], "usage": USAGE}).encode()
PATHS = ("/ai/v1/chat/completions", "/ai/v1/responses", "/ai/v1/messages")


async def respond(peer: Peer) -> None:
    """Fail as the model `bad`; else respond with a whole body, or with events if they are asked for."""
    while True:
        asked = await peer.request()
        document = json.loads(asked.body)
        if document["model"] == "bad":
            await peer.write(sized(b"{}", "503 Full", "Content-Type: application/json"))
        elif document.get("stream"):
            await peer.write(STREAM + chunk(TEXT) + chunk(LAST) + b"0\r\n\r\n")
        else:
            await peer.write(sized(WHOLE, "200 OK", "Content-Type: application/json"))


class Admitting:
    """Admits every request by one rule."""

    def __init__(self) -> None:
        self.rows: list[WaitingRow] = []
        self.route: Route | None = None
        calls = AiCalls(CLOCK, lambda: 0.5, bindings=Mock())
        ledger = Ledger(self.rows.append, lambda size: b"r" * size)
        forwarding = Forwarding(CLOCK, "gw", calls, Mock())
        self.stages = Stages(CLOCK, Mock(), Mock(), 0, forwarding, ledger, TraceSampler(0), Mock())
        self.response_head = ResponseHead()

    def requestheaders(self, flow: GatewayFlow) -> None:
        state = FlowState("id", CLOCK.monotonic(), "127.0.0.1", CLOCK.monotonic)
        state.headers, state.path = head_of(flow.request), flow.request.data.path.decode()
        state.body_limit = 10_000
        if self.route is not None:
            state.admitted = replace(admitted(), route=self.route)
        begin(flow, state)

    @property
    def policy(self) -> Policy:
        attempts = cast(Any, PoolAttempts(CLOCK))
        return Policy(None, self._terms, attempts.retry, attempts.holds, attempts.held)

    def _terms(self, flow: Any) -> Terms:
        state = flow.gateway_state
        return Terms(retries=AI_RETRIES if state.ai is not None else TARGET_RETRIES)


def targets(port: int) -> Route:
    """A rule with two targets, of which the first refuses connections."""
    policy = replace(AI_POLICY, affinity=None, retry=Retry(on=(RetryOn.CONNECT,)))
    made = []
    for at, target in enumerate(
        (Target("http", "127.0.0.1", free_port()), Target("http", "127.0.0.1", port))
    ):
        url = UrlTarget(url=f"http://{target.authority}", priority=at)
        made.append((url, Upstream(target, own_headers({}, Plan(), who=False))))
    pool = TargetPool(made, policy, "t", PoolStates(b"secret"))
    return replace(admitted().route, pool=pool)


def models(port: int) -> Route:
    """A rule for AI with a model whose first target fails. Requests of Anthropic's API are translated."""
    apis = ("openai.chat", "openai.responses")
    base = f"http://127.0.0.1:{port}/v1"
    made = Provider("prv_1", "main", "ollama", base_url=base, apis=apis)
    named = tuple(
        ModelTarget(provider="main", model=name, priority=at) for at, name in enumerate(("bad", "good"))
    )
    policy = replace(AI_POLICY, affinity=Affinity())
    return replace(admitted().route, ai=route(made, models={"best": Model("best", named, policy=policy)}))


async def ask(w: World, path: str, *, stream: bool = False, model: str = "best") -> None:
    messages = [{"role": "user", "content": "x"}]
    body = json.dumps({"model": model, "stream": stream, "messages": messages, "max_tokens": 9}).encode()
    client = await w.client()
    response = await client.ask(path, "POST", body, "Content-Type: application/json")
    assert response.status == 200
    client.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_requests_to_models_make_no_work_for_the_collector(stream: bool) -> None:
    one = Admitting()
    async with world(one, one.stages, one.response_head, script=respond, policy=one.policy) as w:
        one.route = models(w.upstream.port)
        await ask(w, PATHS[0], stream=stream)
        with no_garbage(w):
            for number in range(30):
                await ask(w, PATHS[number % 3], stream=stream)
            await w.quiet()
            w.clients.clear()
    assert len(one.rows) == 31


async def test_requests_to_targets_make_no_work_for_the_collector() -> None:
    one = Admitting()
    async with world(one, one.stages, one.response_head, script=respond, policy=one.policy) as w:
        one.route = targets(w.upstream.port)
        await ask(w, "/", model="good")
        with no_garbage(w):
            for _ in range(10):
                await ask(w, "/", model="good")
            await w.quiet()
            w.clients.clear()
