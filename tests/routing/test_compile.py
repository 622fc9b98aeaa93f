"""A tenant compiled: what can be used is ready, and what cannot is closed by itself."""

import functools
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, cast

import pytest
from marshmallow import fields

from shared.http.trace_context import OWN
from shared.model.config import (
    ApiKey,
    Cors,
    PluginConfig,
    Rule,
    RuleLimits,
    Snapshot,
    Stage,
    Tenant,
    Tier,
)
from shared.model.messages import Headers
from shared.model.pools import UrlTarget
from shared.model.providers import (
    AiRule,
    Model,
    ModelTarget,
    PlatformDocument,
    Provider,
    ProviderKey,
    Shared,
)
from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed
from shared.pipeline.dry_run import ReadOnlyLimiter, not_called
from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Tools, Verdict, setting
from shared.routing.body_limits import BodyLimits
from shared.routing.compile import Compiler
from shared.routing.timeouts import UpstreamTimeouts
from shared.secrets.context import header_context, setting_context


class ContextSealer:
    """Seals by writing the context down, so that a moved secret is noticed."""

    def seal(self, secret: str, context: str) -> str:
        return f"{context}#{secret}"

    def open(self, text: str, context: str) -> str:
        found, _, secret = text.rpartition("#")
        if found != context:
            raise ValueError("moved")
        return secret


class Asking(Plugin):
    """Has a secret."""

    name = "asking"
    headers: Mapping[str, str] = setting(fields.Dict(load_default=dict), "Secret.", secret=True)
    endpoint: str = setting(fields.String(load_default="http://e.example"), "Where to.")
    connected: int = 0
    tools: Tools

    def start(self, tools: Tools) -> None:
        self.connected += 1
        self.tools = tools

    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE

    def post_response(self, exchange: Exchange) -> Verdict:
        return CONTINUE


class Exploding(Asking):
    """Cannot be made."""

    name = "exploding"

    def prepare(self) -> None:
        raise TypeError("broken")


SEALER: Any = ContextSealer()
TENANT = Tenant("ten", "T", "t", tier="pro")


INTERNAL = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
TOOLS = Tools(cast(Any, None), not_called, cast(Any, None))


def compile_rules(
    *rules: Rule,
    tenant: Tenant = TENANT,
    timeouts: UpstreamTimeouts = UpstreamTimeouts(),  # noqa: B008
    traced: str = OWN,
) -> Any:
    catalogue = {"asking": Asking, "exploding": Exploding}
    tiers, more = {"pro": Tier("pro")}, {"internal": INTERNAL, "traced": traced}
    compiler = Compiler(catalogue, tiers, SEALER, TOOLS, timeouts=timeouts, **more)
    return compiler(Snapshot(tenant, rules, (ApiKey("k", "n", "gwk_x", "hash"),)))


def routes(gateway: Any, path: str) -> Any:
    return gateway.router.match_path(path)[0]


def test_keys_are_found_by_their_hash() -> None:
    assert compile_rules().keys["hash"].id == "k"


def test_timeouts_are_the_rules_own_or_the_operators() -> None:
    rules = (
        Rule("r", "/own", "http://u", timeouts=RuleTimeouts(connect=1, total=60)),
        Rule("s", "/none", "http://u"),
        Rule("t", "/broken", "ftp://u", timeouts=RuleTimeouts(connect=1)),
    )
    operator = UpstreamTimeouts(connect=2, first_byte=3, idle=4, total=None)
    gateway = compile_rules(*rules, timeouts=operator)
    assert routes(gateway, "/own").timeouts == UpstreamTimeouts(connect=1, first_byte=3, idle=4, total=60)
    assert routes(gateway, "/none").timeouts == operator
    assert routes(gateway, "/broken").fault


@pytest.mark.parametrize(
    ("target", "more", "sends"),
    [
        ("https://api.openai.com", {}, False),
        ("https://api.openai.com", {"identity_headers": True}, True),
        ("http://10.1.2.3:8000", {}, True),
        ("http://[fd00::1]:8000", {}, True),
        ("http://10.2.0.1", {}, False),
        ("http://10.1.2.3", {"identity_headers": False}, False),
        # A name: where its addresses were when the rule was saved.
        ("http://vllm:8000", {"is_internal": True}, True),
        ("http://vllm:8000", {"is_internal": True, "identity_headers": False}, False),
        ("http://8.8.8.8", {"is_internal": True}, False),
    ],
)
def test_upstream_is_told_who_calls_in_allowed_networks_or_by_choice(
    target: str, more: dict[str, Any], sends: bool
) -> None:
    route = routes(compile_rules(Rule("r", "/r", target, **more)), "/r")
    assert route.sends_identity is sends
    assert ("x-request-id" in route.upstream.own.replaced) is sends


