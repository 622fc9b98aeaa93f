"""A deployment of LiteLLM as a provider of the gateway, and a model of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import count
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from shared.cli.litellm.left_out import PARAMETER, UNUSED, Remarks

type Json = dict[str, Any]

_ENVIRON: Final = "os.environ/"
_AZURE: Final = re.compile(r"https://([a-z0-9-]+)\.openai\.azure\.com/?")
_OPENAI_HOST: Final = "https://api.openai.com"
# No number of a configuration is so large.
_TOO_LARGE: Final = 10**9
_COMPATIBLE: Final = ["openai.chat", "openai.completions", "openai.embeddings"]


class Kind(NamedTuple):
    """A kind of provider, and the variable with its key; None: it needs none, or LiteLLM has no usual one."""

    name: str
    variable: str | None


#: By the prefix of a model in LiteLLM.
KINDS: Final[Mapping[str, Kind]] = {
    "openai": Kind("openai", "OPENAI_API_KEY"),
    "text-completion-openai": Kind("openai", "OPENAI_API_KEY"),
    "azure": Kind("azure", "AZURE_API_KEY"),
    "azure_ai": Kind("custom", "AZURE_AI_API_KEY"),
    "anthropic": Kind("anthropic", "ANTHROPIC_API_KEY"),
    "bedrock": Kind("bedrock", "AWS_BEARER_TOKEN_BEDROCK"),
    "gemini": Kind("gemini", "GEMINI_API_KEY"),
    "mistral": Kind("mistral", "MISTRAL_API_KEY"),
    "groq": Kind("groq", "GROQ_API_KEY"),
    "deepseek": Kind("deepseek", "DEEPSEEK_API_KEY"),
    "xai": Kind("xai", "XAI_API_KEY"),
    "openrouter": Kind("openrouter", "OPENROUTER_API_KEY"),
    "together_ai": Kind("together", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Kind("fireworks", "FIREWORKS_AI_API_KEY"),
    "cerebras": Kind("cerebras", "CEREBRAS_API_KEY"),
    "perplexity": Kind("perplexity", "PERPLEXITYAI_API_KEY"),
    "cohere": Kind("cohere", "COHERE_API_KEY"),
    "cohere_chat": Kind("cohere", "COHERE_API_KEY"),
    "ollama": Kind("ollama", None),
    "ollama_chat": Kind("ollama", None),
    "vllm": Kind("vllm", None),
    "hosted_vllm": Kind("vllm", None),
    "lm_studio": Kind("lmstudio", None),
    "xinference": Kind("custom", None),
    "huggingface": Kind("custom", "HF_TOKEN"),
    "openai_like": Kind("custom", None),
    "custom_openai": Kind("custom", None),
}
# The beginnings of names that LiteLLM knows without a prefix.
_BARE: Final = (
    (re.compile(r"(gpt-|chatgpt|o[1-9]|text-embedding-|dall-e|whisper|tts-|ft:gpt)"), "openai"),
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gemini"), "gemini"),
    (re.compile(r"(command|embed-)"), "cohere"),
    (re.compile(r"(mistral|codestral|open-mi)"), "mistral"),
)
_CARRIED: Final = (
    *("model", "api_key", "api_base", "base_url", "api_version", "organization", "extra_headers"),
    *(
        "aws_region_name",
        "rpm",
        "tpm",
        "weight",
        "order",
        "timeout",
        "stream_timeout",
        "litellm_credential_name",
    ),
    *("input_cost_per_token", "output_cost_per_token", "custom_llm_provider"),
)
_PRICES: Final = {"input_cost_per_token": "input", "output_cost_per_token": "output"}
# Names of headers, and of parameters, whose values are secrets.
_SECRET_HEADER: Final = re.compile(r"auth|key|token|secret|passw|cookie|credential", re.IGNORECASE)
_SECRET: Final = re.compile(r"secret|passw|credential|_key(_id)?$|_token$", re.IGNORECASE)
# LiteLLM's own settings of a deployment; all others are parameters of calls.
_SETTINGS: Final = ("max_budget", "budget_duration", "max_parallel_requests")


@dataclass
class Deployment:
    """One deployment.

    Attributes:
        provider: the name of its provider.
        model: the name that the provider knows; ``*`` stands for all of its models.
        weight: its share; None if LiteLLM was told none.
        order: the lowest is tried first.
        rpm, tpm: calls and tokens per minute; None without a limit.
        timeouts: in seconds, by their names in the gateway.
    """

    provider: str
    model: str
    weight: Decimal | None = None
    order: int = 0
    rpm: int | None = None
    tpm: int | None = None
    timeouts: Json = field(default_factory=dict)


@dataclass
class Providers:
    """The providers of an import. Deployments with one address and one key share one."""

    remarks: Remarks
    credentials: Mapping[str, Mapping[str, Any]]
    documents: dict[str, Json] = field(default_factory=dict)
    # The variables that stand for secret values of headers.
    variables: dict[str, str] = field(default_factory=dict)

    def read(self, path: str, entry: Mapping[str, Any]) -> Deployment | None:
        """The deployment of an entry of ``model_list``; None when the gateway cannot call its provider."""
        params = self._params(f"{path}.litellm_params", members(entry.get("litellm_params")))
        at = f"{path}.litellm_params"
        prefix, model = _split(params)
        if prefix not in KINDS:
            self.remarks.leave_out(
                f"{at}.model", f"The gateway has no kind of provider for {params.get('model')}."
            )
            return None
        provider = self._provider(at, prefix, params)
        if provider is None:
            return None
        name = self._named(provider)
        self._describe(name, model, {**params, **members(entry.get("model_info"))})
        self._tell_others(path, entry, params)
        return Deployment(
            provider=name,
            model=model,
            weight=number(params.get("weight", params.get("rpm"))),
            order=int(number(params.get("order")) or 0),
            rpm=None if (rpm := number(params.get("rpm"))) is None else int(rpm),
            tpm=None if (tpm := number(params.get("tpm"))) is None else int(tpm),
            timeouts=_timeouts(params),
        )

    def _params(self, at: str, written: Mapping[str, Any]) -> Json:
        """The parameters, with those of the credential that they name."""
        name = written.get("litellm_credential_name")
        if name is not None and name not in self.credentials:
            self.remarks.leave_out(f"{at}.litellm_credential_name", f"There is no credential {name}.")
        return {**self.credentials.get(str(name), {}), **written}

    def _provider(self, at: str, prefix: str, params: Mapping[str, Any]) -> Json | None:
        kind = KINDS[prefix]
        document: Json = {"kind": kind.name, "shared": "all"}
        base = self._base(at, params)
        if kind.name == "azure":
            document["params"] = self._azure(document, base, params)
        elif kind.name == "bedrock":
            region = _value(params.get("aws_region_name"))
            if region is None:
                region = "${AWS_REGION_NAME}"
                self.remarks.note(at, "Set AWS_REGION_NAME to the region when you apply the file.")
            document["params"] = {"region": region}
        elif base is not None:
            self._at_address(document, base)
        elif kind.name in ("custom", "vllm", "lmstudio"):
            self.remarks.leave_out(f"{at}.api_base", "The address of the provider is missing.")
            return None
        if document["kind"] == "openai" and (organization := params.get("organization")):
            if isinstance(organization, list):
                self.remarks.leave_out(
                    f"{at}.organization", "Only the first one was taken; add a provider for each other."
                )
                organization = organization[0]
            document["params"] = {"organization": _value(organization)}
        if headers := members(params.get("extra_headers")):
            document["headers"] = {
                name: self._header(f"{at}.extra_headers.{name}", str(name), value)
                for name, value in headers.items()
            }
        if key := self._key(at, kind, document, params):
            document["keys"] = [key]
        return document

    def _base(self, at: str, params: Mapping[str, Any]) -> str | None:
        """The address, without a password and a query, which no address of a provider has."""
        base: str | None = _value(params.get("api_base") or params.get("base_url"))
        try:
            parts = urlsplit(base or "")
        except ValueError:  # to apply it is rejected
            return base
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        if base is None or bare == parts:
            return base
        detail = "The parts before @ and after ? were not copied. Set headers or `query` of the provider."
        self.remarks.leave_out(f"{at}.api_base", detail)
        return bare.geturl()

    def _header(self, at: str, name: str, written: Any) -> Any:
        """The value of a header. A secret that stands in the source becomes a variable."""
        if not _SECRET_HEADER.search(name) or str(written).startswith(_ENVIRON):
            return _value(written)
        usual = "HEADER_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        names = (usual if number == 1 else f"{usual}_{number}" for number in count(1))
        variable = next(one for one in names if self.variables.setdefault(one, str(written)) == str(written))
        detail = f"The value is not copied. Set the variable {variable} when you apply the file."
        self.remarks.note(at, detail)
        return f"${{{variable}}}"

    def _azure(self, document: Json, base: str | None, params: Mapping[str, Any]) -> Json:
        own = {"api_version": _value(version)} if (version := params.get("api_version")) else {}
        if base is not None and (match := _AZURE.match(base)):
            return {"resource": match[1], **own}
        document["base_url"] = (base or "${AZURE_API_BASE}").rstrip("/")
        return {"resource": "custom", **own}

    def _at_address(self, document: Json, base: str) -> None:
        """Set the address. Behind another address than its own, OpenAI stands for a compatible server."""
        document["base_url"] = base.rstrip("/")
        if document["kind"] == "openai" and not base.startswith(_OPENAI_HOST):
            document["kind"] = "custom"
        if document["kind"] == "custom":
            document["apis"] = _COMPATIBLE
        if document["kind"] == "ollama" and not document["base_url"].endswith("/v1"):
            document["base_url"] += "/v1"

    def _key(self, at: str, kind: Kind, document: Json, params: Mapping[str, Any]) -> Json | None:
        """The key. One that stands in the source is not copied: it becomes a variable."""
        written = params.get("api_key")
        variable = kind.variable if document["kind"] != "custom" or kind.name == "custom" else None
        if isinstance(written, str) and written.startswith(_ENVIRON):
            variable = written.removeprefix(_ENVIRON)
        elif written not in (None, "", "none", "None", "fake", "fake-key", "not-needed"):
            others = [one for one in self.documents.values() if one["kind"] == document["kind"]]
            variable = f"{document['kind'].upper()}_API_KEY{f'_{len(others) + 1}' if others else ''}"
            self.remarks.note(f"{at}.api_key", f"The key is not copied. Set the variable {variable} to it.")
        if variable is None:
            return None
        return {"name": variable.lower(), "secret": {"env": variable}}

    def _named(self, document: Json) -> str:
        """The name of a provider; one with the same document is that one."""
        kind, number = document["kind"], 1
        name = kind
        while name in self.documents:
            if _without_models(self.documents[name]) == document:
                return str(name)
            number += 1
            name = f"{kind}-{number}"
        self.documents[name] = document
        return str(name)

    def _describe(self, name: str, model: str, known: Mapping[str, Any]) -> None:
        """Note the model and its prices at its provider. With a pattern, its list of models is looked up."""
        document = self.documents[name]
        if "*" in model:
            document["discover"] = "10m"
            return
        if any(one["id"] == model for one in document.get("models", ())):
            return
        described: Json = {"id": model}
        prices = {
            unit: _per_million(known[cost]) for cost, unit in _PRICES.items() if number(known.get(cost))
        }
        if prices:
            described["prices"] = prices
        document.setdefault("models", []).append(described)

    def _tell_others(self, path: str, entry: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        at = f"{path}.litellm_params"
        for name in params:
            if name not in _CARRIED and params[name] is not None:
                why = UNUSED if _SECRET.search(name) else PARAMETER
                self.remarks.leave_out(f"{at}.{name}", "" if name in _SETTINGS else why)
        info = members(entry.get("model_info"))
        carried = (*_PRICES, "id", "mode", "base_model", "version")
        self.remarks.leave_others_out(f"{path}.model_info", info, carried)


def _split(params: Mapping[str, Any]) -> tuple[str, str]:
    """The prefix and the name of a model. A name without a known prefix is judged by its beginning."""
    model = str(params.get("model", ""))
    own = params.get("custom_llm_provider")
    prefix, slash, name = model.partition("/")
    if own is not None:
        return str(own), name if slash and prefix == own else model
    if slash and prefix in KINDS:
        # "bedrock/converse/…" and the like name the way of the call, too.
        return prefix, name.removeprefix("converse/") if prefix == "bedrock" else name
    return next((kind for pattern, kind in _BARE if pattern.match(model) and not slash), prefix), model


def _value(written: Any) -> Any:
    """A value; a reference to a variable in our spelling."""
    if isinstance(written, str) and written.startswith(_ENVIRON):
        return f"${{{written.removeprefix(_ENVIRON)}}}"
    return None if written is None else str(written).replace("${", "$${")


def number(written: Any) -> Decimal | None:
    """A number of zero or more; None for anything else."""
    try:
        found = None if written is None or isinstance(written, bool) else Decimal(str(written))
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() and 0 <= found < _TOO_LARGE else None


def members(written: Any) -> Mapping[str, Any]:
    """The members of a map; of anything else, none."""
    return {str(name): value for name, value in written.items()} if isinstance(written, Mapping) else {}


def items(written: Any) -> Sequence[Any]:
    """The items of a list; of anything else, none."""
    return written if isinstance(written, list) else ()


def _per_million(cost: Any) -> str:
    return format((number(cost) or Decimal()) * 1_000_000, "f").rstrip("0").rstrip(".") or "0"


def _timeouts(params: Mapping[str, Any]) -> Json:
    names = {"timeout": "total", "stream_timeout": "first_byte"}
    return {ours: float(found) for name, ours in names.items() if (found := number(params.get(name)))}


def _without_models(document: Json) -> Json:
    return {name: value for name, value in document.items() if name not in ("models", "discover")}
