"""Long requests that are translated: in a thread, so that the worker serves others meanwhile."""

import asyncio
import inspect
import json
import threading
from collections.abc import Awaitable, Iterator
from typing import Any, cast

import pytest

from mitm_addons.attempts import PoolAttempts
from mitm_engine.exchange.attempt import AttemptReport
from mitm_engine.wire_error import WireError
from shared.core.errors import Rejection
from shared.model.messages import Headers, Request
from shared.model.pools import AI_POLICY
from shared.model.providers import Model, ModelTarget, Provider, ProviderAuth, ProviderModel
from shared.pipeline.fair_queue import FairQueue
from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from shared.routing.ai.translated import MAX_IN_PLACE, TranslatedCall
from shared.routing.ai_calls import AiCalls, Chosen
from shared.routing.ai_exchange import AiExchange
from shared.routing.pool_exchange import ChosenUpstream
from tests.mitm_addons.ai.calls import Clock
from tests.mitm_addons.begun import admitted, begun_flow
from tests.routing.test_ai_route import route

ATTEMPTS = PoolAttempts(Clock())
JSON = Headers([("Content-Type", "application/json")])
PATHS = {OPENAI_CHAT: "chat/completions", ANTHROPIC_MESSAGES: "messages", OPENAI_RESPONSES: "responses"}
LONG = "word " * (MAX_IN_PLACE // 5)


@pytest.fixture
def turns() -> Iterator[FairQueue]:
    made = FairQueue(1, waiting=9)
    yield made
    made.close()


def exchange_of(calls: AiCalls, document: Any, *apis: str, client: str = OPENAI_CHAT) -> AiExchange:
    """A request for a model whose targets speak these APIs, the first of which is called first."""
    providers = [
        Provider(
            f"prv_{at}",
            f"p{at}",
            "custom",
            base_url=f"http://p{at}.example/v1",
            apis=(api,),
            auth=ProviderAuth(type="none"),
            models=(ProviderModel(id="m"),),
        )
        for at, api in enumerate(apis)
    ]
    targets = tuple(
        ModelTarget(provider=one.name, model="m", priority=at) for at, one in enumerate(providers)
    )
    ai = route(*providers, models={"best": Model("best", targets, policy=AI_POLICY)})
    path = f"/ai/v1/{PATHS[client]}"
    begun = calls.begin(path, ai)
    assert isinstance(begun, AiExchange)
    request = Request("POST", path, JSON, "", json.dumps({"model": "best", **document}).encode())
    assert calls.resolve(begun, None, request) is None
    return begun


def choose(calls: AiCalls, one: AiExchange) -> Chosen | Awaitable[Chosen]:
    assert one.request is not None
    return calls.choose(one, None, one.request)


def chat(text: str, **members: Any) -> Any:
    return {"messages": [{"role": "user", "content": text}], **members}


class Threads:
    """Remembers in which threads requests were translated, and for which APIs."""

    def __init__(self, turns: FairQueue) -> None:
        self._turns = turns
        self.seen: list[tuple[str, str]] = []

    def submit(self, owner: str, call: Any, *arguments: Any) -> Any:
        def run() -> Any:
            self.seen.append((cast(TranslatedCall, arguments[0]).call.api, threading.current_thread().name))
            return call(*arguments)

        return asyncio.wrap_future(self._turns.submit(owner, run))


@pytest.mark.parametrize("text", ["Hi", LONG], ids=["short", "long"])
def test_request_is_translated_in_a_thread_only_if_it_is_long(turns: FairQueue, text: str) -> None:
    threads = Threads(turns)
    calls = AiCalls(Clock(), lambda: 0.5, in_turns=threads.submit)
    one = exchange_of(calls, chat(text), ANTHROPIC_MESSAGES, OPENAI_RESPONSES)
    found = choose(calls, one)
    assert inspect.isawaitable(found) is (text == LONG)
    chosen = asyncio.run(_awaited(found)) if inspect.isawaitable(found) else found
    assert isinstance(chosen, ChosenUpstream)
    assert json.loads(chosen.body or b"")["messages"][0]["content"] == [{"type": "text", "text": text}]
    # The second target was not needed.
    assert threads.seen == ([(ANTHROPIC_MESSAGES, "plugin-turns")] if text == LONG else [])


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


def test_long_request_goes_to_the_first_target_that_can_get_it_or_is_rejected(turns: FairQueue) -> None:
    calls = AiCalls(Clock(), lambda: 0.5, in_turns=Threads(turns).submit)
    one = exchange_of(calls, chat(LONG, n=2), ANTHROPIC_MESSAGES, OPENAI_CHAT)
    found = asyncio.run(_awaited(choose(calls, one)))  # type: ignore[arg-type]
    assert isinstance(found, ChosenUpstream)
    assert found.upstream.target.host == "p1.example"
    one = exchange_of(calls, chat(LONG, n=2), ANTHROPIC_MESSAGES, OPENAI_RESPONSES)
    rejected = asyncio.run(_awaited(choose(calls, one)))  # type: ignore[arg-type]
    assert isinstance(rejected, Rejection)
    assert (rejected.code, "/n of the body" in rejected.message) == ("untranslatable", True)


def test_long_request_that_names_what_is_stored_is_translated_in_a_thread(turns: FairQueue) -> None:
    calls = AiCalls(Clock(), lambda: 0.5, in_turns=Threads(turns).submit)
    document = {"input": LONG, "previous_response_id": "resp_1"}
    one = exchange_of(calls, document, OPENAI_CHAT, OPENAI_RESPONSES, client=OPENAI_RESPONSES)
    found = asyncio.run(_awaited(choose(calls, one)))  # type: ignore[arg-type]
    assert isinstance(found, ChosenUpstream)
    assert found.upstream.target.host == "p1.example"


def failing(calls: AiCalls, *apis: str) -> tuple[Any, list[Any]]:
    """The flow of a long request whose first target was called, and the bodies that others get."""
    one, sent = exchange_of(calls, chat(LONG), *apis), list[Any]()
    assert isinstance(choose(calls, one), ChosenUpstream)
    one.send = lambda _, body: sent.append(json.loads(body or b""))
    return begun_flow(admitted=admitted(), ai=one, pooled=one), sent


def test_long_request_is_translated_in_a_thread_for_the_target_that_follows(turns: FairQueue) -> None:
    threads = Threads(turns)
    calls = AiCalls(Clock(), lambda: 0.5, in_turns=threads.submit)
    flow, sent = failing(calls, OPENAI_CHAT, ANTHROPIC_MESSAGES)
    assert threads.seen == []
    failed = AttemptReport(number=1, status=500, body=b"")
    assert asyncio.run(_awaited(ATTEMPTS.retry(flow, failed)))  # type: ignore[arg-type]
    assert sent[0]["messages"][0]["content"] == [{"type": "text", "text": LONG}]
    assert threads.seen == [(ANTHROPIC_MESSAGES, "plugin-turns")]
    # All that may follow is translated.
    assert flow.gateway_state.ai.translations.waiting == []


def test_response_that_falls_silent_is_late_if_no_target_can_get_the_long_request(turns: FairQueue) -> None:
    calls = AiCalls(Clock(), lambda: 0.5, in_turns=Threads(turns).submit)
    one = exchange_of(calls, chat(LONG, n=2), OPENAI_CHAT, ANTHROPIC_MESSAGES)
    assert isinstance(choose(calls, one), ChosenUpstream)
    flow = begun_flow(admitted=admitted(), ai=one, pooled=one)
    head = AttemptReport(number=1, status=200, fields=((b"Content-Type", b"application/json"),))
    assert ATTEMPTS.holds(flow, head) is not None
    with pytest.raises(WireError, match="upstream_timeout"):
        asyncio.run(_awaited(ATTEMPTS.held(flow, None)))  # type: ignore[arg-type]


# As many parts as a body may have: text parts of one letter, and calls of tools.
SHORT_PARTS = [{"role": "user", "content": [{"type": "text", "text": "a"}] * 50} for _ in range(330)]
CALLS = [
    message
    for at in range(1500)
    for message in (
        {
            "role": "assistant",
            "tool_calls": [
                {"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": '{"a":"' + "x" * 400 + '"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": f"c{at}", "content": "y" * 400},
    )
]  # fmt: skip
COSTLY = {
    "texts": chat("word " * 2_000_000),
    "parts": {"messages": SHORT_PARTS},
    "calls": {"messages": CALLS},
    "picture": chat("", messages=[{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000_000}}]}]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("name", COSTLY)
def test_no_long_request_stalls_the_loop_while_it_is_translated(turns: FairQueue, name: str) -> None:
    calls = AiCalls(Clock(), lambda: 0.5, in_turns=Threads(turns).submit)

    async def measured(one: AiExchange) -> float:
        loop = asyncio.get_running_loop()
        worst, before = 0.0, loop.time()
        work = asyncio.ensure_future(_awaited(choose(calls, one)))  # type: ignore[arg-type]
        while not work.done():
            worst = max(worst, loop.time() - before)
            before = loop.time() + 0.001
            await asyncio.sleep(0.001)
        worst = max(worst, loop.time() - before)
        assert isinstance(work.result(), ChosenUpstream)
        return worst

    seconds = []
    for _ in range(3):
        one = exchange_of(calls, COSTLY[name], ANTHROPIC_MESSAGES)
        seconds.append(asyncio.run(measured(one)))
    assert min(seconds) < 0.050
