"""The members of responses and events that report usage, and those with generated text, by API.

A member is written as its path, such as ``input_tokens_details.cached_tokens``. ``a|b`` is the first of two
that the response has, in whichever event, and ``details[modality=AUDIO].count`` is in the object of a list
with that member.

Anthropic: https://docs.anthropic.com/en/api/messages. Gemini:
https://ai.google.dev/api/generate-content#UsageMetadata. Ollama: https://docs.ollama.com/api.
OpenAI: https://platform.openai.com/docs/api-reference.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shared.providers.calls import (
    ANTHROPIC_MESSAGES,
    OPENAI_AUDIO,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGES,
    OPENAI_RESPONSES,
)

#: APIs whose usage is read, and which have no paths of their own.
GEMINI: Final = "gemini"
OLLAMA: Final = "ollama"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFields:
    """The members of one API.

    Attributes:
        holders: the objects that report usage, from the top of a response or an event; empty: the top.
        sums: by unit of `shared.usage.row.Usage`, the members whose numbers together are that unit. In a
            stream, a later number of a member takes the place of an earlier one.
        marks: texts of which one is in each event that reports usage.
        tiers: the members with the name of the service tier, from the top.
        pictures: texts of which one is there once for each picture of a whole response; the other may be too.
        events: the same for the events of a stream.
        texts: the names of members with the next piece of generated text.
        text_marks: the same as they are in JSON.
        finishes: the members that say why the response ended, from the top; of a list, its first item.
        finish_text: finds the same in an event of a stream that reports no usage; None: there is none.
        finish_marks: texts of which one is in each event in which it finds something.
    """

    holders: Sequence[str]
    sums: Mapping[str, Sequence[str]]
    marks: Sequence[bytes] = (b'"usage"',)
    tiers: Sequence[str] = (
        "service_tier",
        "response.service_tier",
        "usage.service_tier",
        "message.usage.service_tier",
    )
    pictures: Sequence[bytes] = ()
    events: Sequence[bytes] = ()
    texts: Sequence[str] = ()
    finishes: Sequence[str] = ()
    finish_text: re.Pattern[bytes] | None = None
    finish_marks: Sequence[bytes] = ()
    text_marks: Sequence[bytes] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text_marks", tuple(f'"{name}":'.encode() for name in self.texts))


_CHAT: Final = UsageFields(
    # Groq reports the usage of a stream in a member of its own.
    holders=("usage", "x_groq.usage"),
    sums={
        "input": ("prompt_tokens",),
        "output": ("completion_tokens",),
        # Some have their own name for the cached part: DeepSeek, and Anthropic behind this API.
        "input_cached": ("prompt_tokens_details.cached_tokens|prompt_cache_hit_tokens|cached_tokens",),
        "cache_write_5m": ("prompt_tokens_details.cache_write_tokens",),
        "reasoning": ("completion_tokens_details.reasoning_tokens",),
        "audio_in": ("prompt_tokens_details.audio_tokens",),
        "audio_out": ("completion_tokens_details.audio_tokens",),
    },
    texts=("content", "reasoning_content", "reasoning", "refusal", "arguments", "text"),
    finishes=("choices.finish_reason",),
    finish_text=re.compile(rb'"finish_reason": ?"(\w{1,32})"'),
    finish_marks=(b'"finish_reason":"', b'"finish_reason": "'),
)
# xAI reports reasoning beside the output, not as a part of it.
_XAI: Final = replace(
    _CHAT,
    sums={
        **_CHAT.sums,
        "output": ("completion_tokens", "completion_tokens_details.reasoning_tokens"),
    },
)
# Perplexity does, too, and reports searches and the tokens of the pages that it found.
_PERPLEXITY: Final = replace(
    _CHAT,
    sums={
        **_CHAT.sums,
        "output": ("completion_tokens", "reasoning_tokens", "citation_tokens"),
        "reasoning": ("reasoning_tokens",),
        "searches": ("num_search_queries",),
    },
)
_TOKENS: Final = {"input": ("input_tokens",), "output": ("output_tokens",)}

#: The members by API.
USAGE_FIELDS: Final[Mapping[str, UsageFields]] = {
    OPENAI_CHAT: _CHAT,
    OPENAI_COMPLETIONS: _CHAT,
    OPENAI_EMBEDDINGS: UsageFields(
        # The second is Cohere's.
        holders=("usage", "meta.billed_units"),
        sums={"input": ("prompt_tokens|input_tokens",)},
        marks=(b'"usage"', b'"billed_units"'),
    ),
    OPENAI_RESPONSES: UsageFields(
        holders=("usage", "response.usage"),
        sums={
            **_TOKENS,
            # The second name, and the searches, are Perplexity's.
            "input_cached": (
                "input_tokens_details.cached_tokens|input_tokens_details.cache_read_input_tokens",
            ),
            "searches": ("tool_calls_details.search_web.invocation",),
            "cache_write_5m": ("input_tokens_details.cache_write_tokens",),
            "reasoning": ("output_tokens_details.reasoning_tokens",),
        },
        # The other events of a stream repeat the text as a whole.
        texts=("delta",),
        finishes=("status", "response.status"),
    ),
    OPENAI_IMAGES: UsageFields(
        holders=("usage",),
        sums=_TOKENS,
        pictures=(b'"b64_json":', b'"url":'),
        events=(b'"image_generation.completed"', b'"image_edit.completed"'),
    ),
    OPENAI_AUDIO: UsageFields(
        # The verbose form has the duration at the top.
        holders=("usage", ""),
        sums={
            **_TOKENS,
            "audio_in": ("input_token_details.audio_tokens",),
            "seconds": ("seconds|duration",),
        },
        marks=(b'"usage"', b'"duration"'),
        texts=("delta",),
    ),
    ANTHROPIC_MESSAGES: UsageFields(
        holders=("usage", "message.usage"),
        sums={
            "input": ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
            "output": ("output_tokens",),
            "input_cached": ("cache_read_input_tokens",),
            "cache_write_5m": ("cache_creation.ephemeral_5m_input_tokens|cache_creation_input_tokens",),
            "cache_write_1h": ("cache_creation.ephemeral_1h_input_tokens",),
            "reasoning": ("output_tokens_details.thinking_tokens",),
            "searches": ("server_tool_use.web_search_requests",),
        },
        texts=("text", "thinking", "partial_json"),
        finishes=("stop_reason", "delta.stop_reason"),
    ),
    GEMINI: UsageFields(
        holders=("usageMetadata",),
        sums={
            "input": ("promptTokenCount", "toolUsePromptTokenCount"),
            "output": ("candidatesTokenCount", "thoughtsTokenCount"),
            "input_cached": ("cachedContentTokenCount",),
            "reasoning": ("thoughtsTokenCount",),
            "audio_in": (
                "promptTokensDetails[modality=AUDIO].tokenCount",
                "toolUsePromptTokensDetails[modality=AUDIO].tokenCount",
            ),
            "audio_out": ("candidatesTokensDetails[modality=AUDIO].tokenCount",),
        },
        marks=(b'"usageMetadata"',),
        texts=("text",),
        finishes=("candidates.finishReason",),
    ),
    OLLAMA: UsageFields(
        holders=("",),
        sums={"input": ("prompt_eval_count",), "output": ("eval_count",)},
        marks=(b'eval_count"',),
        texts=("content", "response", "thinking"),
        finishes=("done_reason",),
    ),
}

# The members of providers that report usage in another way than the API that they took over.
_OF_KINDS: Final[Mapping[tuple[str, str], UsageFields]] = {
    ("xai", OPENAI_CHAT): _XAI,
    ("perplexity", OPENAI_CHAT): _PERPLEXITY,
}


def usage_fields(api: str, kind: str = "") -> UsageFields:
    """The members of an API as that kind of provider reports them. Raises KeyError on an unknown API."""
    return _OF_KINDS.get((kind, api)) or USAGE_FIELDS[api]
