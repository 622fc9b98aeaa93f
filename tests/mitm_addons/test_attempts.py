"""A request to a rule with targets goes to another one when the rule says so, and is never held."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from mitm_addons.ai.shared_health import SharedHealth
from mitm_addons.attempts import TARGET_RETRIES, PoolAttempts
from mitm_engine.exchange.attempt import AttemptReport, HeldStep
from mitm_engine.wire_error import WireError
from shared.health.link import HealthLink
from shared.health.report import Report
from shared.health.states import PoolStates
from shared.model.config import CLIENT
from shared.model.pools import Breaker, PoolPolicy, Retry, RetryOn, Strategy, UrlTarget
from shared.routing.target_pool import TargetExchange, target_id
from shared.routing.upstream import Upstream
from tests.mitm_addons.ai.calls import Clock
from tests.mitm_addons.begun import admitted, begun_flow
from tests.routing.test_target_pool import begin, route

ATTEMPTS = PoolAttempts(Clock())
REFUSED = WireError("upstream_unreachable", cause="refused")
RESET = WireError("upstream_protocol_error", cause="reset")


@dataclass
class Try:
    """A request whose first target was chosen, and the upstreams that it was sent to."""

    flow: Any
    one: TargetExchange
    sent: list[Upstream]

    def fail(self, status: int = 0, **attempt: Any) -> bool:
        """Whether another target is tried at once after this failure."""
        return ATTEMPTS.retry(self.flow, AttemptReport(number=1, status=status, **attempt)) is True


def ask(*on: str, targets: int = 2, **rule: Any) -> Try:
    """A request to a rule with some targets, which are tried in their order after the failures `on`."""
    retry = Retry(on=tuple(map(RetryOn, on))) if on else Retry()
    policy = rule.pop("policy", PoolPolicy(strategy=Strategy.ORDER, retry=retry))
    urls = [UrlTarget(url=f"http://{number}.example") for number in range(targets)]
    one, sent = begin(route(*urls, policy=policy, **rule).pool)
    return Try(begun_flow(admitted=admitted(), pooled=one), one, sent)


def test_a_target_that_cannot_be_connected_to_is_replaced_by_the_next_one() -> None:
    tried = ask()
    assert tried.fail(error=REFUSED)
    assert [one.target.host for one in tried.sent] == ["0.example", "1.example"]
    tried.one.receive(200, 1.0)
    assert dict(tried.one.fields()) == {b"X-Gateway-Attempts": b"2"}


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_response_is_the_clients_unless_the_rule_says_otherwise(status: int) -> None:
    tried = ask()
    assert not tried.fail(status)
    tried.one.receive(status, 1.0)
    assert tried.one.fields() == ()
    assert len(tried.sent) == 1


def test_a_request_of_which_a_byte_was_sent_is_not_repeated_unless_the_rule_says_so() -> None:
    assert not ask().fail(error=RESET, is_sent=True)
    assert ask("reset").fail(error=RESET, is_sent=True)


@pytest.mark.parametrize(
    ("word", "status"), [("rate_limit", 429), ("overloaded", 503), ("server_error", 502)]
)
def test_an_error_is_replaced_when_the_rule_names_it(word: str, status: int) -> None:
    assert ask(word).fail(status)


def test_a_rejected_credential_is_never_tried_at_another_target() -> None:
    tried = ask("auth", "connect")
    assert not tried.fail(401)
    assert len(tried.sent) == 1


def test_an_upload_that_has_begun_ends_with_its_failure() -> None:
    tried = ask("connect", "reset")
    assert not tried.fail(error=RESET, is_sent=True, is_repeatable=False)
    assert tried.one.is_judged
    assert tried.one.attempts is not None
    assert [one.why for one in tried.one.attempts.trace] == ["reset"]
    assert tried.one.attempts.number == 1


def test_the_credentials_of_a_client_are_sent_to_the_first_target_only() -> None:
    assert not ask(credential=CLIENT).fail(error=REFUSED)


def test_the_errors_and_streams_of_targets_are_not_held() -> None:
    tried = ask("stream_start")
    stream = ((b"Content-Type", b"text/event-stream"),)
    assert ATTEMPTS.holds(tried.flow, AttemptReport(number=1, status=200, fields=stream)) is None
    assert ATTEMPTS.held(tried.flow, b"x") is HeldStep.COMMIT
    assert not TARGET_RETRIES.statuses


def no_call(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("No provider is called.")


def test_other_workers_hear_that_a_target_of_the_rule_is_down() -> None:
    told: list[Report] = []
    health = SharedHealth(
        cast(HealthLink, SimpleNamespace(tell=told.append)),
        PoolStates(b"secret", Clock().now() - Clock().monotonic()),
        Clock(),
        no_call,
    )
    tried = ask(policy=PoolPolicy(strategy=Strategy.ORDER, breaker=Breaker(consecutive=1)))
    tried.one.tell = health.tell
    assert tried.fail(error=REFUSED)
    states = PoolStates(b"secret", Clock().now() - Clock().monotonic())
    states.learn(told[0], Clock().now())
    assert states.target("ten", target_id("ten", "http://0.example"), PoolPolicy()).breaker.until is not None
