"""Another target is tried when one fails, before the client has got anything."""

import asyncio
import inspect
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from marshmallow import ValidationError

from mitm_addons.attempts import AI_RETRIES, PoolAttempts
from mitm_engine.exchange.attempt import AttemptReport, HeldStep
from mitm_engine.wire_error import WireError
from shared.documents.ai.pool import ModelRetryInput
from shared.model.messages import Headers, Request
from shared.model.pools import AI_POLICY, Breaker, Hold, PoolPolicy
from shared.model.providers import Model, ModelTarget, Provider, ProviderModel
from shared.model.rule_timeouts import RuleTimeouts
from shared.routing.ai_calls import AiCalls
from shared.routing.ai_exchange import AiExchange
from shared.routing.upstream import Upstream
from shared.usage.row import Source, Usage
from tests.mitm_addons.ai.calls import Clock
from tests.mitm_addons.begun import admitted, begun_flow
from tests.routing.test_ai_route import key, route

CALLS = AiCalls(Clock(), lambda: 0.5)
ATTEMPTS = PoolAttempts(Clock())
STREAM = ((b"Content-Type", b"text/event-stream"),)
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
ERROR = b'data: {"error":{"type":"server_error","message":"x"}}\n\n'


@dataclass
class Try:
    """A request whose first target was chosen, and the upstreams that it was sent to."""

    flow: Any
    one: AiExchange
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    def fail(self, status: int = 0, body: bytes = b"", **attempt: Any) -> bool:
        """Whether another target is tried after this failure."""
        return bool(
            done(ATTEMPTS.retry(self.flow, AttemptReport(number=1, status=status, body=body, **attempt)))
        )


def done(result: Any) -> Any:
    return asyncio.run(result) if inspect.isawaitable(result) else result


def ask(
    *targets: str,
    keys: int,
    stream: bool = False,
    timeouts: RuleTimeouts | None = None,
    policy: PoolPolicy = AI_POLICY,
    credential: str = "provider",
) -> Try:
    """A request for a model with these providers as targets, in this order."""
    origin = "https://api.openai.com:443"
    providers = [
        Provider(
            "prv_1",
            name,
            "openai",
            keys=tuple(
                key("ten_1", origin, number, secret=f"sk-{name}-{number}") for number in range(1, keys + 1)
            ),
        )
        for name in targets
    ]
    # The id is a part of the seal; each provider has another one.
    providers = [
        Provider(
            f"prv_{number}",
            one.name,
            "ollama",
            base_url=f"http://{one.name}.example/v1",
            models=(ProviderModel(id="m", prices={"input": str(len(targets) - number)}),),
        )
        if keys == 0
        else one
        for number, one in enumerate(providers)
    ]
    named = tuple(ModelTarget(provider=name, model="m", priority=at) for at, name in enumerate(targets))
    ai = route(
        *providers,
        models={"best": Model("best", named, policy=policy)},
        timeouts=timeouts,
        credential=credential,
    )
    begun = CALLS.begin("/ai/v1/chat/completions", ai)
    assert isinstance(begun, AiExchange)
    body = json.dumps({"model": "best", "messages": [], **({"stream": True} if stream else {})}).encode()
    request = Request(
        "POST", "/ai/v1/chat/completions", Headers([("Content-Type", "application/json")]), "", body
    )
    assert CALLS.resolve(begun, None, request) is None
    found = CALLS.choose(begun, None, request)
    assert isinstance(found, tuple), found
    flow = begun_flow(admitted=admitted(), ai=begun, pooled=begun)
    tried = Try(flow, begun)

    def send(upstream: Upstream, body: bytes) -> None:
        tried.sent.append((upstream.target.host, body))

    begun.send = send
    return tried


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_a_failed_target_is_replaced_by_the_next_one(status: int) -> None:
    tried = ask("a", "b", keys=0)
    assert tried.fail(status)
    assert tried.sent == [("b.example", b'{"model": "m", "messages": []}')]
    assert tried.one.target is not None
    assert tried.one.target.provider.name == "b"


def test_a_server_that_does_not_know_how_to_report_usage_is_not_asked_again() -> None:
    tried = ask("a", "b", keys=0, stream=True)
    assert tried.one.asks_usage
    assert tried.fail(400, b'{"error":{"message":"Unknown parameter: stream_options"}}')
    assert tried.sent == [("a.example", b'{"model": "m", "messages": [], "stream": true}')]
    assert not tried.one.asks_usage
    assert tried.one.attempts is not None
    assert tried.one.attempts.number == 1


