"""Which address of an upstream a connection gets."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from mitmproxy import connection
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test.tflow import tclient_conn

from mitm_addons.flows import state_of
from mitm_addons.stock.dispatch import Dispatcher
from mitm_addons.upstreams import Upstreams
from mitm_addons.wire_errors import FORBIDDEN, UNRESOLVED
from shared.core.errors import OutsideError, TargetForbidden
from shared.net.resolver import FAILED_SECONDS
from tests.config_store.configurations import StillClock
from tests.mitm_addons.begun import begun_flow
from tests.mitm_engine.world import world

HOST = "api.example.com"
FIRST, SECOND = "93.184.216.34", "93.184.216.35"


class World:
    """The addon behind its dispatcher, and names that it can resolve."""

    def __init__(self, names: Mapping[str, Sequence[str] | OutsideError]) -> None:
        self.clock = StillClock()
        self._names = names
        self._hooks = Dispatcher([Upstreams(self._resolve, self.clock)])

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        found = self._names[host]
        if isinstance(found, OutsideError):
            raise found
        return found

    def connect(
        self, host: str = HOST, *, fails: bool = False, client: connection.Client | None = None
    ) -> connection.Server:
        """A connection to the host as an engine announces it, and how that ended."""
        server = connection.Server(address=(host, 443))
        data = ServerConnectionHookData(server, client or tclient_conn())
        asyncio.run(self._hooks.server_connect(data))  # type: ignore[attr-defined]
        if fails or server.error:
            asyncio.run(self._hooks.server_connect_error(data))  # type: ignore[attr-defined]
        return server


def test_a_connection_gets_the_first_address() -> None:
    server = World({HOST: [FIRST, SECOND]}).connect()
    assert (server.address, server.error) == ((FIRST, 443), None)


def test_connection_after_a_failure_uses_the_next_address_for_a_while() -> None:
    world = World({HOST: [FIRST, SECOND]})
    world.connect(fails=True)
    assert world.connect().address == (SECOND, 443)
    world.clock.time += FAILED_SECONDS
    assert world.connect().address == (FIRST, 443)


def test_upstream_whose_addresses_all_fail_is_tried_at_each_in_turn() -> None:
    world = World({HOST: [FIRST, SECOND]})
    tried = []
    for _ in range(4):
        tried.append(world.connect(fails=True).address)
        world.clock.time += 1
    assert tried == [(FIRST, 443), (SECOND, 443)] * 2


def test_forbidden_connection_does_not_mark_an_address_as_failed() -> None:
    names: dict[str, Sequence[str] | OutsideError] = {
        HOST: TargetForbidden("inner"),
        "gone.example.com": OutsideError("gone"),
    }
    world = World(names)
    assert world.connect().error == FORBIDDEN
    assert world.connect("gone.example.com").error == UNRESOLVED
    names[HOST] = [FIRST, SECOND]
    assert world.connect().address == (FIRST, 443)


@pytest.mark.parametrize(
    ("found", "cause"),
    [(TargetForbidden("It is inner."), "forbidden"), (OutsideError("It is gone."), "dns")],
)
def test_connection_that_cannot_be_made_gives_the_log_its_cause(found: OutsideError, cause: str) -> None:
    flow = begun_flow()
    state = state_of(flow)
    assert state is not None
    flow.client_conn.gateway_state = state
    World({HOST: found}).connect(client=flow.client_conn)
    assert (state.call.cause, state.call.detail, state.call.tried) == (cause, str(found), 0)


def test_connection_counts_each_address_that_is_tried_once() -> None:
    flow = begun_flow()
    state = state_of(flow)
    assert state is not None
    flow.client_conn.gateway_state = state
    two, one = World({HOST: [FIRST, SECOND]}), World({HOST: [SECOND]})
    two.connect(client=flow.client_conn, fails=True)
    two.connect(client=flow.client_conn, fails=True)
    # As when the engine asks for another address, and there is none.
    one.connect(client=flow.client_conn, fails=True)
    assert state.call.tried == 2


async def test_express_engine_finds_the_address_that_responds() -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with world(Upstreams(two, StillClock()), host=HOST) as w:
        await w.ask()
        assert (await w.ask()).status == 200
        assert w.recorder.last().server_conn.peername == ("127.0.0.1", w.upstream.port)
