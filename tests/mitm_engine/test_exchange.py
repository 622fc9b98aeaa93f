"""One request and its answer: the hooks in their order, and every way to end."""

from tests.mitm_engine.loops import on_both_loops
from tests.mitm_engine.world import world

PLAIN = [
    "client_connected",
    "requestheaders",
    "request",
    "server_connect",
    "server_connected",
    "responseheaders",
    "response",
    "post_response",
]


@on_both_loops
async def test_the_hooks_of_an_exchange_fire_in_mitmproxys_order_and_each_once() -> None:
    async with world() as w:
        client = await w.client()
        assert (await client.ask()).body == b"ok"
        assert w.recorder.hooks == PLAIN
        assert (await client.ask()).body == b"ok"
        assert w.recorder.hooks[len(PLAIN) :] == [hook for hook in PLAIN[1:] if "connect" not in hook]
        client.close()
        await w.recorder.saw("client_disconnected")
    assert w.recorder.count("client_disconnected") == w.recorder.count("server_disconnected") == 1
