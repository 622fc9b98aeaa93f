"""The capabilities of models: their names and values, and the name by which a model is looked up."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

type _Check = tuple[Callable[[Any], bool], str]

#: How a model thinks before it responds.
THINKING: Final = ("none", "budget", "adaptive", "always")

_FLAG: Final[_Check] = (lambda value: isinstance(value, bool), "true or false")
_TEXT: Final[_Check] = (lambda value: isinstance(value, str), "text")
_COUNT: Final[_Check] = (lambda value: type(value) is int and value > 0, "a whole number above 0")
_TEXTS: Final[_Check] = (
    lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "a list of texts",
)
_AUTO: Final[_Check] = (
    lambda value: isinstance(value, bool) or value == "auto",
    'true, false or "auto"',
)
_THINKING: Final[_Check] = (lambda value: value in THINKING, f"one of {', '.join(THINKING)}")

#: The capabilities, each with its test and its allowed values.
CAPS: Final[Mapping[str, _Check]] = {
    "stream_usage": _AUTO,
    "sampling": _FLAG,
    "thinking": _THINKING,
    "efforts": _TEXTS,
    "structured": _FLAG,
    "prefill": _FLAG,
    "mid_system": _FLAG,
    "array_content": _FLAG,
    "reasoning_content": _FLAG,
    "vision": _FLAG,
    "pdf": _FLAG,
    "audio": _FLAG,
    "tools": _FLAG,
    "context": _COUNT,
    "max_output": _COUNT,
    "max_tokens_field": _TEXT,
}

# The parts of a name before the model's own, such as "us.anthropic.", and those after it.
_MAKERS: Final = re.compile(r"(?:[a-z]+\.)+(?=[a-z])")
_VERSION: Final = re.compile(r"(?:[-@]\d{8}|-\d{4}-\d\d-\d\d)?(?:-latest)?(?:-v\d+)?\Z")


def error_in_cap(name: str, value: Any) -> str | None:
    """The problem of a capability, as a sentence; None if there is none."""
    if name not in CAPS:
        return f"Unknown capability. Allowed: {', '.join(CAPS)}."
    is_right, words = CAPS[name]
    return None if is_right(value) else f"Must be {words}."


def base_name(model: str) -> str:
    """The name of a model without its maker, date and version, and with hyphens for dots.

    >>> base_name("us.anthropic.claude-haiku-4-5-20251001-v1:0"), base_name("openai/gpt-4.1-2025-04-14")
    ('claude-haiku-4-5', 'gpt-4-1')
    """
    name = model.lower().rpartition("/")[2].partition(":")[0]
    return _VERSION.sub("", _MAKERS.sub("", name, count=1), count=1).replace(".", "-")