def test_a_provider_counts_as_unable_to_report_once_it_serves_what_it_rejected() -> None:
    """A client can name the parameter in a request that is wrong: that says nothing about the provider."""
    rejected = b'{"error":{"message":"Unrecognized request argument: include_usage"}}'
    tried = ask("a", keys=0, stream=True)
    assert tried.fail(400, rejected)
    assert not tried.fail(400, rejected)
    CALLS.begin_response(tried.one, 400, ())
    unable = tried.one.route.states.unable
    assert not unable.has("prv_0", 100.0)
    served = ask("a", keys=0, stream=True)
    assert served.fail(400, rejected)
    CALLS.begin_response(served.one, 200, ())
    assert served.one.route.states.unable.has("prv_0", 100.0)


@pytest.mark.parametrize("status", [200, 400, 404, 413, 422])
def test_a_response_that_is_the_clients_goes_to_the_client(status: int) -> None:
    assert not ask("a", "b", keys=0).fail(status)


@pytest.mark.parametrize(
    ("error", "is_sent"),
    [
        (WireError("upstream_unreachable", cause="refused"), False),
        (WireError("upstream_tls"), False),
        (WireError("upstream_timeout"), True),
        (WireError("upstream_protocol_error", cause="reset"), True),
    ],
)
def test_a_target_that_does_not_respond_is_replaced(error: WireError, is_sent: bool) -> None:
    assert ask("a", "b", keys=0).fail(error=error, is_sent=is_sent)


def test_a_rejected_key_is_replaced_by_the_next_key_of_the_provider() -> None:
    tried = ask("main", keys=2)
    first = tried.one.attempt
    assert tried.fail(401, b'{"error":{"code":"invalid_api_key"}}')
    assert {one.key.id for one in (first, tried.one.attempt) if one and one.key} == {"pk_1", "pk_2"}


def test_a_client_never_sees_that_all_keys_of_the_provider_were_rejected() -> None:
    tried = ask("main", keys=1)
    with pytest.raises(WireError) as found:
        tried.fail(401)
    assert found.value.code == "no_provider_key"


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_what_the_provider_says_of_the_clients_own_credential_is_the_clients(status: int) -> None:
    tried = ask("a", "b", keys=1, credential="client")
    assert not tried.fail(status, b'{"error":{"type":"authentication_error","message":"x"}}')
    assert CALLS.begin_response(tried.one, status, ()) is None
    assert tried.one.attempts is not None
    assert tried.one.attempts.changes == ()


def test_nothing_is_tried_when_no_target_is_left_and_sdks_are_told_so() -> None:
    tried = ask("a", "b", keys=0)
    # The second target is tried once more, because no other is left.
    assert [tried.fail(500) for _ in range(3)] == [True, True, False]
    CALLS.begin_response(tried.one, 500, ())
    assert (b"x-should-retry", b"false") in tried.one.fields()
    assert (b"X-Gateway-Attempts", b"3") in tried.one.fields()


@pytest.mark.parametrize(
    ("error", "is_reused", "fields"),
    [
        (WireError("upstream_timeout"), True, [(b"x-should-retry", b"false")]),
        (WireError("upstream_protocol_error", cause="reset"), False, [(b"x-should-retry", b"false")]),
        # Most likely the server has closed an idle connection and read nothing.
        (WireError("upstream_protocol_error", cause="reset"), True, []),
    ],
)
def test_a_call_that_may_be_billed_is_not_repeated_by_sdks_if_no_other_target_is_left(
    error: WireError, is_reused: bool, fields: list[tuple[bytes, bytes]]
) -> None:
    tried = ask("alone", keys=0)
    assert not tried.fail(error=error, is_sent=True, is_reused=is_reused)
    assert [one for one in tried.one.fields() if not one[0].startswith(b"X-Gateway-")] == fields


def test_an_error_in_a_stream_before_its_content_is_replaced() -> None:
    tried = ask("a", "b", keys=0)
    assert ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM)) is not None
    assert ATTEMPTS.held(tried.flow, ROLE) is HeldStep.HOLD
    assert done(ATTEMPTS.held(tried.flow, ERROR)) is HeldStep.AGAIN
    assert len(tried.sent) == 1


