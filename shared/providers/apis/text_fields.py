"""Which members of the known bodies are text, by where the APIs define them (`shared.providers.apis.api`).

In these bodies every member is text except labels and media. A member that the API does not define is text,
so a client cannot hide text in one. The place counts, not the name alone: a tool may have an argument called
"user". A place is the name of the member that holds an object, so it is the same at every depth.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from shared.core.memo import Memo
from shared.http.body_rejected import BodyRejected
from shared.providers.apis.api import Api, steps_of
from shared.providers.apis.encoded import ROLES, is_encoded, is_label, texts_inside
from shared.providers.apis.openai import OPENAI
from shared.providers.apis.others import OTHERS

#: All APIs that guards know.
APIS: Final[tuple[Api, ...]] = (*OPENAI, *OTHERS)

#: The place of a member: the name of the member that holds its object, or the kind of the whole document.
#: None is a place that the APIs do not define.
Holder = str | None

REQUEST: Final = "a request"
RESPONSE: Final = "response"
EVENT: Final = "an event"
_ROOTS: Final = {"request": REQUEST, "response": RESPONSE, "event": EVENT}

#: Names of members: the input of a tool, the text of a part.
TOOL_INPUT, TEXT = "input", "text"
# Schemas, and the input of tools and templates: free at every place.
_FREE_ANYWHERE = frozenset(
    {"parameters", "input_schema", "output_schema", "schema", "properties", "$defs", "definitions"}
    | {"parametersJsonSchema", "responseSchema", "responseJsonSchema", "variables", "arguments"}
)
#: Names at the top of requests that say what an API does. A server that ignores case takes others for these.
SENT_NAMES: Final = frozenset(
    {"model", "messages", "input", "prompt", "system", "instructions", "contents", "systemInstruction"}
    | {"tools", "stream", "n", "max_tokens", "max_completion_tokens", "max_output_tokens", "metadata"}
)
# Each object of the APIs may have these.
_EVERYWHERE = ("type", "id")


class _Rule(NamedTuple):
    """When a member is no text: while `looks` accepts its value, in an object of one of `types`."""

    looks: Any
    types: frozenset[str] | None
    is_media: bool


def _is_role(value: str) -> bool:
    return value in ROLES


# The events of a stream repeat their labels: the id, the model. Messages repeat their roles.
_LABELS, _ROLES = Memo(is_label), Memo(_is_role)
_is_label = _LABELS.__getitem__

_Table = Mapping[str, Mapping[Holder, tuple[_Rule, ...]]]


def _compiled() -> tuple[_Table, frozenset[str], frozenset[tuple[Holder, str]]]:
    """Return the rules by name and place, all places, and the free members by place and name."""
    table: dict[str, dict[Holder, tuple[_Rule, ...]]] = {}
    places, free = set[str](), set[tuple[Holder, str]]()
    for api in APIS:
        for looks, is_media, paths in (
            (_is_role, False, api.roles),
            (_is_label, False, api.labels),
            (is_encoded, True, api.media),
            (is_encoded, False, api.opaque),
        ):
            for place, name, types in _members(paths, places):
                rule = _Rule(looks, types, is_media)
                at = table.setdefault(name, {})
                if rule not in at.get(place, ()):  # several APIs have the same member
                    at[place] = (*at.get(place, ()), rule)
        free |= {(place, name) for place, name, _ in _members(api.free, places)}
        deque(_members(api.texts, places), maxlen=0)  # only for their places
    label = (_Rule(_is_label, None, False),)
    for name in _EVERYWHERE:
        table[name] = {**dict.fromkeys((*places, EVENT), label), **table.get(name, {})}
    return table, frozenset(places), frozenset(free)


def _members(paths: tuple[str, ...], places: set[str]) -> Iterator[tuple[Holder, str, frozenset[str] | None]]:
    """Yield place, name and types of the members at `paths`. Add the places on the way."""
    for path in paths:
        for root, *steps in steps_of(path):
            places |= {step.name for step in steps[:-1]}
            *_, holder, member = (root, *steps)
            yield _ROOTS[holder.name] if holder is root else holder.name, member.name, holder.types


def members_of(paths: Iterable[str]) -> Iterator[tuple[Holder, str, bool]]:
    """Yield place and name of the members at `paths`, and whether the place is a list."""
    for path in paths:
        for steps in steps_of(path):
            holder = steps[-2]
            place = _ROOTS[holder.name] if len(steps) == 2 else holder.name
            yield place, steps[-1].name, holder.is_list


_RULES, _PLACES, _FREE = _compiled()

#: The lists of the alternatives in a response. Their items are no parts of one text.
ALTERNATIVES: Final = frozenset(
    place for api in APIS for place, _, is_list in members_of(api.numbers) if is_list
)
#: Members that hold JSON in a string: the arguments of a call to a tool.
JSON_MEMBERS: Final = frozenset(name for api in APIS for _, name, _ in members_of(api.json))
# The places and names of members that repeat a text in tokens. Those of other places are texts.
_TOKENS: Final = frozenset((place, name) for api in APIS for place, name, _ in members_of(api.tokens))
_REPEATED: Final = frozenset(name for _, name in _TOKENS)
# Members at the top of a request that may hold token ids or vectors instead of text.
_UNREADABLE: Final = frozenset(name for api in APIS for _, name, _ in members_of(api.ids))


def _is_message(document: Mapping[str, Any]) -> bool:
    """True for a response of the messages API. An empty list is no sign of one without its ``type``."""
    content = document["content"]
    if isinstance(content, dict):
        return isinstance(content.get("parts"), list)
    if not isinstance(content, list):
        return False
    return all([isinstance(part, dict) and isinstance(part.get("type"), str) for part in content]) and (
        bool(content) or document.get("type") == "message"
    )


def _has_done(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("done"), bool)


_TRANSCRIPT = frozenset(
    {"text", "task", "language", "duration", "segments", "words", "usage", "logprobs", "languages"}
)


_DATA = frozenset({"embedding", "b64_json", "url"})


def _is_transcript(document: Mapping[str, Any]) -> bool:
    return isinstance(document["text"], str) and len(document) > 1 and _TRANSCRIPT.issuperset(document)


def _is_data(document: Mapping[str, Any]) -> bool:
    """True for embeddings and pictures."""
    data = document["data"]
    return isinstance(data, list) and all(
        [isinstance(item, dict) and not _DATA.isdisjoint(item) for item in data]
    )


# A document with one of these members, of one of these types, is a known body.
_SIGN_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("messages", "choices", "candidates", "contents", "requests"), (list,)),
    **dict.fromkeys(("embeddings", "prompt_token_ids", "input_ids"), (list,)),
    **dict.fromkeys(("input", "prompt"), (str, list)),
    **dict.fromkeys(("generateContentRequest", "promptFeedback", "usageMetadata"), (dict,)),
    "embedding": (dict, list),
    "totalTokens": (int,),
}
# And one with one of these, if the function agrees.
_SIGNS: Mapping[str, Any] = {
    "output": lambda document: (
        isinstance(document["output"], list)
        or (isinstance(document["output"], dict) and isinstance(document["output"].get("message"), dict))
    ),
    "input_tokens": lambda document: {"input_tokens", "context_management", "object"}.issuperset(document),
    "results": lambda document: (
        isinstance(document["results"], list)
        and all([isinstance(item, dict) and "flagged" in item for item in document["results"]])
    ),
    "content": _is_message,
    "response": _has_done,
    "message": _has_done,
    "text": _is_transcript,
    "data": _is_data,
}


def is_messages(document: Any) -> bool:
    """True for a body of one of the known APIs, and for a list of such bodies; it is parsed JSON."""
    if type(document) is list:
        return bool(document) and all([type(item) is dict and is_messages(item) for item in document])
    if type(document) is not dict:
        return False
    for name in document:
        if name in _SIGN_TYPES:
            if isinstance(document[name], _SIGN_TYPES[name]):
                return True
        elif name in _SIGNS and _SIGNS[name](document):
            return True
    return False


_SENT = frozenset({"messages", "input", "prompt", "contents", "requests", "generateContentRequest"})


def holder_of(document: Any) -> Holder:
    first = document[0] if type(document) is list else document
    return RESPONSE if _SENT.isdisjoint(first) else REQUEST


def model_in(document: Any) -> str:
    """The name of the model in a request; empty when it names none."""
    name = document.get("model") if isinstance(document, dict) else None
    return name if isinstance(name, str) else ""


def is_given(holder: Holder, name: str, value: Any) -> bool:
    """True when the API does not define the content of that member: all strings below it are text."""
    if type(value) is not dict and type(value) is not list:
        return False
    if name == TOOL_INPUT:
        return type(value) is dict
    return name in _FREE_ANYWHERE or (holder, name) in _FREE


#: The names of members for which `is_given` may hold, and of those that are the place of the members below.
GIVEN_NAMES: Final = frozenset({TOOL_INPUT, *_FREE_ANYWHERE, *(name for _, name in _FREE)})
PLACES: Final = _PLACES
#: The names of members that may be media.
MEDIA_NAMES: Final = frozenset(
    name for name, at in _RULES.items() if any(rule.is_media for rules in at.values() for rule in rules)
)


#: By place and name: members that are text unless the value is a label or a role, and whether it is.
LABELS: Final[Mapping[tuple[Holder, str], Memo[str, bool]]] = {
    (holder, name): labels
    for name, at in _RULES.items()
    if name not in MEDIA_NAMES | _REPEATED
    for holder, rules in at.items()
    for looks, labels in ((_is_label, _LABELS), (_is_role, _ROLES))
    if rules == (_Rule(looks, None, False),)
}
#: The names of members that are text in some places or with some values only; all others are text.
SPECIAL_NAMES: Final = MEDIA_NAMES | _REPEATED | _RULES.keys()


def is_text_member(holder: Holder, node: dict[str, Any], name: str) -> bool:
    """True when the member `name` of `node` may hold text."""
    value = node[name]
    if name in _REPEATED and type(value) is not str:
        return (holder, name) not in _TOKENS
    if name not in _RULES or holder not in _RULES[name]:
        return True
    if type(value) is str:
        for rule in _RULES[name][holder]:
            if (rule.types is None or _type_of(node) in rule.types) and rule.looks(value):
                return False
        return True
    return not (isinstance(value, list) and _are_media(_rules_at(holder, node, name), value))


def _type_of(node: Mapping[str, Any]) -> str:
    """The type of an object; empty when it is no text, which a client may send."""
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


def _rules_at(holder: Holder, node: dict[str, Any], name: str) -> list[_Rule]:
    rules = _RULES[name].get(holder, ()) if name in _RULES else ()
    return [rule for rule in rules if rule.types is None or _type_of(node) in rule.types]


def _are_media(rules: list[_Rule], values: list[Any]) -> bool:
    if not any([rule.is_media for rule in rules]):
        return False
    return all([isinstance(value, str) and is_encoded(value) for value in values])


def hidden_texts(holder: Holder, node: dict[str, Any], name: str) -> Iterator[str]:
    """Yield the texts that a member of `MEDIA_NAMES` encodes, such as a text file in base64.

    Raises `BodyRejected` (``unsupported_content_type``) on encoded text that could be read in other ways.
    """
    if any([rule.is_media for rule in _rules_at(holder, node, name)]):
        yield from texts_inside(node, name)


def repeats_text(name: str, value: Any) -> bool:
    """True for a member that repeats a text in tokens, so it would show a masked text."""
    return name in _REPEATED and (name != "context" or _has_token_ids(value))


def must_be_readable(document: Any) -> None:
    """Raise `BodyRejected` (``unsupported_content_type``) on a request whose text is written in token ids."""
    if not isinstance(document, dict) or _UNREADABLE.isdisjoint(document) or not is_messages(document):
        return
    for name in document:
        value = document[name] if name in _UNREADABLE else None
        if (value and _has_token_ids(value)) or (name == "prompt_embeds" and value is not None):
            raise BodyRejected(
                "unsupported_content_type",
                f"The member {name} holds token ids or vectors, which cannot be checked. Send text.",
            )


def _has_token_ids(value: Any) -> bool:
    items = value if isinstance(value, list) else []
    return any([type(item) is int or _has_token_ids(item) for item in items])
