"""mitmproxy forwards when an addon raises; the dispatcher does not let it."""

import json
from typing import Any

import pytest
from mitmproxy.connection import Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from mitm_addons.flows import state_of
from mitm_addons.stock.dispatch import Dispatcher
from tests.mitm_addons.begun import begun_flow


class Raising:
    """Raises in one hook."""

    def __init__(self, hook: str, error: Exception) -> None:
        def fail(subject: object) -> None:
            raise error

        setattr(self, hook, fail)


async def fire(hook: str, subject: Any, *addons: object) -> None:
    await getattr(Dispatcher(addons), hook)(subject)


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), KeyError("y")])
async def test_a_fault_before_forwarding_is_a_503(hook: str, error: Exception) -> None:
    subject = begun_flow(has_response=False)
    await fire(hook, subject, Raising(hook, error))
    assert subject.response.status_code == 503
    assert json.loads(subject.response.content)["error"]["code"] == "plugin_failure"


async def test_a_fault_at_the_head_of_a_response_stops_the_stream_and_rejects_it() -> None:
    subject = begun_flow()
    subject.response.stream = True
    await fire("responseheaders", subject, Raising("responseheaders", ValueError()))
    state = state_of(subject)
    assert subject.response.stream is False
    assert state is not None
    assert state.pending_rejection is not None
    assert state.pending_rejection.status == 503


async def test_a_fault_after_bytes_went_out_ends_the_connection() -> None:
    subject = begun_flow()
    subject.response.stream = True
    subject.live = True
    await fire("response", subject, Raising("response", ValueError()))
    assert subject.error.msg == subject.error.KILLED_MESSAGE


@pytest.mark.parametrize("hook", ["error", "post_response"])
async def test_a_fault_at_the_end_changes_nothing(hook: str) -> None:
    subject = begun_flow()
    await fire(hook, subject, Raising(hook, ValueError()))
    assert subject.response.status_code == 200


async def test_a_connection_whose_check_failed_is_not_opened() -> None:
    data = ServerConnectionHookData(Server(address=("x", 1)), tflow.tclient_conn())
    await fire("server_connect", data, Raising("server_connect", ValueError()))
    assert data.server.error


class Noting:
    """Notes its calls."""

    def __init__(self, called: list[str], name: str) -> None:
        self.called, self.name = called, name

    async def request(self, _: object) -> None:
        self.called.append(self.name)

    response = request


async def test_addons_are_called_in_order_and_those_after_a_fault_are_not() -> None:
    called: list[str] = []
    addons = [Noting(called, "a"), Noting(called, "b"), Raising("request", ValueError()), Noting(called, "c")]
    await fire("request", begun_flow(has_response=False), *addons)
    assert called == ["a", "b"]


async def test_response_hook_calls_every_addon_although_one_raises() -> None:
    called: list[str] = []
    subject = begun_flow()
    await fire("response", subject, Raising("response", ValueError()), Noting(called, "response"))
    assert called == ["response"]
    assert subject.response.status_code == 503


def test_hooks_that_no_addon_has_are_not_registered() -> None:
    assert not hasattr(Dispatcher([Raising("request", ValueError())]), "response")