@pytest.mark.parametrize("end", [b"", None])
def test_a_stream_that_ends_or_is_silent_before_its_content_is_replaced(end: bytes | None) -> None:
    tried = ask("a", "b", keys=0)
    ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
    assert ATTEMPTS.held(tried.flow, ROLE) is HeldStep.HOLD
    assert done(ATTEMPTS.held(tried.flow, end)) is HeldStep.AGAIN


def test_a_stream_with_content_goes_to_the_client() -> None:
    tried = ask("a", "b", keys=0)
    ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
    assert ATTEMPTS.held(tried.flow, ROLE + TEXT) is HeldStep.COMMIT
    assert tried.sent == []


def test_a_stream_whose_events_cannot_be_read_is_not_held_back() -> None:
    encoded = AttemptReport(number=1, status=200, fields=(*STREAM, (b"Content-Encoding", b"gzip")))
    assert ATTEMPTS.holds(ask("a", "b", keys=0).flow, encoded) is None


def test_the_failed_stream_of_the_last_attempt_goes_to_the_client() -> None:
    tried = ask("a", keys=0)
    steps = []
    for _ in range(3):
        ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
        steps.append(done(ATTEMPTS.held(tried.flow, ERROR)))
    assert steps == [HeldStep.AGAIN, HeldStep.AGAIN, HeldStep.COMMIT]


JSON_OF_9 = ((b"Content-Type", b"application/json"), (b"Content-Length", b"9"))


def held(tried: Try, *pieces: bytes | None) -> list[HeldStep]:
    """The steps for a whole response of nine bytes that comes in these pieces."""
    attempt = AttemptReport(number=1, status=200, fields=JSON_OF_9)
    assert ATTEMPTS.holds(tried.flow, attempt) is not None
    return [done(ATTEMPTS.held(tried.flow, piece)) for piece in pieces]


def test_a_whole_response_goes_to_the_client_when_it_is_complete() -> None:
    assert held(ask("a", "b", keys=0), b'{"a":', b" 11}") == [HeldStep.HOLD, HeldStep.COMMIT]


@pytest.mark.parametrize(
    ("pieces", "why"), [([b"<html>..."], "no JSON"), ([b""], "empty response"), ([b"{", None], "timeout")]
)
def test_a_whole_response_that_is_none_of_the_api_is_replaced(pieces: list[bytes | None], why: str) -> None:
    tried = ask("a", "b", keys=0)
    assert held(tried, *pieces)[-1] is HeldStep.AGAIN
    assert tried.one.attempts is not None
    assert [(each.status, each.why) for each in tried.one.attempts.trace] == [(200, why)]


def test_a_whole_response_that_breaks_off_is_replaced() -> None:
    tried = ask("a", "b", keys=0)
    assert held(tried, b"{") == [HeldStep.HOLD]
    assert tried.fail(200, error=WireError("upstream_protocol_error", cause="reset"), is_sent=True)
    assert tried.one.attempts is not None
    assert [(each.status, each.why) for each in tried.one.attempts.trace] == [(200, "reset")]


def test_a_whole_response_that_pauses_for_too_long_ends_the_request_when_no_target_is_left() -> None:
    with pytest.raises(WireError, match="upstream_timeout"):
        held(ask("a", keys=0), b"{", None)


def test_a_flow_of_another_rule_is_never_tried_again() -> None:
    flow = begun_flow(admitted=admitted())
    attempt = AttemptReport(number=1, status=500)
    assert ATTEMPTS.retry(flow, attempt) is False
    assert ATTEMPTS.holds(flow, attempt) is None
    assert ATTEMPTS.held(flow, b"x") is HeldStep.COMMIT


LATE = WireError("upstream_timeout")


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("connect", {"error": LATE}),
        ("first_byte", {"error": LATE, "is_sent": True}),
        ("total", {"error": LATE, "is_sent": True}),
        ("idle", {"error": LATE, "is_sent": True, "status": 200}),
    ],
)
def test_a_timeout_counts_only_if_it_is_the_providers_own(name: str, attempt: Any) -> None:
    policy = replace(AI_POLICY, breaker=Breaker(consecutive=1))
    for timeouts, is_counted in ((RuleTimeouts(**{name: 0.001}), False), (RuleTimeouts(), True)):
        tried = ask("a", "b", keys=0, timeouts=timeouts, policy=policy)
        assert tried.fail(**attempt)
        assert tried.one.attempts is not None
        assert bool(tried.one.attempts.changes) is is_counted


