"""Responses that a provider stores: who may continue and read them, and where such a request goes."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.cases import slow
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.responses_server import ResponsesServer
from tests.support.wait import until

KEYS = ("sk-canary-stored-first-01", "sk-canary-stored-second-2")


@pytest.fixture(scope="module", params=["express", *slow("two workers")])
def fleet(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    gateways: Callable[[str], RunningGateway],
) -> Iterator[RunningGateway]:
    """The express gateway of this folder, and one with two workers."""
    if request.param == "express":
        yield gateways(request.param)
        return
    folder: Path = tmp_path_factory.mktemp("fleet") / "data"
    with RunningGateway(folder, {"GATEWAY__SERVER__WORKERS": "2"}) as gateway:
        yield gateway


@pytest.fixture
def servers() -> Iterator[list[ResponsesServer]]:
    first, second = ResponsesServer("a"), ResponsesServer("b")
    with serving(first), serving(second):
        yield [first, second]


def provider(name: str, server: ResponsesServer, **more: Any) -> dict[str, Any]:
    keys = [{"name": secret[-1], "secret": secret} for secret in KEYS]
    document = {"name": name, "kind": "custom", "base_url": server.url, "apis": ["openai.responses"]}
    return {**document, "keys": keys, "models": [{"id": "m"}, {"id": "secret"}], **more}


def create(gateway: RunningGateway, at: str, /, **document: Any) -> dict[str, Any]:
    response = gateway.call("POST", at, json=document)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def client_of(tenant: TenantInUse, key: str = "") -> openai.OpenAI:
    base, headers = f"{tenant.gateway.proxy}/v1", {"Host": tenant.host}
    return openai.OpenAI(base_url=base, api_key=key or tenant.key, default_headers=headers, max_retries=0)


def with_pool(gateway: RunningGateway, servers: list[ResponsesServer]) -> TenantInUse:
    """A tenant whose model has two targets of its own, each with two keys."""
    tenant = gateway.create_tenant()
    path = f"/tenants/{tenant.id}"
    for server in servers:
        create(gateway, f"{path}/providers", **provider(server.name, server))
    targets = [{"provider": server.name, "model": "m"} for server in servers]
    create(gateway, f"{path}/models", name="best", targets=targets, affinity=None)
    create(gateway, f"{path}/rules", path="/v1", ai={"providers": [server.name for server in servers]})
    tenant.await_rule("/v1")
    return tenant


def test_openais_sdk_continues_and_manages_responses_wherever_they_are_stored(
    fleet: RunningGateway, servers: list[ResponsesServer]
) -> None:
    tenant = with_pool(fleet, servers)
    for stream in (False, True):
        last = None
        for turn in range(6):
            # A new connection each time, so both workers serve some.
            with client_of(tenant) as client:
                made: Any = client.responses.create(
                    model="best", input=f"{turn}", previous_response_id=last and last.id, stream=stream
                )
                last = [event for event in made][-1].response if stream else made
        assert last is not None
        assert last.output_text == "0 1 2 3 4 5"
        with client_of(tenant) as client:
            again = client.responses.create(
                model="best", input=[{"type": "item_reference", "id": last.output[0].id}]
            )
            assert again.output_text.startswith("0 1 2 3 4 5")
            assert client.responses.retrieve(last.id).output_text == last.output_text
            assert client.responses.input_items.list(last.id).data == []
            assert client.responses.cancel(last.id).id == last.id
            client.responses.delete(last.id)
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(last.id)
    used = {(server.name, key) for server in servers for _, _, key in server.calls}
    assert len(used) > 1


def test_what_is_stored_at_a_provider_that_fails_is_continued_nowhere_else(
    fleet: RunningGateway, servers: list[ResponsesServer]
) -> None:
    tenant = with_pool(fleet, servers)
    with client_of(tenant) as client:
        made = client.responses.create(model="best", input="hello")
        holder, other = servers if made.id.startswith("resp_a") else reversed(servers)
        other.calls.clear()
        holder.fails = True
        with pytest.raises(openai.InternalServerError):
            client.responses.create(model="best", input="x", previous_response_id=made.id)
        assert other.calls == []
        holder.fails = False
        # An id of the tenant's own account that the gateway has not seen is no error of the gateway.
        with pytest.raises(openai.BadRequestError, match="Not found at"):
            client.responses.create(model="best", input="x", previous_response_id="resp_unknown")
        unstored = client.responses.create(model="best", input="x", store=False)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(unstored.id)


def test_what_is_stored_at_a_provider_that_is_gone_is_not_found(
    gateway: RunningGateway, servers: list[ResponsesServer]
) -> None:
    tenant = gateway.create_tenant()
    path = f"/tenants/{tenant.id}"
    for server in servers:
        create(gateway, f"{path}/providers", **provider(server.name, server))
    targets = [{"provider": server.name, "model": "m"} for server in servers]
    create(gateway, f"{path}/models", name="best", targets=targets)
    names = [server.name for server in servers]
    rule = create(gateway, f"{path}/rules", path="/v1", ai={"providers": names})
    tenant.await_rule("/v1")
    with client_of(tenant) as client:
        made = client.responses.create(model="best", input="hello")
        holder, other = servers if made.id.startswith("resp_a") else reversed(servers)
        changes = (
            (f"{path}/models/best", {"targets": [{"provider": other.name, "model": "m"}]}),
            (f"{path}/rules/{rule['id']}", {"ai": {"providers": [other.name]}}),
        )
        for url, change in changes:
            changed = gateway.call("PATCH", url, json=change)
            assert changed.status_code == 200, changed.text
        [gone] = [
            one
            for one in gateway.call("GET", f"{path}/providers").json()["providers"]
            if one["name"] == holder.name
        ]
        deleted = gateway.call("DELETE", f"{path}/providers/{gone['id']}")
        assert deleted.status_code == 204, deleted.text
        for _ in until(5):
            try:
                client.responses.retrieve(made.id)
            except openai.NotFoundError as error:
                assert error.code == "response_not_found"
                break
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="best", input="x", previous_response_id=made.id)
        assert caught.value.code == "previous_response_not_found"
        assert other.calls == []
        assert client.responses.create(model="best", input="x").output_text == "x"


def test_tenants_who_share_a_providers_account_cannot_use_each_others_responses(
    gateway: RunningGateway, servers: list[ResponsesServer]
) -> None:
    shared = f"shared-{gateway.count}"
    document = provider(shared, servers[0], shared="all")
    create(gateway, "/providers", **{**document, "keys": document["keys"][:1]})
    ours, theirs = gateway.create_tenant(), gateway.create_tenant()
    for tenant in (ours, theirs):
        create(gateway, f"/tenants/{tenant.id}/rules", path="/v1", ai={"providers": [shared]})
        tenant.await_rule("/v1")
    with closing(client_of(ours)) as owner, closing(client_of(theirs)) as stranger:
        made = owner.responses.create(model="m", input="our secret")
        [message] = made.output
        servers[0].calls.clear()
        for names in (
            {"previous_response_id": made.id, "input": "x"},
            {"conversation": "conv_1", "input": "x"},
            {"input": [{"type": "item_reference", "id": message.id}]},
        ):
            with pytest.raises(openai.BadRequestError) as failed:
                stranger.responses.create(model="m", **names)  # type: ignore[call-overload]
            assert failed.value.code == "previous_response_not_found"
        for call in (
            stranger.responses.retrieve,
            stranger.responses.delete,
            stranger.responses.cancel,
            stranger.responses.input_items.list,
        ):
            with pytest.raises(openai.NotFoundError) as missing:
                call(made.id)
            assert missing.value.code == "response_not_found"
        with pytest.raises(openai.PermissionDeniedError) as denied:
            stranger.responses.create(
                model="m", input="x", tools=[{"type": "file_search", "vector_store_ids": ["vs_1"]}]
            )
        assert denied.value.code == "shared_account"
        assert servers[0].calls == []
        assert owner.responses.retrieve(made.id).id == made.id
        owner.responses.create(model="m", input="x", previous_response_id=made.id)


def test_a_key_reads_responses_of_models_that_it_may_ask_only_and_explain_shows_where(
    fleet: RunningGateway, servers: list[ResponsesServer]
) -> None:
    tenant = fleet.create_tenant()
    path = f"/tenants/{tenant.id}"
    create(fleet, f"{path}/providers", **provider("own", servers[0]))
    create(fleet, f"{path}/rules", path="/v1", ai={"providers": ["own"]})
    tenant.await_rule("/v1")
    with client_of(tenant) as client:
        secret, plain = (client.responses.create(model=model, input="x") for model in ("secret", "m"))
    small = create(fleet, f"{path}/api-keys", name="small", scopes=["proxy"], models=["m"])["key"]
    for _ in until(5):
        with client_of(tenant, small) as client:
            try:
                assert client.responses.retrieve(plain.id).id == plain.id
                break
            except openai.AuthenticationError:
                continue
    with client_of(tenant, small) as client:
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(secret.id)
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model="m", input="x", previous_response_id=secret.id)
    headers = {"Authorization": f"Bearer {tenant.key}"}
    asked = {"method": "GET", "path": f"/v1/responses/{plain.id}", "headers": headers}
    explained = fleet.call("POST", f"{path}/explain", json=asked).json()
    assert explained["outcome"] == "forwarded"
    assert explained["ai"]["stored_id"] == plain.id
    [used] = [key for _, path, key in servers[0].calls if path == f"/v1/responses/{plain.id}"][:1]
    stored = fleet.call("GET", f"{path}/providers").json()["providers"][0]["keys"]
    [key_id] = [one["id"] for one in stored if one["name"] == used[-1]]
    assert explained["ai"]["key_id"] == key_id
