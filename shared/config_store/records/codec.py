"""Frozen dataclasses as JSON and back, by their own field types; nothing is declared twice.

Settings of plugins are any JSON, with secrets as `Sealed`. A secret is written ``{"sealed": "<text>"}``. A
setting that looks like a secret is written ``{"plain": {…}}``, so every value is read as it was written.
The standard library's JSON also keeps exact numbers and lone surrogates.

Members that were added later may be missing where they have a default.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from shared.model.sealed import Sealed

_Decoder = Callable[[Any], Any]
# A document of the platform has thousands of these, and the root of a tenant a name per rule.
_PLAIN = frozenset({str, int, float, bool, NoneType})
_WRAPPED = ({"sealed"}, {"plain"})


def encode(value: object) -> str:
    """A dataclass of the model as JSON."""
    return json.dumps(_encode(value), separators=(",", ":"))


def encode_around(value: object, field: str, members: Iterable[str]) -> str:
    """A dataclass as JSON, whose `field` has members that are JSON already.

    Many members are not one long call, so that other threads run meanwhile.
    """
    kind: Any = type(value)
    texts = {name: encode(getattr(value, name)) for name in _names(kind) or () if name != field}
    texts[field] = f"[{','.join(members)}]"
    return "{" + ",".join([f'"{name}":{text}' for name, text in texts.items()]) + "}"


def decode[T](kind: type[T], text: str | bytes) -> T:
    """The dataclass in JSON. Raises ValueError on JSON that `encode` does not write for `kind`."""
    hint: Any = kind
    try:
        decoded: T = _decoder(hint)(json.loads(text))
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None
    return decoded


@cache
def _names(kind: Any) -> Sequence[str] | None:
    """The fields of a dataclass; None for another type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


def _encode(value: Any) -> Any:
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Sealed):
        return {"sealed": value.text}
    if (names := _names(kind)) is not None:
        return _encode_members({name: getattr(value, name) for name in names})
    if isinstance(value, Mapping):
        members = _encode_members(value)
        return {"plain": members} if len(value) == 1 and set(value) in _WRAPPED else members
    if isinstance(value, list | tuple):
        return [member if type(member) in _PLAIN else _encode(member) for member in value]
    return value


def _encode_members(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: member if type(member) in _PLAIN else _encode(member) for name, member in members.items()}


def _decode_any(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode_any(member) for member in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"sealed"}:
        return Sealed(_exactly(str)(value["sealed"]))
    return {name: _decode_any(member) for name, member in _members(value).items()}


def _members(value: Any) -> dict[str, Any]:
    """The members of a mapping, which `_encode` may have wrapped in "plain"."""
    members: dict[str, Any] = _exactly(dict)(value)
    return _exactly(dict)(members["plain"]) if set(members) == {"plain"} else members


@cache
def _decoder(hint: Any) -> _Decoder:
    """The function that converts JSON to the type `hint`."""
    arguments = get_args(hint)
    if hint is Any:
        return _decode_any
    if hint is Sealed:
        return _decode_sealed
    if get_origin(hint) is tuple:
        return _tuple_of(_decoder(arguments[0]))
    if get_origin(hint) is Mapping:
        if arguments[1] is str:
            return _decode_texts
        return _decode_settings if arguments[1] is Any else _mapping_of(_decoder(arguments[1]))
    if get_origin(hint) is UnionType:
        return _or_none(_decoder(next(kind for kind in arguments if kind is not NoneType)))
    if is_dataclass(hint):
        return _record_of(hint)
    return hint if issubclass(hint, StrEnum) else _exactly(hint)


def _decode_texts(value: Any) -> Any:
    """A mapping of texts, such as the names of thousands of parts: no function is called per member."""
    members = _members(value)
    for kind in {*map(type, members.values())} - {str}:
        raise ValueError(f"Must be str, not {kind.__name__}.")
    return members


def _decode_settings(value: Any) -> Any:
    return _exactly(dict)(_decode_any(value))


def _decode_sealed(value: Any) -> Sealed:
    sealed = _decode_any(value)
    if not isinstance(sealed, Sealed):
        raise ValueError(f"A secret is stored as {type(value).__name__}, not sealed.")
    return sealed


@cache
def _exactly(kind: type) -> _Decoder:
    allowed = (int, float) if kind is float else (kind,)

    def check(value: Any) -> Any:
        if type(value) not in allowed:
            raise ValueError(f"Must be {kind.__name__}, not {type(value).__name__}.")
        return value

    return check


def _tuple_of(member: _Decoder) -> _Decoder:
    is_list = _exactly(list)
    return lambda value: tuple([member(each) for each in is_list(value)])


def _mapping_of(member: _Decoder) -> _Decoder:
    return lambda value: {name: member(each) for name, each in _members(value).items()}


def _or_none(member: _Decoder) -> _Decoder:
    return lambda value: None if value is None else member(value)


def _record_of(kind: Any) -> _Decoder:
    hints = get_type_hints(kind)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind)}
    required = {one.name for one in fields(kind) if one.default is one.default_factory is MISSING}

    is_dict = _exactly(dict)

    def build(value: Any) -> Any:
        members = is_dict(value)
        if members.keys() != decoders.keys():
            if unknown := members.keys() - decoders.keys():
                raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}.")
            if missing := required - members.keys():
                raise ValueError(f"{kind.__name__} lacks {', '.join(sorted(missing))}.")
        return kind(**{name: decoders[name](member) for name, member in members.items()})

    return build
