"""Which targets of a pool cannot serve a request: what it needs, and what a target is known to lack.

An unknown capability passes: a target is left out only for a capability that is declared as false, and for a
context that is known.

The tokens of a request are an estimate, which may be up to 1.8 times the truth. So the targets with the
largest context of a pool are left out only above twice that: below it, their provider is to judge.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_RESPONSES
from shared.upstreams.choose import Fits
from shared.upstreams.target import NEEDS, Target
from shared.usage.estimate import estimate_request

# The other APIs have no such parts, or judge each of their inputs by itself.
_APIS: Final = frozenset({OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_COMPLETIONS, ANTHROPIC_MESSAGES})
_PARTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("image_url", "input_image", "image"), "vision"),
    "input_audio": "audio",
}
_FILES: Final = frozenset({"file", "input_file", "document"})
_PDF: Final = "application/pdf"
_LISTS: Final = ("messages", "input")
# The parts of a message, of the result of a tool, and of the output of a function.
_INNER: Final = ("content", "output")
_DOUBT: Final = 2


class Fit:
    """Judges requests for one pool. One without a target that is known to lack anything has none.

    >>> from shared.upstreams.target import Caps
    >>> fit = Fit.of([Target(id="a", caps=Caps.of({"tools": False})), Target(id="b")])
    >>> fits = fit.judge("openai.chat", {"tools": [{"type": "function"}]}, 40)
    >>> fits(Target(id="a", caps=Caps.of({"tools": False})))
    'has no tools'
    """

    __slots__ = ("_lacks", "_least", "_most")

    def __init__(self, lacks: frozenset[str], least: float, most: Mapping[str, int]) -> None:
        """`lacks`: what any target lacks. `most`: the most tokens by target. `least`: the least of them."""
        self._lacks = lacks
        self._least = least
        self._most = most

    @classmethod
    def of(cls, targets: Iterable[Target]) -> Self | None:
        """Judge requests for these targets; None: all of them fit every request."""
        targets = list(targets)
        lacks = frozenset[str]().union(*[target.caps.lacks for target in targets])
        contexts = [target.caps.context for target in targets]
        known = [context for context in contexts if context is not None]
        largest = max(known) if known and len(known) == len(contexts) else None
        most = {
            target.id: context * _DOUBT if context == largest else context
            for target, context in zip(targets, contexts, strict=True)
            if context is not None
        }
        if not lacks and not most:
            return None
        return cls(lacks, min(most.values(), default=float("inf")), most)

    def judge(self, api: str, document: Any, size: int) -> Fits | None:
        """The function that says what a target lacks for a request of so many bytes; None: all fit.

        Tokens are estimated only for one with more bytes than the least context has tokens.
        """
        if api not in _APIS or not isinstance(document, dict):
            return None
        needs = needs_of(document) & self._lacks if self._lacks else frozenset()
        tokens = estimate_request(document) if size > self._least else 0
        if not needs and tokens <= self._least:
            return None

        def reason(target: Target) -> str:
            for need in NEEDS:
                if need in needs and need in target.caps.lacks:
                    return f"has no {need}"
            if tokens > self._most.get(target.id, tokens):
                return f"has a context of {target.caps.context:,} tokens, less than about {tokens:,}"
            return ""

        return reason


def needs_of(document: Mapping[str, Any]) -> set[str]:
    """The capabilities that the JSON of a request needs of a model: of `shared.upstreams.target.NEEDS`.

    >>> sorted(needs_of({"messages": [{"content": [{"type": "image_url"}]}], "tools": [{}]}))
    ['tools', 'vision']
    """
    found = {"tools"} if document.get("tools") or document.get("functions") else set[str]()
    lists = [value for name in _LISTS if isinstance(value := document.get(name), list)]
    nodes = [node for value in lists for node in value if isinstance(node, dict)]
    while nodes:
        node = nodes.pop()
        kind = node.get("type")
        if isinstance(kind, str) and kind in _PARTS:
            found.add(_PARTS[kind])
        elif isinstance(kind, str) and kind in _FILES and _is_pdf(node):
            found.add("pdf")
        for name in _INNER:
            if isinstance(value := node.get(name), list):
                nodes += [part for part in value if isinstance(part, dict)]
    return found


def _is_pdf(part: Mapping[str, Any]) -> bool:
    """Whether a part with a file has a PDF. The documents of Anthropic behind a URL always are."""
    file = part.get("file") or part.get("source") or part
    if not isinstance(file, dict):
        return False
    if file.get("media_type") == _PDF or file.get("type") == "url":
        return True
    names = [file.get(name) for name in ("filename", "file_url")]
    data = file.get("file_data")
    return any(isinstance(name, str) and name.lower().endswith(".pdf") for name in names) or (
        isinstance(data, str) and data.startswith(f"data:{_PDF}")
    )