@pytest.mark.parametrize(
    ("forward", "target", "more", "traced"),
    [
        ("own", "https://api.openai.com", {}, False),
        ("own", "https://api.openai.com", {"trace_headers": True}, True),
        ("own", "http://10.1.2.3:8000", {}, True),
        ("own", "http://10.1.2.3", {"trace_headers": False}, False),
        ("own", "http://vllm:8000", {"is_internal": True}, True),
        ("own", "http://vllm:8000", {}, False),
        ("always", "https://api.openai.com", {}, True),
        ("always", "https://api.openai.com", {"trace_headers": False}, False),
        ("never", "http://10.1.2.3", {"trace_headers": True}, False),
    ],
)
def test_upstream_is_told_the_trace_in_allowed_networks_or_by_choice(
    forward: str, target: str, more: dict[str, Any], traced: bool
) -> None:
    rules = Rule("r", "/r", target, **more), Rule("s", "/s", "", targets=(UrlTarget(url=target),), **more)
    gateway = compile_rules(*rules, traced=forward)
    assert routes(gateway, "/r").upstream.is_traced is traced
    pool = routes(gateway, "/s").pool
    begun = pool.begin(Headers(), b"", random=lambda: 0.5, now=0.0, tell=lambda _: None)
    assert begun[1].is_traced is traced


PAGE, OTHER = Cors(("https://app.example",)), Cors(("*",))


def test_cors_is_the_rules_own_or_the_tenants() -> None:
    rules = (
        Rule("r", "/own", "http://u", cors=OTHER),
        Rule("s", "/none", "http://u"),
        Rule("t", "/broken", "ftp://u"),
    )
    gateway = compile_rules(*rules, tenant=replace(TENANT, cors=PAGE))
    assert [routes(gateway, path).cors for path in ("/own", "/none", "/broken")] == [OTHER, PAGE, PAGE]
    assert gateway.has_cors
    assert not compile_rules(rules[1]).has_cors
    assert compile_rules(*rules[:2]).has_cors


def test_cookie_of_a_rule_is_not_for_every_page() -> None:
    cookie = Sealed(SEALER.seal("a=1", header_context("ten", "Cookie", "http://u")))
    rule = Rule("r", "/r", "http://u", headers={"Cookie": cookie})
    assert routes(compile_rules(rule, tenant=replace(TENANT, cors=OTHER)), "/r").cors is None
    assert routes(compile_rules(rule, tenant=replace(TENANT, cors=PAGE)), "/r").cors == PAGE


def test_body_limits_are_the_rules_own_or_the_operators_up_to_the_ceilings() -> None:
    rules = (
        Rule("r", "/own", "http://u", limits=RuleLimits(request_body=50)),
        Rule("s", "/above", "http://u", limits=RuleLimits(request_body=101, response_body=201)),
        Rule("t", "/none", "http://u"),
    )
    operator = BodyLimits(10, 20, public=30, max_request=100, max_response=200)
    compiler = Compiler({}, {"pro": Tier("pro")}, SEALER, TOOLS, bodies=operator)
    gateway = compiler(Snapshot(TENANT, rules))
    found = [routes(gateway, path).bodies[:3] for path in ("/own", "/above", "/none")]
    assert found == [(50, 20, 30), (100, 200, 30), (10, 20, 10)]


def test_secrets_are_opened_where_they_belong() -> None:
    target = "https://up.example/base"
    header = Sealed(SEALER.seal("s3", header_context("ten", "X-Key", target)))
    settings = {"endpoint": "http://e.example/x"}
    inner = Sealed(SEALER.seal("t4", setting_context("ten", "asking", "headers", "X-In", settings)))
    entry = PluginConfig("asking", settings={**settings, "headers": {"X-In": inner, "plain": "p"}})
    route = routes(
        compile_rules(Rule("r", "/v1", target, headers={"X-Key": header}, plugin_chain=(entry,))), "/v1"
    )
    assert route.fault is None
    assert route.headers == {"X-Key": "s3"}
    (step,) = [step for group in route.plan.stages[Stage.PRE_REQUEST] for step in group.steps]
    assert step.plugin.headers == {"X-In": "t4", "plain": "p"}
    assert step.plugin.connected == 1


