"""The affinity key of a request: calls of one conversation have the same, so that they meet its prompt cache.

The sources are tried in the order of the policy, and the first that the request has counts:

| source | value |
|---|---|
| ``header:<name>`` | that header |
| ``prompt_cache_key`` | that member of the body (OpenAI) |
| ``user_id`` | `metadata.user_id` of the body (Anthropic); Claude Code puts its session there |
| ``prefix`` | 1024 characters each of the tools, the system prompt and the first message of the user |

A key is a keyed hash with the tenant in it. So the keys of two tenants with the same prompt have nothing in
common, and no tenant can compute one.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.model.messages import Headers
from shared.secrets.keyed_hash import keyed_hash

HEADER = "header:"
PROMPT_CACHE_KEY, USER_ID, PREFIX = "prompt_cache_key", "user_id", "prefix"

# The most characters of each part of a prefix, and the most values that are looked at for them.
_PART_CHARACTERS, _PART_VALUES = 1024, 256
_SYSTEM_ROLES = ("system", "developer")


class AffinityKeys:
    """Makes the keys of one model or rule. `by` are the sources, `secret` is the deployment's."""

    __slots__ = ("_by", "_tenant")

    def __init__(self, by: Iterable[str], tenant: str, secret: bytes) -> None:
        self._by = tuple(by)
        self._tenant = keyed_hash(secret, tenant.encode() + b"\0", size=16)

    def key(self, headers: Headers, body: Any, model: str = "") -> bytes | None:
        """The key of a request; None when it has no source. `body` is its parsed JSON, or anything else.

        `model` is the one that was asked for: the same prefix for another model is another conversation.
        """
        document: Mapping[str, Any] = body if isinstance(body, dict) else {}
        for source in self._by:
            value = _value(source, headers, document)
            if value:
                name = f"{source}\0{model}" if source == PREFIX else source
                keyed = self._tenant.copy()
                keyed.update(f"{name}\0{value}".encode(errors="surrogatepass"))
                return keyed.digest()
        return None


def _value(source: str, headers: Headers, body: Mapping[str, Any]) -> str:
    if source == PROMPT_CACHE_KEY:
        return _text(body.get(PROMPT_CACHE_KEY))
    if source == USER_ID:
        metadata = body.get("metadata")
        return _text(metadata.get("user_id")) if isinstance(metadata, dict) else ""
    if source == PREFIX:
        return _prefix(body)
    return headers.get(source.removeprefix(HEADER)) or ""


def _prefix(body: Mapping[str, Any]) -> str:
    """The beginning of a conversation, as the APIs write it; empty without a message of the user."""
    messages = next((body[name] for name in ("messages", "input", "contents") if body.get(name)), None)
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list):
        return ""
    user = next((one for one in messages if _role(one) == "user"), None)
    if user is None:
        return ""
    system = [body.get(name) for name in ("system", "instructions", "systemInstruction")]
    system += [one for one in messages[:2] if _role(one) in _SYSTEM_ROLES]
    return "\0".join([_beginning(body.get("tools")), _beginning(system), _beginning(user)])


def _role(message: Any) -> Any:
    return message.get("role", "user") if isinstance(message, dict) else None


def _beginning(value: Any) -> str:
    """The first characters of all texts in a value, in their order."""
    found, left = [], _PART_CHARACTERS
    for count, text in enumerate(_texts(value)):
        found.append(text[:left])
        left -= len(text)
        if left <= 0 or count == _PART_VALUES:
            break
    return "\1".join(found)


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings in a value in their order. Others that are not containers yield an empty one."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict | list):
            pending += reversed(one.values() if isinstance(one, dict) else one)
        else:
            yield one if isinstance(one, str) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
