"""Silent event streams that a balancer would end (express only, docs/reference/engines.md)."""

import asyncio
from collections.abc import Callable

import openai
import pytest

from tests.support.gateway import RunningGateway
from tests.support.peer import Peer
from tests.support.upstream import REQUEST, STREAM, Upstream, chunk, send

HALF = '{"id":"c","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":'
EVENT = f'data: {HALF}{{"content":"Hel"}}}}]}}\n\n'.encode()
COMMENT = b": keepalive\n\n"


async def silent(peer: Peer) -> None:
    await asyncio.sleep(1.4)


@pytest.mark.slow
def test_silent_stream_gets_comments_between_events_and_sdks_ignore_them(
    gateways: Callable[[str], RunningGateway], upstream: Upstream
) -> None:
    tenant = gateways("express").create_tenant()
    judge = {"name": "content_validator", "stage": "pre_response", "settings": {"blocked_patterns": ["bad"]}}
    tenant.create_rule("/v1", upstream.url, stream_keepalive="1s")
    tenant.create_rule("/judged", upstream.url, stream_keepalive="1s", plugin_chain=[judge])
    tenant.create_rule("/quiet", upstream.url)
    last = send(chunk(EVENT[30:]), chunk(EVENT), chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n")
    script = (*REQUEST, send(STREAM, chunk(EVENT)), silent, send(chunk(EVENT[:30])), silent, last)
    for path, count in (("/v1", 1), ("/quiet", 0)):
        upstream.plays(script)
        response = tenant.request("POST", f"{path}/chat/completions", json={})
        assert response.headers["x-accel-buffering"] == "no"
        assert response.content.count(COMMENT) == count
        assert response.content.replace(COMMENT, b"") == EVENT * 3 + b"data: [DONE]\n\n"
    for path in ("/v1", "/judged"):
        upstream.plays(script)
        with openai.OpenAI(base_url=tenant.gateway.proxy + path, api_key=tenant.key) as client:
            stream = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
            assert [piece.choices[0].delta.content for piece in stream] == ["Hel"] * 3