@pytest.mark.parametrize(
    "broken",
    [
        Rule("b", "/b", "not a url"),
        Rule("b", "/b", "http://x.example", headers={"X": Sealed("elsewhere#s")}),
        Rule("b", "/b", "http://x.example", plugin_chain=(PluginConfig("unknown"),)),
        Rule("b", "/b", "http://x.example", plugin_chain=(PluginConfig("exploding"),)),
        Rule("b", "/b", "http://x.example", plugin_chain=(PluginConfig("asking", settings={"wrong": 1}),)),
        Rule("b", "/b", "http://x.example", plugin_chain=(PluginConfig("asking", mode="often"),)),
        Rule("b", "/b", "http://x.example", plugin_chain=(PluginConfig("asking", timeout=float("nan")),)),
        Rule("b", "/b", "http://x.example", match="regex"),
        Rule("b", "/b", "http://x.example", ca="no certificate"),
        Rule("b", "/b", "http://x.example", timeouts=RuleTimeouts(idle=-1.0)),
        Rule("b", "/b", "http://x.example", stream_keepalive=0.0),
        Rule("b", "/b", "http://x.example", drain_on_disconnect=0.0),
    ],
)
def test_unusable_rule_is_closed_and_affects_no_other(broken: Rule) -> None:
    gateway = compile_rules(broken, Rule("good", "/good", "http://x.example"))
    assert routes(gateway, "/b").fault
    assert routes(gateway, "/good").fault is None


def test_an_entry_in_shadow_mode_gets_tools_that_take_nothing() -> None:
    chain = (PluginConfig("asking"), PluginConfig("asking", mode="shadow"))
    route = routes(compile_rules(Rule("r", "/v1", "http://u", plugin_chain=chain)), "/v1")
    acting, shadow = route.plan.stages[Stage.PRE_REQUEST]
    assert acting.steps[0].plugin.tools.limiter is TOOLS.limiter
    assert isinstance(shadow.shadows[0].plugin.tools.limiter, ReadOnlyLimiter)


def test_tenant_with_an_unknown_tier_is_closed() -> None:
    gateway = compile_rules(Rule("r", "/v1", "http://x.example"), tenant=Tenant("ten", "T", "t", tier="gone"))
    assert "gone" in routes(gateway, "/v1").fault


class TestRoutesOfTheTenantBefore:
    """Routes are used again, so that a change of one rule of thousands compiles one."""

    provider = Provider("prv_1", "p", "openai", keys=(ProviderKey(id="k", name="k", env="K"),))
    plain = Rule("a", "/a", "http://u", plugin_chain=(PluginConfig("asking"),))
    ai = Rule("b", "/b", "", ai=AiRule(providers=("p",)))
    broken = Rule("c", "/c", "ftp://u")

    def compile(self, tenant: Tenant, *rules: Rule, before: Any = None, platform: Any = None) -> Any:
        compiler = Compiler({"asking": Asking}, {"pro": Tier("pro")}, SEALER, TOOLS)
        return compiler(Snapshot(tenant, rules), platform or self.platform(), before)

    @functools.cache  # noqa: B019 -- one object
    def platform(self) -> Any:
        shared = replace(self.provider, shared=Shared(all=True))
        return Compiler({}, {}, SEALER, TOOLS).platform(PlatformDocument((shared,)))

    def test_unchanged_rules_keep_their_routes_and_plugins(self) -> None:
        first = self.compile(TENANT, self.plain, self.ai, self.broken)
        changed = replace(TENANT, name="other", subdomain="s", status="disabled", updated_at=5.0, version=9)
        added, moved = Rule("d", "/d", "http://u"), replace(self.plain, id="e", path="/e")
        second = self.compile(changed, moved, self.plain, self.ai, self.broken, added, before=first)
        assert routes(second, "/a") is routes(first, "/a")
        assert routes(second, "/b") is routes(first, "/b")
        assert routes(second, "/d").rule is added
        assert routes(second, "/c") is not routes(first, "/c"), "what was broken may be whole"
        assert second.faults == first.faults

    def test_equal_rule_that_is_another_object_is_compiled(self) -> None:
        first = self.compile(TENANT, self.plain)
        assert routes(self.compile(TENANT, replace(self.plain), before=first), "/a") is not routes(
            first, "/a"
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"tier": "gone"},
            {"enabled_plugins": ()},
            {"required_plugins": {"asking": PluginConfig("asking")}},
            {"plugin_chain": (PluginConfig("asking"),)},
            {"cors": Cors(("https://a.example",))},
            {"models": (Model("m", (ModelTarget(provider="p", model="m"),)),)},
            {"providers": (provider,)},
        ],
    )
    def test_change_that_concerns_all_rules_compiles_all(self, change: dict[str, Any]) -> None:
        first = self.compile(TENANT, self.plain)
        second = self.compile(replace(TENANT, **change), self.plain, before=first)
        assert routes(second, "/a") is not routes(first, "/a")

    def test_new_platform_or_list_of_models_compiles_the_rules_for_ai(self) -> None:
        first = self.compile(TENANT, self.plain, self.ai)
        other = Compiler({}, {}, SEALER, TOOLS).platform(PlatformDocument((self.provider,)))
        second = self.compile(TENANT, self.plain, self.ai, before=first, platform=other)
        assert routes(second, "/a") is routes(first, "/a")
        assert routes(second, "/b") is not routes(first, "/b")
        assert routes(second, "/b").fault == "there is no provider p"
