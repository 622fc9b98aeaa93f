"""A compiled rule for AI: where the calls of a model go, with which credential, and at what price."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.core.errors import Rejection
from shared.health.states import PoolStates
from shared.model.amounts import usd
from shared.model.config import Rule, Tenant
from shared.model.providers import (
    AiRule,
    Model,
    ModelTarget,
    PlatformDocument,
    Provider,
    ProviderAuth,
    ProviderKey,
    ProviderModel,
    Shared,
)
from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed
from shared.providers.calls import ApiCall
from shared.providers.resolve import Resolution
from shared.routing.ai_route import AiRoute, CompiledTarget, shortened
from shared.routing.platform import CompiledPlatform, compile_platform, compile_providers
from shared.routing.provider_calls import ProviderCompiler
from shared.routing.timeouts import UpstreamTimeouts
from shared.secrets.context import PLATFORM, provider_key_context
from shared.secrets.sealing import AesSealer
from shared.upstreams.attempt import Attempt, Ended
from shared.upstreams.attempts import Attempts
from shared.upstreams.keys import KeyState
from shared.usage.row import Usage

#: 2026-12-01, 12:00 UTC.
NOON = 1_796_126_400.0

SEALER = AesSealer([b"k" * 32], lambda size: b"n" * size)
TENANT = Tenant("ten_1", "Acme", "acme")
CHAT = ApiCall("openai.chat", "/chat/completions")
SECRET = "sk-canary-1"


def key(owner: str, origin: str, number: int = 1, secret: str = SECRET, **members: Any) -> ProviderKey:
    context = provider_key_context(owner, "prv_1", f"pk_{number}", origin)
    sealed = Sealed(SEALER.seal(secret, context))
    return ProviderKey(id=f"pk_{number}", name="k", secret=sealed, **members)


def provider(kind: str = "openai", owner: str = "ten_1", **members: Any) -> Provider:
    origins = {"openai": "https://api.openai.com:443", "anthropic": "https://api.anthropic.com:443"}
    keys = members.pop("keys", (key(owner, origins.get(kind, "")),))
    return Provider("prv_1", "main", kind, keys=keys, **members)


def route(
    *providers: Provider,
    credential: str = "provider",
    models: Mapping[str, Model] | None = None,
    platform: CompiledPlatform | None = None,
    timeouts: RuleTimeouts | None = None,
    opened: Mapping[str, str] | None = None,
    states: PoolStates | None = None,
    tenant_id: str = "ten_1",
    **rule: Any,
) -> AiRoute:
    shared = platform or CompiledPlatform(PlatformDocument())
    compiler = ProviderCompiler(SEALER, UpstreamTimeouts(), opened or {})
    own = compile_providers(providers, "ten_1", compiler, {})
    known = {**shared.providers_for(TENANT), **own}
    return AiRoute(
        Rule("rule_1", "/ai", "", timeouts=timeouts or RuleTimeouts(), credential=credential),
        AiRule(**rule),
        tenant_id,
        providers=known,
        models={**shared.models_for(TENANT), **(models or {})},
        order=shared.order(list(known.values())),
        prices=shared.prices,
        states=states or PoolStates(b"secret"),
    )


def first(ai: AiRoute, name: str, call: ApiCall = CHAT) -> tuple[Attempt, Any]:
    """The first attempt for a model, and its upstream."""
    found = ai.resolver.resolve(name, call.api, None)
    assert isinstance(found, Resolution), found
    pool = ai.pool(found)
    attempt = Attempts(pool.pool, pool.budget, lambda: 0.5).first(0.0)
    assert isinstance(attempt, Attempt), attempt
    return attempt, ai.upstream(pool.targets[attempt.target.id], attempt.key, call)


def test_a_call_goes_to_the_provider_with_its_key_and_without_the_clients_accounts() -> None:
    attempt, upstream = first(route(provider()), "gpt-5.6")
    assert attempt.target.id == "prv_1/gpt-5.6"
    assert (upstream.authority, upstream.path) == (b"api.openai.com", "/v1/chat/completions")
    fields = {name.lower(): value for name, value in upstream.own.fields}
    assert fields[b"authorization"] == b"Bearer sk-canary-1"
    assert fields[b"accept-encoding"] == b"identity"
    for name in (
        "authorization", "x-api-key", "api-key", "x-goog-api-key", "openai-organization", "cookie",
        "anthropic-workspace-id", "anthropic-user-profile-id", "x-goog-user-project", "x-amz-security-token",
        "x-http-method-override", "x-method-override", "x-http-method",
    ):  # fmt: skip
        assert name in upstream.own.replaced
    assert upstream.has_credential


def test_anthropic_gets_its_key_in_its_header_and_a_version_if_the_client_sent_none() -> None:
    call = ApiCall("anthropic.messages", "/messages")
    _, upstream = first(route(provider("anthropic")), "claude-x", call)
    fields = {name.lower(): value for name, value in upstream.own.fields}
    assert fields[b"x-api-key"] == SECRET.encode()
    assert b"authorization" not in fields
    assert upstream.defaults == ((b"anthropic-version", b"2023-06-01"),)
    assert upstream.path == "/v1/messages"


def test_a_credential_in_the_query_is_escaped_and_sent_once() -> None:
    origin = "https://llm.example:443"
    made = provider(
        "custom",
        base_url="https://llm.example/v1",
        apis=("openai.chat",),
        auth=ProviderAuth(type="query", name="key"),
        keys=(key("ten_1", origin, secret="a&b=c"),),
    )
    _, upstream = first(route(made), "m")
    assert upstream.query == "key=a%26b%3Dc"


def test_a_key_that_was_sealed_for_another_provider_is_not_used() -> None:
    foreign = key("ten_2", "https://api.openai.com:443")
    ai = route(provider(keys=(foreign,)))
    found = ai.resolver.resolve("gpt-5.6", "openai.chat", None)
    assert isinstance(found, Resolution)
    pool = ai.pool(found)
    ended = Attempts(pool.pool, pool.budget, lambda: 0.5).first(0.0)
    assert ended == Ended("no_provider_key", None)


def test_a_key_of_a_tenant_is_never_read_from_the_environment() -> None:
    named = ProviderKey(id="pk_1", name="k", env="OPENAI_API_KEY")
    opened = {"env:OPENAI_API_KEY": SECRET}
    own = compile_providers([provider(keys=(named,))], "ten_1", ProviderCompiler(SEALER, opened=opened), {})
    shared = compile_providers(
        [provider(keys=(named,))], PLATFORM, ProviderCompiler(SEALER, opened=opened), {}
    )
    assert not own["main"].keys
    assert [one.id for one in shared["main"].keys] == ["pk_1"]


def test_a_client_with_its_own_credential_gets_nothing_of_the_providers() -> None:
    ai = route(provider(params={"organization": "org-1"}), credential="client")
    attempt, upstream = first(ai, "gpt-5.6")
    assert attempt.key is None
    assert upstream.own.fields == ((b"Accept-Encoding", b"identity"),)
    assert "authorization" not in upstream.own.replaced
    assert "anthropic-workspace-id" not in upstream.own.replaced
    assert not upstream.has_credential
    assert upstream.path == "/v1/chat/completions"
    found = ai.resolver.resolve("gpt-6-luna", "openai.chat", None)
    assert isinstance(found, Resolution)
    assert ai.rates(CompiledTarget.of(found.targets[0]), NOON) is None
    assert ai.pool(found).pool.policy.retry.attempts == 1


def test_two_models_with_other_timeouts_for_one_target_do_not_share_them() -> None:
    models = {
        name: Model(
            name, (ModelTarget(provider="main", model="m", timeouts=RuleTimeouts(first_byte=seconds)),)
        )
        for name, seconds in (("quick", 1.0), ("slow", 2.0))
    }
    ai = route(provider(), models=models)
    assert [first(ai, name)[1].timeouts.first_byte for name in models] == [1.0, 2.0]


def test_a_local_provider_needs_no_key() -> None:
    attempt, upstream = first(route(provider("ollama", keys=())), "llama4")
    assert attempt.key is None
    assert all(name != b"Authorization" for name, _ in upstream.own.fields)


def test_calls_of_a_shared_provider_are_bounded_over_its_tenants_and_models() -> None:
    shared = Provider("prv_p", "main", "ollama", max_concurrent=2, shared=Shared(all=True))
    platform = compile_platform(PlatformDocument(providers=(shared,)), ProviderCompiler(SEALER), {})
    states = PoolStates(b"secret")

    def begin(tenant_id: str, model: str) -> tuple[Attempts, Attempt | Ended]:
        # As after each change, the rule is compiled again.
        ai = route(platform=platform, states=states, tenant_id=tenant_id)
        found = ai.resolver.resolve(model, "openai.chat", None)
        assert isinstance(found, Resolution)
        pool = ai.pool(found)
        attempts = Attempts(pool.pool, pool.budget, lambda: 0.5)
        return attempts, attempts.first(0.0)

    (one, _), (_other, _) = begin("ten_1", "a"), begin("ten_2", "b")
    rejected, ended = begin("ten_2", "a")
    assert (ended, rejected.why_not) == (Ended("no_upstream"), {"prv_p/a": "max_concurrent"})
    one.end()
    one.end()
    assert isinstance(begin("ten_3", "a")[1], Attempt)
    assert isinstance(begin("ten_3", "a")[1], Ended)


def test_a_provider_that_did_not_change_is_not_compiled_again() -> None:
    compiler = ProviderCompiler(SEALER)
    one, other = (Provider(f"prv_{name}", name, "ollama", discover=600.0) for name in "ab")
    first = compile_platform(PlatformDocument(providers=(one, other)), compiler, {"prv_a": ["m"]})
    document = PlatformDocument(providers=(one, replace(other, enabled=False)))
    second = compile_platform(document, compiler, {"prv_a": ["m"]}, first)
    assert second.providers["a"] is first.providers["a"]
    assert not second.providers["b"].known.provider.enabled
    third = compile_platform(document, compiler, {"prv_a": ["m", "new"]}, second)
    assert third.providers["a"].known.has_model("new")


def test_a_tenant_has_its_own_provider_in_place_of_the_platforms_of_the_same_name() -> None:
    compiler = ProviderCompiler(SEALER)
    document = PlatformDocument(
        providers=(
            Provider("prv_p", "main", "ollama", shared=Shared(all=True)),
            Provider("prv_q", "hidden", "ollama", shared=Shared(tenants=("ten_2",))),
        ),
        models=(
            Model("fast", (ModelTarget(provider="main", model="llama4"),), shared=Shared(tiers=("basic",))),
        ),
    )
    platform = compile_platform(document, compiler, {})
    attempt, _ = first(route(platform=platform), "fast")
    assert attempt.target.id == "prv_p/llama4"
    attempt, _ = first(route(provider(), platform=platform), "fast")
    assert attempt.target.id == "prv_1/llama4"
    found = route(platform=platform).resolver.resolve("hidden/x", "openai.chat", None)
    assert isinstance(found, Resolution)
    assert found.targets[0].provider.name == "main"


def test_a_provider_that_cannot_be_compiled_closes_only_its_own_models() -> None:
    broken = Provider("prv_2", "broken", "vllm")
    attempt, _ = first(route(broken, provider()), "gpt-5.6")
    assert attempt.target.id == "prv_1/gpt-5.6"


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/ai/v1/chat/completions", "openai.chat"),
        ("/ai/chat/completions", "openai.chat"),
        ("/ai/v1/models", "models"),
    ],
)
def test_the_api_is_that_of_the_path_after_the_rules(path: str, api: str) -> None:
    found = route(provider()).call(path)
    assert isinstance(found, ApiCall)
    assert found.api == api


@pytest.mark.parametrize("path", ["/ai/v1/embedding", "/ai/v1/files", "/ai", "/ai/v1/chat/completions/x"])
def test_another_api_is_404_and_says_what_to_do(path: str) -> None:
    found = route(provider()).call(path)
    assert isinstance(found, Rejection)
    assert found.code == "api_not_supported"
    assert "add a rule" in found.message


def test_a_rule_can_serve_some_apis_only() -> None:
    found = route(provider(), apis=("openai.embeddings",)).call("/ai/v1/chat/completions")
    assert isinstance(found, Rejection)
    assert "serves openai.embeddings." in found.message


def test_timeouts_of_a_rule_and_a_target_can_only_shorten_the_providers() -> None:
    base = UpstreamTimeouts(connect=5, first_byte=60, idle=30)
    least = shortened(base, RuleTimeouts(first_byte=90, total=9), RuleTimeouts(connect=1, total=12))
    assert least == UpstreamTimeouts(connect=1, first_byte=60, idle=30, total=9)
    ai = route(provider(), timeouts=RuleTimeouts(first_byte=1))
    attempt, upstream = first(ai, "gpt-5.6")
    assert (upstream.timeouts.first_byte, attempt.target.first_byte) == (1, 1)
    found = ai.resolver.resolve("gpt-5.6", "openai.chat", None)
    assert isinstance(found, Resolution)
    assert ai.is_shortened(found.targets[0], "first_byte")
    assert not route(provider()).is_shortened(found.targets[0], "first_byte")


def test_a_price_of_the_provider_comes_before_the_shipped_one() -> None:
    declared = (
        ProviderModel(id="gpt-6-luna", prices={"input": "7"}),
        ProviderModel(id="own", prices={"output": "1"}),
    )
    ai = route(provider(models=declared))
    costs = {}
    for name in ("gpt-6-luna", "own"):
        found = ai.resolver.resolve(name, "openai.chat", None)
        assert isinstance(found, Resolution)
        rates = ai.rates(CompiledTarget.of(found.targets[0]), NOON)
        assert rates is not None
        costs[name] = usd(rates.cost(Usage(input=100_000, output=100_000)))
    assert costs == {"gpt-6-luna": "0.75", "own": "0.1"}


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    ai = route(provider())
    for number in range(1_100):
        first(ai, f"model-{number}")
    assert len(ai._pools) <= 1_000


def test_paths_that_clients_invent_do_not_fill_the_memory() -> None:
    ai = route(provider())
    for number in range(100):
        call = ai.call(f"/ai/v1/responses/{number}")
        assert isinstance(call, ApiCall)
        first(ai, "gpt-5.6", call)
    [pool] = ai._pools.values()
    [target] = pool.targets.values()
    assert len(target.upstreams) <= 64
    assert not ai.calls


def test_a_field_of_a_response_that_tells_the_key_is_not_for_the_client() -> None:
    _, upstream = first(route(provider()), "gpt-5.6")
    plain = ((b"Content-Type", b"text/plain"), (b"Retry-After", b"1"))
    assert upstream.without_key(plain) is plain
    told = ((b"Location", b"https://x.example/?key=" + SECRET.encode() + b"&a=1"), (b"X-Request-Id", b"sk"))
    assert upstream.without_key((*plain, *told)) == (*plain, told[1])


def test_a_new_secret_under_the_id_of_a_rejected_key_is_used_at_once() -> None:
    states, named = PoolStates(b"secret"), ProviderKey(id="pk_1", name="k", file="openai")

    def state(secret: str) -> KeyState | None:
        shared = PlatformDocument(
            (Provider("prv_1", "main", "openai", keys=(named,), shared=Shared(all=True)),)
        )
        compiler = ProviderCompiler(SEALER, opened={"file:openai": secret})
        ai = route(platform=compile_platform(shared, compiler, {}), states=states)
        found = ai.resolver.resolve("gpt-5.6", "openai.chat", None)
        assert isinstance(found, Resolution)
        kept.append(ai)
        [target] = ai.pool(found).pool.targets
        assert target.keys is not None
        return target.keys.choose("gpt-5.6", 0.0, lambda: 0.5).state

    kept: list[AiRoute] = []
    old = state("sk-old")
    assert old is not None
    old.reject_until(600.0)
    assert state("sk-old") is None
    new = state("sk-new")
    assert new is not None
    assert new.name != old.name
