"""Files for tests: the example of the specification, and generated ones that can be applied."""

from typing import Any

from hypothesis import strategies as st

#: A file with something of everything.
EXAMPLE: dict[str, Any] = {
    "_format_version": "1",
    "platform": {
        "providers": {
            "openai-main": {
                "kind": "openai",
                "keys": [{"name": "a", "secret": {"env": "OPENAI_API_KEY"}}],
                "shared": "all",
            }
        },
        "models": {
            "fast": {
                "targets": [{"provider": "openai-main", "model": "gpt-5.6"}],
                "shared": {"tenants": ["acme"], "tiers": ["pro"]},
            }
        },
        "prices": {"openai/gpt-5.6": {"input": "2.00"}},
        "webhooks": {
            "ops": {
                "url": "https://checks.example/hook?team=a",
                "events": ["key.rejected"],
                "secret": {"env": "OPENAI_API_KEY"},
            }
        },
    },
    "tenants": {
        "acme": {
            "name": "Acme",
            "tier": "pro",
            "tags": ["eu"],
            "plugin_chain": [
                {"name": "rate_limiter", "settings": {"limits": {"global": {"limit": 600, "window": "1m"}}}}
            ],
            "required_plugins": {"security_validator": {"settings": {"blocked_ips": ["203.0.113.0/24"]}}},
            "rules": {
                "chat": {"path": "/v1", "ai": {"providers": ["openai-main"]}},
                "search": {
                    "path": "/search/",
                    "targets": [{"url": "https://api.openai.com", "weight": 2}],
                    "headers": {"Authorization": "Bearer canary-of-search"},
                    "timeouts": {"connect": "5s"},
                    "retry": {"attempts": 4},
                },
            },
            "webhooks": {
                "on-call": {
                    "url": "https://checks.example/hook",
                    "events": ["rule.faulted", "budget.reached"],
                    "secret": "canary-of-a-webhook",
                    "active": False,
                }
            },
            "api_keys": {"ci": {"scopes": ["proxy"], "models": ["gpt-*"]}},
        },
        "globex": {"name": "Globex", "rules": {"all": {"path": "/", "target": "https://api.openai.com"}}},
    },
}

_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_TAGS = st.lists(st.sampled_from(["eu", "us", "team:search"]), max_size=3)
_SECONDS = st.sampled_from(["500ms", 2, "3s", 0.5])
_WEIGHTS = st.integers(1, 9)


