"""A configuration of LiteLLM's proxy as a file of the gateway: models, fallbacks, limits, one tenant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from shared.cli.litellm.deployments import Deployment, Json, Providers, items, members, number
from shared.cli.litellm.left_out import Remarks
from shared.core.durations import HOUR_SECONDS
from shared.model.pools import Breaker

#: The largest values that the gateway takes.
_MAX_ATTEMPTS: Final = 10
_MAX_WEIGHT: Final = 1000
# The default of the gateway for the longest time that a breaker is open, in seconds.
_LONGEST: Final = Breaker().longest
_MAX_PER_MODEL: Final = 32
#: LiteLLM's own bound of fallbacks one after the other.
_MAX_FALLBACKS: Final = 5
_STRATEGIES: Final = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "latency",
    "usage-based-routing": "weighted",
    "usage-based-routing-v2": "weighted",
}
_ROUTER: Final = (
    *("routing_strategy", "num_retries", "fallbacks", "default_fallbacks", "max_fallbacks", "allowed_fails"),
    *("cooldown_time", "model_group_alias", "timeout"),
)
_LITELLM: Final = ("num_retries", "fallbacks", "default_fallbacks", "allowed_fails", "request_timeout")
_SECTIONS: Final = (
    "model_list",
    "router_settings",
    "litellm_settings",
    "general_settings",
    "credential_list",
)


class Imported(NamedTuple):
    """A file of the gateway, and what is said of it."""

    document: Json
    remarks: Remarks


def convert(source: Any, tenant: str) -> Imported:
    """The file of a configuration, whose clients are those of one tenant. Raises ValueError.

    Each public name of a model becomes a model of the platform; its deployments become targets, and those of
    its fallbacks come after them.
    """
    if not isinstance(source, Mapping) or not isinstance(source.get("model_list"), list):
        raise ValueError("It has no list `model_list`, so it is not a configuration of LiteLLM's proxy.")
    return _Conversion(source).file(tenant)


@dataclass
class _Conversion:
    """One import."""

    source: Mapping[str, Any]
    remarks: Remarks = field(default_factory=Remarks)

    def file(self, tenant: str) -> Imported:
        credentials = {
            str(one.get("credential_name")): members(one.get("credential_values"))
            for one in map(members, items(self.source.get("credential_list")))
        }
        providers = Providers(self.remarks, credentials)
        groups = self._groups(providers)
        models = {name: self._model(name, groups) for name in groups if "*" not in name}
        models |= self._aliases(models)
        self._tell_settings()
        platform: Json = {"providers": providers.documents, "models": models}
        is_open = any("*" in name for name in groups)
        if is_open:
            self.remarks.note(
                "model_list",
                "Models behind a `*` are called as PROVIDER/MODEL, with the name of the provider.",
            )
        variables = sorted(
            {one["keys"][0]["secret"]["env"] for one in providers.documents.values() if "keys" in one}
        )
        if variables:
            names = ", ".join(variables)
            self.remarks.note(
                "", f"Open these variables to providers in config.yaml: secrets: {{env: [{names}]}}"
            )
        document = {
            "_format_version": "1",
            "platform": {name: value for name, value in platform.items() if value},
            "tenants": {tenant: self._tenant(tenant, groups, models, is_open=is_open)},
        }
        return Imported(document, self.remarks)

    def _groups(self, providers: Providers) -> dict[str, list[Deployment]]:
        """The deployments by their public names."""
        groups: dict[str, list[Deployment]] = {}
        for place, entry in enumerate(self.source["model_list"]):
            path = f"model_list[{place}]"
            if not isinstance(entry, Mapping) or "model_name" not in entry:
                self.remarks.leave_out(path, "It has no model_name.")
                continue
            self.remarks.leave_others_out(path, entry, ("model_name", "litellm_params", "model_info"))
            if (found := providers.read(path, entry)) is not None:
                groups.setdefault(str(entry["model_name"]), []).append(found)
        return groups

    def _model(self, name: str, groups: Mapping[str, Sequence[Deployment]]) -> Json:
        chain = [name, *self._fallbacks(name, groups)]
        targets: list[Json] = []
        first = 0
        for group in chain:
            orders = sorted({one.order for one in groups[group]})
            for one, weight in zip(groups[group], _weights(groups[group]), strict=True):
                targets.append(_target(one, weight, first + orders.index(one.order)))
            first += len(orders)
        model: Json = {"targets": targets, "shared": "all", **self._pool(len(chain))}
        return model

    def _fallbacks(self, name: str, groups: Mapping[str, Any]) -> list[str]:
        """The names that are tried after a model, in their order; those of the fallbacks themselves, too."""
        written: dict[str, list[str]] = {}
        default: list[str] = []
        for path in ("litellm_settings", "router_settings"):
            section = self._section(path)
            for one in items(section.get("fallbacks")):
                written |= {key: _names(value) for key, value in members(one).items()}
            default = _names(section.get("default_fallbacks")) or default
        if name not in written:
            written[name] = written.get("*", default)
        most = self._setting("max_fallbacks")
        left = _MAX_FALLBACKS if most is None else int(most)
        found: list[str] = []

        def follow(model: str) -> None:
            for other in written.get(model, ()):
                if other in found or other == name or len(found) >= left:
                    continue
                if other not in groups or "*" in other:
                    self.remarks.leave_out(f"fallbacks.{model}", f"There is no model {other} to try.")
                    continue
                found.append(other)
                follow(other)

        follow(name)
        return found

    def _pool(self, groups: int) -> Json:
        """How a model chooses and repeats, as far as the source says it."""
        pool: Json = {}
        strategy = self._section("router_settings").get("routing_strategy")
        if strategy is not None and str(strategy) not in _STRATEGIES:
            self.remarks.leave_out(
                "router_settings.routing_strategy", f"The gateway has no strategy {strategy}."
            )
        elif strategy is not None:
            pool["strategy"] = _STRATEGIES[str(strategy)]
        retries = self._setting("num_retries")
        if retries is not None:
            pool["retry"] = {"attempts": min((int(retries) + 1) * groups, _MAX_ATTEMPTS)}
        elif groups > 1:
            pool["retry"] = {"attempts": min(groups + 1, _MAX_ATTEMPTS)}
        fails, cooldown = self._setting("allowed_fails"), self._setting("cooldown_time")
        breaker: Json = {} if fails is None else {"consecutive": min(int(fails) + 1, 1000)}
        if cooldown is not None:
            seconds = float(min(max(cooldown, Decimal("0.1")), Decimal(HOUR_SECONDS)))
            breaker |= {"open": seconds, **({"longest": seconds} if seconds > _LONGEST else {})}
        return {**pool, "breaker": breaker} if breaker else pool

    def _aliases(self, models: Mapping[str, Json]) -> dict[str, Json]:
        """Other names of models; a hidden one is not in the list of models."""
        found = {}
        for name, written in members(self._section("router_settings").get("model_group_alias")).items():
            hidden = isinstance(written, Mapping) and bool(written.get("hidden"))
            model = str(written.get("model") if isinstance(written, Mapping) else written)
            if model not in models:
                path = f"router_settings.model_group_alias.{name}"
                self.remarks.leave_out(path, f"There is no model {model}.")
                continue
            found[str(name)] = {**models[model], **({"visible": False} if hidden else {})}
        return found

    def _tenant(
        self,
        name: str,
        groups: Mapping[str, Sequence[Deployment]],
        models: Mapping[str, Json],
        *,
        is_open: bool,
    ) -> Json:
        rule: Json = {"path": "/", "ai": {} if is_open else {"models": sorted(models)}}
        timeout = number(self._section("router_settings").get("timeout"))
        timeout = timeout or number(self._section("litellm_settings").get("request_timeout"))
        if timeout:
            rule["timeouts"] = {"total": float(timeout)}
        if limits := self._limits(groups):
            rule["plugin_chain"] = [{"name": "rate_limiter", "settings": {"limits": {"per_model": limits}}}]
        return {"name": name.capitalize(), "rules": {"ai": rule}, "api_keys": {"clients": {}}}

    def _limits(self, groups: Mapping[str, Sequence[Deployment]]) -> Json:
        """The calls and tokens per minute of each model whose deployments all have such a limit."""
        found: Json = {}
        for name, deployments in groups.items():
            quotas = [
                {"limit": sum(counts), **unit, "window": "1m"}
                for attribute, unit in (("rpm", {}), ("tpm", {"unit": "tokens"}))
                if None not in (counts := [getattr(one, attribute) for one in deployments])
            ]
            if "*" in name or not quotas:
                continue
            if len(found) == _MAX_PER_MODEL:
                self.remarks.leave_out(
                    "model_list", f"Limits of more than {_MAX_PER_MODEL} models; raise the tier."
                )
                break
            found[name] = quotas if quotas[1:] else quotas[0]
        if found:
            note = "Limits in rpm and tpm hold per tenant and model, not per deployment."
            self.remarks.note("model_list", note)
        return found

    def _setting(self, name: str) -> Decimal | None:
        """A number of the router, or else of the library."""
        for path in ("router_settings", "litellm_settings"):
            if (found := number(self._section(path).get(name))) is not None:
                return found
        return None

    def _section(self, name: str) -> Mapping[str, Any]:
        return members(self.source.get(name))

    def _tell_settings(self) -> None:
        """Say what of the other sections was not carried over."""
        self.remarks.leave_others_out("", self.source, _SECTIONS)
        for path, carried in (
            ("router_settings", _ROUTER),
            ("litellm_settings", _LITELLM),
            ("general_settings", ()),
        ):
            self.remarks.leave_others_out(path, self._section(path), carried)


def _names(written: Any) -> list[str]:
    return [str(one) for one in items(written)]


def _target(one: Deployment, weight: int, priority: int) -> Json:
    target: Json = {"provider": one.provider, "model": one.model}
    if weight != 1:
        target["weight"] = weight
    if priority:
        target["priority"] = priority
    if one.timeouts:
        target["timeouts"] = one.timeouts
    return target


def _weights(deployments: Sequence[Deployment]) -> Iterator[int]:
    """The shares of the deployments, of at most `_MAX_WEIGHT`. Without any, all have the same."""
    given = [one.weight or Decimal(0) for one in deployments]
    largest = max(given)
    for one in given:
        if not largest or len(given) == 1:
            yield 1
        elif largest <= _MAX_WEIGHT and all(each == each.to_integral() for each in given):
            yield max(1, int(one))
        else:
            yield max(1, int(one * _MAX_WEIGHT / largest))
