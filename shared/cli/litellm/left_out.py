"""Remarks on an import: settings that were not carried over, and notes. Each has its place in the source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

#: Why a setting is not carried over, by its name in LiteLLM.
REASONS: Final[Mapping[str, str]] = {
    "cache": "The gateway does not keep responses.",
    "cache_params": "The gateway does not keep responses.",
    "callbacks": "Use the log, the metrics or the traces of the gateway.",
    "success_callback": "Use the log, the metrics or the traces of the gateway.",
    "failure_callback": "Use the log, the metrics or the traces of the gateway.",
    "service_callbacks": "Use the log, the metrics or the traces of the gateway.",
    "alerting": "Use the alerts in deploy/prometheus.",
    "guardrails": "Use the plugins of the gateway: docs/reference/plugins.md.",
    "drop_params": "The gateway forwards each parameter that a client sends.",
    "context_window_fallbacks": "Another target is tried after failures, not by the length of a request.",
    "content_policy_fallbacks": "Another target is tried after failures, not by the text of a response.",
    "master_key": "It is the platform's key: set GATEWAY_ADMIN_TOKEN to a new one.",
    "database_url": "The gateway keeps its state in Redis.",
    "redis_host": "Set redis.host in config.yaml.",
    "redis_port": "Set redis.port in config.yaml.",
    "redis_password": "Set redis.password in config.yaml.",
    "max_budget": "Make a budget with the scope of the model: docs/how-to/budgets.md.",
    "budget_duration": "Make a budget with the scope of the model: docs/how-to/budgets.md.",
    "max_parallel_requests": "Use the limit `concurrent` of the rate_limiter.",
    "litellm_key_header_name": "Clients send keys in Authorization, x-api-key, api-key or X-Gateway-Key.",
    "environment_variables": "Set them in the environment of the gateway.",
}
#: Why a secret, and why a parameter of a call, is not carried over.
UNUSED: Final = (
    "It is a secret of a kind that the gateway does not use. Give the provider a key, in a variable."
)
PARAMETER: Final = "The gateway adds no parameters to requests; let the client send it."


class Place(NamedTuple):
    """A place in the source, such as ``model_list[0].litellm_params.tpm``, and a sentence about it."""

    path: str
    detail: str


@dataclass
class Remarks:
    """The remarks on an import: `left_out` was not carried over, and `notes` say what to do besides."""

    left_out: list[Place] = field(default_factory=list)
    notes: list[Place] = field(default_factory=list)

    def leave_out(self, path: str, detail: str = "") -> None:
        """Say that a setting was not carried over, and why."""
        usual = REASONS.get(path.rpartition(".")[2], "The gateway has no such setting.")
        if (one := Place(path, detail or usual)) not in self.left_out:
            self.left_out.append(one)

    def leave_others_out(
        self, path: str, section: Mapping[str, Any], carried: Iterable[str], detail: str = ""
    ) -> None:
        """Say that of a section only some members were carried over. Empty ones are not named."""
        for name in section:
            if name not in carried and section[name] not in (None, False, [], {}):
                at = f"{path}.{name}" if path else name
                self.leave_out(at, "" if name in REASONS else detail)

    def note(self, path: str, detail: str) -> None:
        """Say what to do besides."""
        if (one := Place(path, detail)) not in self.notes:
            self.notes.append(one)
