"""A whole response that is here with its head is judged like one that comes later."""

import pytest

from mitm_addons.attempts import PoolAttempts
from mitm_engine.exchange.attempt import AttemptReport, HeldStep
from tests.mitm_addons.ai.calls import Clock
from tests.mitm_addons.ai.test_attempts import ask, done

ATTEMPTS = PoolAttempts(Clock())


def step_of(body: bytes, fields: tuple[tuple[bytes, bytes], ...], *, is_here: bool) -> HeldStep:
    tried = ask("a", "b", keys=0)
    attempt = AttemptReport(number=1, status=200, fields=fields, body=body if is_here else b"")
    if ATTEMPTS.holds(tried.flow, attempt) is None:
        return HeldStep.COMMIT
    step: HeldStep = done(ATTEMPTS.held(tried.flow, body))
    return step


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b"[]", b"\xef\xbb\xbf{}", b" \r\n{}", b" " * 70, b"<p>", b"\x1f", b""]
)
@pytest.mark.parametrize("coding", [(), ((b"Content-Encoding", b"gzip"),)])
def test_whole_body_that_is_here_has_the_step_of_one_that_comes_later(
    body: bytes, coding: tuple[tuple[bytes, bytes], ...]
) -> None:
    fields = ((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body)), *coding)
    assert step_of(body, fields, is_here=True) is step_of(body, fields, is_here=False)


def test_json_that_is_here_is_not_held_and_a_page_is() -> None:
    fields = ((b"Content-Type", b"text/html"),)
    json = AttemptReport(number=1, status=200, fields=fields, body=b"{}")
    page = AttemptReport(number=1, status=200, fields=fields, body=b"<html></html>")
    assert ATTEMPTS.holds(ask("a", "b", keys=0).flow, json) is None
    assert ATTEMPTS.holds(ask("a", "b", keys=0).flow, page) is not None


def test_line_of_a_stream_is_judged_as_an_event_although_it_begins_like_json() -> None:
    fields = ((b"Content-Type", b"text/event-stream"),)
    tried = ask("a", "b", keys=0)
    attempt = AttemptReport(number=1, status=200, fields=fields, body=b'{"error": {}}\n\n')
    assert ATTEMPTS.holds(tried.flow, attempt) is not None