def _objects(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


_LIMITER = st.builds(
    lambda limit: {"name": "rate_limiter", "settings": {"limit": limit, "window": "1m"}}, st.integers(1, 9)
)
_VALIDATOR = st.sampled_from(
    [
        {"name": "content_validator"},
        {"name": "content_validator", "settings": {"max_size": 100}, "priority": 5, "timeout": "2s"},
    ]
)
_CHAIN = st.lists(_LIMITER | _VALIDATOR, max_size=2, unique_by=lambda one: one["name"])
_TARGET = _objects(
    {"url": st.sampled_from(["https://api.openai.com", "https://checks.example/v1"])},
    weight=_WEIGHTS,
    priority=st.integers(0, 3),
    timeouts=st.fixed_dictionaries({"connect": _SECONDS}),
)
_RULE = _objects(
    {},
    methods=st.lists(st.sampled_from(["GET", "POST", "get"]), max_size=3),
    strip_path=st.booleans(),
    active=st.booleans(),
    public=st.booleans(),
    timeouts=_objects({}, connect=_SECONDS, total=_SECONDS),
    limits=_objects({}, request_body=st.sampled_from(["1MB", 1000, None])),
    cors=st.none() | st.just({"origins": ["https://a.example"]}),
    stream_keepalive=st.none() | st.just("15s"),
    drain_on_disconnect=st.none() | st.just("1m"),
    plugin_chain=_CHAIN,
    tags=_TAGS,
)
_POOL = _objects(
    {"targets": st.lists(_TARGET, min_size=1, max_size=3)},
    strategy=st.sampled_from(["weighted", "latency"]),
    affinity=st.none() | st.just({"spill": 2.0}),
    retry=st.fixed_dictionaries({"attempts": st.integers(1, 4)}),
    health=st.just({"path": "/health"}),
)
_TO = st.just({"target": "https://api.openai.com"}) | _POOL
_API_KEY = _objects(
    {},
    scopes=st.lists(st.sampled_from(["proxy", "read", "admin"]), min_size=1, max_size=2),
    models=st.none() | st.just(["gpt-*"]),
    deny_models=st.just(["o3"]),
    user=st.just("team-a"),
    metadata=st.just({"project": "search"}),
    tags=_TAGS,
    expires_at=st.none() | st.just("2030-01-01T00:00:00Z"),
)
_KEY = _objects(
    {"secret": st.sampled_from(["sk-0123456789abcdef012345", "sk-canary"])},
    weight=_WEIGHTS,
    models=st.none() | st.just(["gpt-*"]),
)
_PROVIDER = _objects(
    {"kind": st.sampled_from(["openai", "anthropic"])},
    keys=st.dictionaries(_NAMES, _KEY, max_size=2).map(
        lambda keys: [{**one, "name": name} for name, one in keys.items()]
    ),
    models=st.lists(st.sampled_from(["m-1", "m-2"]), max_size=2, unique=True).map(
        lambda ids: [{"id": one} for one in ids]
    ),
    timeouts=st.just({"first_byte": "9s"}),
    max_concurrent=st.none() | st.integers(1, 50),
    enabled=st.booleans(),
    tags=_TAGS,
)


def _rules(paths: list[str], parts: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Rules that do not match the same requests."""
    return {
        f"r-{path.strip('/') or 'root'}": {"path": path, **where, **rule}
        for path, (where, rule) in zip(paths, parts, strict=False)
    }


_RULES = st.builds(
    _rules,
    st.lists(st.sampled_from(["/", "/a", "/b/", "/c"]), max_size=3, unique=True),
    st.lists(st.tuples(_TO, _RULE), min_size=3, max_size=3),
)


@st.composite
def _owner(draw: st.DrawFn, **fields: Any) -> dict[str, Any]:
    """Providers, and models that name them."""
    providers = draw(st.dictionaries(_NAMES, _PROVIDER, max_size=2))
    owner: dict[str, Any] = {name: draw(one) for name, one in fields.items()}
    if providers:
        owner["providers"] = providers
        target = st.fixed_dictionaries({"provider": st.sampled_from(sorted(providers)), "model": _NAMES})
        targets = st.lists(
            target, min_size=1, max_size=2, unique_by=lambda one: (one["provider"], one["model"])
        )
        model = _objects({"targets": targets}, visible=st.booleans(), description=_NAMES, tags=_TAGS)
        owner["models"] = draw(st.dictionaries(_NAMES, model, max_size=2))
    return owner


# A budget keeps its unit, so a name has always the same.
_LIMITS = ({"usd": "250.00"}, {"usd": "0.000000001"}, {"tokens": 5000}, {"requests": 0})
_PERIODS = st.sampled_from(
    [
        {"period": "month"},
        {"period": "week", "timezone": "Europe/Berlin"},
        {"period": "30d", "starts": "2026-12-01"},
        {"period": "total", "starts": "2026-12-01"},
    ]
)
_BUDGET = _objects(
    {},
    on_spent=st.sampled_from(["reject", "alert"]),
    at=st.sampled_from([[], [50, 80, 95], [100]]),
    overrun=st.sampled_from(["cut", "finish"]),
    cap_output=st.booleans(),
    unpriced=st.sampled_from(["reject", "allow"]),
    owner=st.sampled_from(["tenant", "platform", None]),
    tags=_TAGS,
)


@st.composite
def _with_budgets(draw: st.DrawFn, owners: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """Tenants with budgets, which name what the tenant has."""
    owner = draw(owners)
    named = {"key": "api_keys", "rule": "rules", "provider": "providers"}
    members = {one: st.sampled_from(sorted(owner[kind])) for one, kind in named.items() if owner.get(kind)}
    tag = st.sampled_from([{}, {"project": "search"}])
    scope = _objects({}, **members, user=st.just("team-a"), model=st.just("gpt-*"), tag=tag)
    parts = st.tuples(_BUDGET, _PERIODS, st.fixed_dictionaries({"scope": scope}))
    budget = parts.map(lambda found: {**found[0], **found[1], **found[2]})
    budgets = draw(st.dictionaries(_NAMES | st.just("all of it"), budget, max_size=2))
    limits = {name: {"limit": _LIMITS[ord(name[0]) % len(_LIMITS)]} for name in budgets}
    return {**owner, "budgets": {name: {**one, **limits[name]} for name, one in budgets.items()}}


_WEBHOOKS = st.dictionaries(
    _NAMES,
    _objects(
        {
            "url": st.sampled_from(["https://api.openai.com/hook", "https://checks.example/v1?team=a"]),
            "events": st.lists(st.sampled_from(["key.rejected", "rule.faulted"]), min_size=1, max_size=3),
            "secret": st.sampled_from(["a-secret-of-16-characters", "canary-of-a-webhook"]),
        },
        active=st.booleans(),
    ),
    max_size=2,
)
_TENANT = _owner(
    name=st.sampled_from(["Acme", "Ümlaut & Co"]),
    tier=st.sampled_from(["basic", "pro"]),
    plugin_chain=_CHAIN,
    enabled_plugins=st.none() | st.just(["rate_limiter", "content_validator"]),
    required_plugins=st.sampled_from([{}, {"rate_limiter": {"settings": {"limit": 5, "window": "1m"}}}]),
    tags=_TAGS,
    rules=_RULES,
    api_keys=st.dictionaries(_NAMES, _API_KEY, max_size=2),
    webhooks=_WEBHOOKS,
)

#: Files that an empty store takes.
FILES = st.fixed_dictionaries(
    {
        "_format_version": st.just("1"),
        "tenants": st.dictionaries(
            st.sampled_from(["t-1", "t-2", "t-3"]), _with_budgets(_TENANT), max_size=2
        ),
    },
    optional={
        "platform": _owner(
            prices=st.sampled_from([{}, {"openai/gpt-5.6": {"input": "2.00"}}]), webhooks=_WEBHOOKS
        )
    },
)
