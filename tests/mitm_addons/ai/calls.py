"""Requests to models, on a rule whose provider has these models, and their streams."""

import json
from dataclasses import fields
from typing import Any

from mitm_addons.ai.ledger import Ledger
from shared.core.errors import Rejection
from shared.model.messages import Headers, Request
from shared.model.providers import Model, ModelTarget, ProviderModel
from shared.routing.ai_calls import AiCalls
from shared.routing.ai_exchange import AiExchange
from shared.routing.pool_exchange import ChosenUpstream
from shared.usage.aggregates import WaitingRow
from shared.usage.row import LedgerRow
from tests.routing.test_ai_route import provider, route


class Clock:
    def now(self) -> float:
        return 1_796_126_400.0

    def monotonic(self) -> float:
        return 100.0


def _parsed(row: WaitingRow) -> LedgerRow:
    """The row, each member of which must be there once."""
    names = [name for name, _ in json.loads(row.text, object_pairs_hook=list)]
    assert sorted(names) == sorted(one.name for one in fields(LedgerRow))
    return LedgerRow.parse(row.text)


ROWS: list[LedgerRow] = []
CALLS = AiCalls(Clock(), lambda: 0.5)
LEDGER = Ledger(lambda row: ROWS.append(_parsed(row)), lambda size: b"r" * size)
DECLARED = (
    ProviderModel(id="gpt-6-luna"),
    ProviderModel(id="old", caps={"stream_usage": False}),
    ProviderModel(id="priced", prices={"input": "1", "output": "2"}),
    ProviderModel(id="blind", caps={"vision": False, "context": 1_000}),
    ProviderModel(id="gpt-4", caps={"vision": True}),
)


def ask(
    document: Any,
    path: str = "/ai/v1/chat/completions",
    method: str = "POST",
    *,
    default_model: str | None = None,
    models: dict[str, Model] | None = None,
    **headers: str,
) -> Any:
    """The result for one request: an upstream with its body, a response or a rejection; and the exchange."""
    ai = route(
        provider(models=DECLARED),
        models=models or {"fast": Model("fast", (ModelTarget(provider="main", model="gpt-6-luna"),))},
        default_model=default_model,
    )
    begun = CALLS.begin(path.partition("?")[0], ai)
    if isinstance(begun, Rejection):
        return begun, None
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    sent = Headers({"Content-Type": "application/json", **headers}.items())
    request = Request(method, path.partition("?")[0], sent, path.partition("?")[2], body)
    if rejection := CALLS.resolve(begun, None, request):
        return rejection, begun
    found: Any = CALLS.choose(begun, None, request)
    return found[:2] if isinstance(found, ChosenUpstream) else found, begun


CHUNK = b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":null}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\ndata: [DONE]\n\n'


def received(one: AiExchange, *pieces: bytes) -> bytes:
    """The bytes that a client gets of the pieces of a stream."""
    got: list[bytes] = []

    def pass_on(piece: bytes) -> list[bytes]:
        got.append(piece)
        return [piece]

    feed = one.metered(pass_on, is_stream=True)
    return b"".join(sent for piece in (*pieces, b"") for sent in feed(piece))


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def form(*fields: str, file: str = "a.mp3") -> bytes:
    parts = [f'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n{name}\r\n' for name in fields]
    parts.append(
        f'--x\r\nContent-Disposition: form-data; name="file"; filename="{file}"\r\n\r\nID3\0\r\n--x--\r\n'
    )
    return "".join(parts).encode()
