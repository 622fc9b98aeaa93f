"""The APIs by their paths, as the SDKs call them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

OPENAI_CHAT: Final = "openai.chat"
OPENAI_COMPLETIONS: Final = "openai.completions"
OPENAI_EMBEDDINGS: Final = "openai.embeddings"
OPENAI_RESPONSES: Final = "openai.responses"
OPENAI_IMAGES: Final = "openai.images"
OPENAI_AUDIO: Final = "openai.audio"
ANTHROPIC_MESSAGES: Final = "anthropic.messages"
ANTHROPIC_COUNT_TOKENS: Final = "anthropic.count_tokens"
#: The list of models, and a key's own usage: the gateway responds itself.
MODELS: Final = "models"
USAGE: Final = "usage"
#: The path of the API of sound whose response is not JSON.
SPEECH: Final = "/audio/speech"
#: The APIs whose clients read errors in Anthropic's shape.
ANTHROPIC: Final = frozenset({ANTHROPIC_MESSAGES, ANTHROPIC_COUNT_TOKENS})
#: The APIs that the gateway itself responds to.
OWN: Final = frozenset({MODELS, USAGE})

#: The APIs of providers, in the order of the documents, each with its paths below ``/v1``.
PATHS: Final[Mapping[str, Sequence[str]]] = {
    OPENAI_CHAT: ("/chat/completions",),
    OPENAI_RESPONSES: (
        "/responses",
        "/responses/{id}",
        "/responses/{id}/cancel",
        "/responses/{id}/input_items",
    ),
    OPENAI_EMBEDDINGS: ("/embeddings",),
    OPENAI_COMPLETIONS: ("/completions",),
    OPENAI_IMAGES: ("/images/generations", "/images/edits", "/images/variations"),
    OPENAI_AUDIO: (SPEECH, "/audio/transcriptions", "/audio/translations"),
    ANTHROPIC_MESSAGES: ("/messages",),
    ANTHROPIC_COUNT_TOKENS: ("/messages/count_tokens",),
    MODELS: ("/models", "/models/{id}"),
    USAGE: ("/usage",),
}

# The id of a model may contain slashes: OpenRouter's do.
_IDS: Final = {MODELS: "(?P<id>.+)"}


def _pattern(api: str, path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\{id\}", _IDS.get(api, "(?P<id>[^/]+)")))


_FIXED: Final = {path: api for api, paths in PATHS.items() for path in paths if "{" not in path}
_NAMED: Final = [(_pattern(api, path), api) for api, paths in PATHS.items() for path in paths if "{" in path]


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A call of an API.

    Attributes:
        api: its name, such as ``openai.chat``.
        path: its path below ``/v1``, such as ``/chat/completions``.
        id: the id in the path; None when it has none.
    """

    api: str
    path: str
    id: str | None = None


def match_call(path: str) -> ApiCall | None:
    """The call with that path, which is the part after the path of the rule. None: no API has it.

    >>> match_call("/v1/chat/completions")
    ApiCall(api='openai.chat', path='/chat/completions', id=None)
    >>> match_call("/models/meta/llama-4").id
    'meta/llama-4'
    """
    below = path[3:] if path.startswith("/v1/") else path
    if (api := _FIXED.get(below)) is not None:
        return ApiCall(api, below)
    for pattern, api in _NAMED:
        if (found := pattern.fullmatch(below)) is not None:
            return ApiCall(api, below, found["id"])
    return None
