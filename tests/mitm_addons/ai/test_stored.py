"""Requests that name stored responses: the target and the key that they are bound to."""

import inspect
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared.core.errors import Rejection
from shared.model.messages import Headers, Request
from shared.model.providers import Model, ModelTarget, PlatformDocument, Provider, ProviderKey, Shared
from shared.model.sealed import Sealed
from shared.routing.ai_calls import AiCalls
from shared.routing.ai_exchange import AiExchange
from shared.routing.ai_route import AiRoute
from shared.routing.platform import compile_platform
from shared.routing.provider_calls import ProviderCompiler
from shared.secrets.context import PLATFORM, provider_key_context
from shared.stored.binding import Binding
from shared.stored.store import Bindings, open_bindings
from tests.mitm_addons.ai.calls import Clock
from tests.routing.test_ai_route import SEALER, route

TENANT = "ten_1"


def provider(name: str, owner: str, **more: Any) -> Provider:
    """A provider at OpenAI with two keys."""
    keys = []
    for id in (f"{name}_1", f"{name}_2"):
        context = provider_key_context(owner, f"prv_{name}", id, "https://api.openai.com:443")
        keys.append(ProviderKey(id=id, name=id, secret=Sealed(SEALER.seal("sk-1", context))))
    return Provider(f"prv_{name}", name, "openai", keys=tuple(keys), **more)


def rule(credential: str = "provider") -> AiRoute:
    """A rule with a provider of the tenant, one that tenants share, and models at one or at both."""
    document = PlatformDocument(providers=(provider("shared", PLATFORM, shared=Shared(all=True)),))
    platform = compile_platform(document, ProviderCompiler(SEALER), {})
    at = {"theirs": ["shared"], "ours": ["own"], "both": ["shared", "own"]}
    models = {
        name: Model(name, tuple(ModelTarget(provider=one, model=f"m-{one}") for one in providers))
        for name, providers in at.items()
    }
    return route(provider("own", TENANT), platform=platform, models=models, credential=credential)


def bound(name: str, key: str = "", model: str = "") -> Binding:
    return Binding(provider=f"prv_{name}", model=model or f"m-{name}", key=key, asked="both")


@asynccontextmanager
async def known(socket: str) -> AsyncIterator[Bindings]:
    opened = open_bindings({"unix_socket_path": socket}, b"secret")
    opened.add(TENANT, ["resp_own"], bound("own", "own_2"))
    opened.add(TENANT, ["resp_own_1"], bound("own", "own_1"))
    opened.add(TENANT, ["resp_shared"], bound("shared", "shared_2"))
    opened.add(TENANT, ["resp_replaced"], bound("shared", "shared_0"))
    opened.add(TENANT, ["resp_clients"], bound("shared"))
    opened.add(TENANT, ["resp_gone"], bound("gone"))
    try:
        yield opened
    finally:
        await opened.close()


async def ask(
    calls: AiCalls, ai: AiRoute, document: Any, path: str = "", method: str = "POST"
) -> AiExchange | str:
    """The exchange of a request that was forwarded, or the code of the error."""
    begun = calls.begin(f"/ai/v1/responses{path}", ai)
    assert isinstance(begun, AiExchange)
    body = json.dumps(document).encode() if document else b""
    request = Request(method, begun.call.path, Headers([("Content-Type", "application/json")]), "", body)
    found: Any = calls.resolve(begun, None, request)
    if (rejected := await found if inspect.isawaitable(found) else found) is not None:
        assert isinstance(rejected, Rejection)
        return rejected.code
    found = calls.choose(begun, None, request)
    chosen = await found if inspect.isawaitable(found) else found
    return chosen.code if isinstance(chosen, Rejection) else begun


async def target(bindings: Bindings | None, model: str, ids: str, credential: str = "provider") -> str:
    """Where a request that names these items goes: the target and the key; or the code of the error."""
    document = {"model": model, "input": [{"type": "item_reference", "id": id} for id in ids.split()]}
    found = await ask(AiCalls(Clock(), lambda: 0.5, bindings=bindings), rule(credential), document)
    if isinstance(found, str):
        return found
    assert found.attempt is not None
    return f"{found.attempt.target.id} {found.attempt.key.id if found.attempt.key else ''}".strip()


UNKNOWN = "previous_response_not_found"


ROUTES = [
    ("both", "resp_own", "prv_own/m-own own_2"),
    ("both", "resp_shared", "prv_shared/m-shared shared_2"),
    ("both", "resp_shared resp_own", UNKNOWN),
    ("both", "resp_own resp_own_1", UNKNOWN),
    ("ours", "resp_shared", UNKNOWN),
    ("both", "resp_gone", UNKNOWN),
    # A key that was replaced leaves the provider.
    ("both", "resp_replaced", "prv_shared/m-shared shared_1"),
    # Not known: it may be another tenant's, so only the tenant's own provider gets it.
    ("theirs", "resp_unknown", UNKNOWN),
    ("theirs", "resp_shared resp_unknown", UNKNOWN),
    ("both", "resp_unknown", "prv_own/m-own own_1"),
    ("ours", "resp_own resp_unknown", "prv_own/m-own own_2"),
    ("shared/m-other", "resp_shared", "prv_shared/m-other shared_2"),
    # It was made with the client's own credential, so the account of the platform does not know it.
    ("theirs", "resp_clients", UNKNOWN),
]


