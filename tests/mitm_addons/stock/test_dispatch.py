"""mitmproxy forwards when an addon raises; the dispatcher does not let it."""

import asyncio
import json
from typing import Any

import pytest
from mitmproxy.connection import Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from mitm_addons.flows import FlowState, begin, state_of
from mitm_addons.stock.dispatch import Dispatcher


class Raising:
    """Raises in one hook."""

    def __init__(self, hook: str, error: Exception) -> None:
        def fail(subject: object) -> None:
            raise error

        setattr(self, hook, fail)


def fire(hook: str, subject: Any, *addons: object) -> None:
    asyncio.run(getattr(Dispatcher(addons), hook)(subject))


def flow(*, answered: bool) -> Any:
    made = tflow.tflow(resp=answered)
    begin(made, FlowState("id-1", 0.0, "127.0.0.1"))
    return made


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), KeyError("y")])
def test_a_fault_before_forwarding_is_answered_with_503(hook: str, error: Exception) -> None:
    subject = flow(answered=False)
    fire(hook, subject, Raising(hook, error))
    assert subject.response.status_code == 503
    assert json.loads(subject.response.content)["error"]["code"] == "plugin_failure"


def test_a_fault_at_the_head_of_an_answer_stops_the_stream_and_waits_for_the_body() -> None:
    subject = flow(answered=True)
    subject.response.stream = True
    fire("responseheaders", subject, Raising("responseheaders", ValueError()))
    state = state_of(subject)
    assert subject.response.stream is False
    assert state is not None
    assert state.pending_rejection is not None
    assert state.pending_rejection.status == 503


def test_a_fault_on_a_whole_answer_replaces_it() -> None:
    subject = flow(answered=True)
    fire("response", subject, Raising("response", ValueError()))
    assert subject.response.status_code == 503


def test_a_fault_after_bytes_went_out_ends_the_connection() -> None:
    subject = flow(answered=True)
    subject.response.stream = True
    subject.live = True
    fire("response", subject, Raising("response", ValueError()))
    assert subject.error.msg == subject.error.KILLED_MESSAGE


@pytest.mark.parametrize("hook", ["error", "post_response"])
def test_a_fault_at_the_end_changes_nothing(hook: str) -> None:
    subject = flow(answered=True)
    fire(hook, subject, Raising(hook, ValueError()))
    assert subject.response.status_code == 200


def test_a_connection_whose_check_failed_is_not_opened() -> None:
    data = ServerConnectionHookData(Server(address=("x", 1)), tflow.tclient_conn())
    fire("server_connect", data, Raising("server_connect", ValueError()))
    assert data.server.error


def test_addons_are_called_in_order_and_those_after_a_fault_are_not() -> None:
    called: list[str] = []

    class Noting:
        def __init__(self, name: str) -> None:
            self.name = name

        async def request(self, _: object) -> None:
            called.append(self.name)

    fire(
        "request",
        flow(answered=False),
        Noting("a"),
        Noting("b"),
        Raising("request", ValueError()),
        Noting("c"),
    )
    assert called == ["a", "b"]


def test_at_the_end_every_addon_is_called_whatever_the_others_do() -> None:
    called: list[str] = []

    class Noting:
        def response(self, _: object) -> None:
            called.append("response")

    subject = flow(answered=True)
    fire("response", subject, Raising("response", ValueError()), Noting())
    assert called == ["response"]
    assert subject.response.status_code == 503


def test_hooks_that_no_addon_has_are_not_registered() -> None:
    assert not hasattr(Dispatcher([Raising("request", ValueError())]), "response")