@pytest.mark.parametrize(("seconds", "is_counted"), [(0.1, False), (15.0, True)])
def test_the_silence_of_a_stream_counts_only_after_the_usual_time(seconds: float, is_counted: bool) -> None:
    policy = replace(AI_POLICY, breaker=Breaker(consecutive=1), hold=Hold(time=seconds))
    tried = ask("a", "b", keys=0, policy=policy)
    ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
    assert done(ATTEMPTS.held(tried.flow, None)) is HeldStep.AGAIN
    assert tried.one.attempts is not None
    assert bool(tried.one.attempts.changes) is is_counted


def test_the_longest_wait_for_a_target_fits_into_the_time_for_a_decision() -> None:
    with pytest.raises(ValidationError):
        ModelRetryInput().load({"within": "301s"})
    assert ModelRetryInput().load({"within": "300s"}).within < AI_RETRIES.decision_seconds


REPORT = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n'


def test_what_a_dropped_stream_has_reported_is_part_of_the_cost() -> None:
    tried = ask("a", "b", keys=0)
    ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
    assert ATTEMPTS.held(tried.flow, REPORT) is HeldStep.HOLD
    assert done(ATTEMPTS.held(tried.flow, ERROR)) is HeldStep.AGAIN
    CALLS.begin_response(tried.one, 200, ())
    CALLS.end_response(tried.one, b'{"usage":{"prompt_tokens":20,"completion_tokens":4}}')
    assert tried.one.usage == Usage(input=29, output=5, requests=2)
    # Input costs 2 USD per million tokens at the first provider, and 1 at the second.
    assert tried.one.cost == 9 * 2_000 + 20 * 1_000
    (call,) = tried.one.abandoned
    assert (call.provider, call.usage, call.cost_nano) == ("a", Usage(input=9, output=1), 18_000)


def test_a_dropped_stream_costs_something_although_every_target_failed() -> None:
    tried = ask("a", "b", keys=0)
    ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
    ATTEMPTS.held(tried.flow, REPORT)
    assert done(ATTEMPTS.held(tried.flow, ERROR)) is HeldStep.AGAIN
    CALLS.begin_response(tried.one, 400, ())
    CALLS.end(tried.one)
    assert (tried.one.usage, tried.one.cost) == (Usage(input=9, output=1), 18_000)


def test_a_dropped_stream_that_has_reported_nothing_adds_nothing() -> None:
    tried = ask("a", "b", keys=0)
    ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
    ATTEMPTS.held(tried.flow, ROLE)
    assert done(ATTEMPTS.held(tried.flow, ERROR)) is HeldStep.AGAIN
    assert tried.one.abandoned == ()


def test_a_client_that_leaves_while_a_stream_is_held_back_pays_what_it_has_reported() -> None:
    tried = ask("a", keys=0)
    ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=STREAM))
    ATTEMPTS.held(tried.flow, REPORT)
    CALLS.end(tried.one, is_sent=True)
    assert tried.one.usage is not None
    assert (tried.one.usage.input, tried.one.cost) == (9, 9_000)


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_request_that_was_sent_and_has_no_response_has_the_estimated_input(is_sent: bool) -> None:
    tried = ask("a", keys=0)
    CALLS.end(tried.one, is_sent=is_sent)
    assert tried.one.usage == (Usage(input=1, source=Source.ESTIMATED) if is_sent else None)


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_request_counts_once_when_no_target_has_responded_in_time(is_sent: bool) -> None:
    tried = ask("a", "b", keys=0)
    while tried.fail(error=WireError("upstream_timeout"), is_sent=is_sent):
        pass
    CALLS.end(tried.one)
    assert tried.one.usage == (Usage(input=1, source=Source.ESTIMATED) if is_sent else None)


def test_a_call_without_a_response_is_not_counted_when_another_one_is_served() -> None:
    tried = ask("a", "b", keys=0)
    assert tried.fail(error=WireError("upstream_timeout"), is_sent=True)
    CALLS.begin_response(tried.one, 200, ())
    CALLS.end_response(tried.one, b'{"usage":{"prompt_tokens":20,"completion_tokens":4}}')
    assert tried.one.usage == Usage(input=20, output=4)