async def test_request_goes_to_the_account_that_stored_what_it_names(valkey_socket: str) -> None:
    async with known(valkey_socket) as bindings:
        found = [(model, ids, await target(bindings, model, ids)) for model, ids, _ in ROUTES]
    assert found == ROUTES


async def test_request_with_the_clients_credential_may_name_what_the_clients_account_has(
    valkey_socket: str,
) -> None:
    async with known(valkey_socket) as bindings:
        for ids in ("resp_clients", "resp_unknown"):
            assert await target(bindings, "theirs", ids, "client") == "prv_shared/m-shared"


async def test_without_redis_only_an_account_of_the_tenants_own_gets_an_unknown_id(tmp_path: Path) -> None:
    bindings = open_bindings({"unix_socket_path": str(tmp_path / "none")}, b"secret")
    try:
        assert await target(bindings, "theirs", "resp_1") == "config_unavailable"
        assert (await target(bindings, "both", "resp_1")).startswith("prv_own/m-own")
        assert (await target(bindings, "ours", "resp_1")).startswith("prv_own/m-own")
        calls = AiCalls(Clock(), lambda: 0.5, bindings=bindings)
        assert await ask(calls, rule(), None, "/resp_1", "GET") == "config_unavailable"
    finally:
        await bindings.close()


async def test_things_of_a_shared_account_that_have_no_owner_cannot_be_named(valkey_socket: str) -> None:
    async with known(valkey_socket) as bindings:
        calls = AiCalls(Clock(), lambda: 0.5, bindings=bindings)
        document = {"input": "x", "tools": [{"type": "code_interpreter", "container": "cntr_1"}]}
        assert await ask(calls, rule(), {**document, "model": "theirs"}) == "shared_account"
        for model in ("ours", "both"):
            found = await ask(calls, rule(), {**document, "model": model})
            assert isinstance(found, AiExchange)
            assert found.attempt is not None
            assert found.attempt.target.id == "prv_own/m-own"
        assert isinstance(await ask(calls, rule("client"), {**document, "model": "theirs"}), AiExchange)


READS = [
    ("/resp_own", "GET", "prv_own/m-own"),
    ("/resp_shared/cancel", "POST", "prv_shared/m-shared"),
    ("/resp_unknown", "GET", "response_not_found"),
    ("/resp_gone", "DELETE", "response_not_found"),
    ("/resp_clients", "GET", "response_not_found"),
    ("/resp_own", "POST", "method_not_allowed"),
    ("/resp_own/cancel", "GET", "method_not_allowed"),
    ("/resp_own/input_items", "DELETE", "method_not_allowed"),
]


async def test_stored_response_is_read_where_it_is(valkey_socket: str) -> None:
    results = []
    async with known(valkey_socket) as bindings:
        calls = AiCalls(Clock(), lambda: 0.5, bindings=bindings)
        for path, method, _ in READS:
            found = await ask(calls, rule(), None, path, method)
            if isinstance(found, AiExchange):
                assert found.attempt is not None
                assert found.body == b""
                found = found.attempt.target.id
            results.append((path, method, found))
    assert results == READS


async def test_ids_of_a_response_are_bound_unless_it_is_not_stored(valkey_socket: str) -> None:
    async with known(valkey_socket) as bindings:
        calls = AiCalls(Clock(), lambda: 0.5, bindings=bindings)
        body = b'{"id":"resp_%d","output":[{"id":"msg_%d"}]}'
        for number, more in enumerate([{}, {"store": False}, {"conversation": "conv_1"}]):
            one = await ask(calls, rule(), {"model": "ours", "input": "x", **more})
            assert isinstance(one, AiExchange)
            calls.begin_response(one, 200, ())
            calls.end_response(one, body % (number, number))
            calls.end(one)
        ids = ["resp_0", "msg_0", "resp_1", "resp_2", "msg_2", "conv_1"]
        found = await bindings.find(TENANT, ids)
        assert [*found] == ["resp_0", "msg_0", "resp_2", "msg_2", "conv_1"]
        assert found["resp_0"].asked == "ours"
        one = await ask(calls, rule(), None, "/resp_0", "DELETE")
        assert isinstance(one, AiExchange)
        calls.begin_response(one, 200, ())
        calls.end(one, is_sent=True)
        assert one.usage is None
        assert "resp_0" not in await bindings.find(TENANT, ["resp_0"])
