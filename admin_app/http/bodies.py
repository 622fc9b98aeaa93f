"""Request bodies and query strings, parsed and validated."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Request, g
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from admin_app.http.errors import ApiError
from shared.bodies.json.parse import JsonBounds, parse_json
from shared.core.errors import Invalid, Problem
from shared.core.fields import problems_of
from shared.core.sizes import JSON_PARTS
from shared.documents.plugin_config import RequiredPluginInput

#: A body must be smaller.
MAX_BODY_BYTES = 1024 * 1024
#: A file that a tenant's key plans must be smaller, too: read into memory, it takes about ten times its size.
MAX_TENANT_FILE = 4 * MAX_BODY_BYTES


#: Stands for a malformed entry of a chain, so that the others keep their places.
_MALFORMED_ENTRY = {"name": "?", "settings": {}, "enabled": False}
_CHAINS = ("plugin_chain", "required_plugins")
#: The members of an entry that are judged though others are malformed.
_JUDGED = ("name", "settings")
_OTHERS = frozenset(RequiredPluginInput().fields).difference(_JUDGED)


class Malformed(Invalid):
    """A body with malformed fields, and its `rest`: the fields that can be judged further."""

    def __init__(self, problems: Sequence[Problem], rest: dict[str, Any]) -> None:
        super().__init__(problems)
        self.rest = rest

    def with_problems(self, found: Iterable[Problem]) -> Invalid:
        """The error with the problems `found` in the rest. Those of malformed fields say nothing new."""
        known = tuple(f"{_part(problem.pointer)}/" for problem in self.problems)
        return Invalid([*self.problems, *(one for one in found if not f"{one.pointer}/".startswith(known))])

    def judged(self, judge: Callable[[dict[str, Any]], None]) -> Invalid:
        """The error with the problems that `judge` raises for the rest.

        Raises 404 if `judge` does: there is nothing that the body could change.
        """
        try:
            judge(self.rest)
        except Invalid as error:
            return self.with_problems(error.problems)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise
            return self.with_problems(error.problems)
        return self


def _part(pointer: str) -> str:
    """The field, or the part of an entry of a chain, that `pointer` leads into."""
    steps = pointer.split("/")
    if not (steps[1:2] and steps[1] in _CHAINS):
        return "/".join(steps[:2])
    return "/".join(steps[: 4 if steps[3:4] and steps[3] not in _JUDGED else 3])


class BodyParser(FlaskParser):
    """webargs' parser with the gateway's JSON parser and errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body as plain values. Raises `ApiError` when it is not JSON."""
        body = req.get_data()
        most = req.max_content_length or MAX_BODY_BYTES
        # werkzeug truncates a chunked body here without an error
        if len(body) >= most:
            raise RequestEntityTooLarge
        try:
            # A file may have as many parts as so many small bodies.
            g.body = parse_json(body, JsonBounds(parts=JSON_PARTS * math.ceil(most / MAX_BODY_BYTES)))
        except ValueError as error:
            raise ApiError("invalid_json", str(error)) from None
        return g.body

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any) -> NoReturn:
        """Raise marshmallow's errors as one `Invalid`."""
        # webargs nests the messages below the location ("json", "query").
        messages = error.messages
        location, inner = next(iter(messages.items())) if isinstance(messages, Mapping) else ("", messages)
        body = g.body if location == "json" else {}
        raise malformed(inner, error.valid_data, body) from None


def malformed(messages: Any, loaded: Any, body: Any) -> Malformed:
    """The error of a `body` with marshmallow's `messages`, of which `loaded` is valid."""
    return Malformed(problems_of(messages), _well_formed(messages, loaded, body))


def _well_formed(messages: Any, loaded: Any, body: Any) -> dict[str, Any]:
    """The fields of a body without an error in `messages`, and the entries of chains without one."""
    if not isinstance(messages, Mapping) or not isinstance(loaded, Mapping):
        return {}
    rest = {name: value for name, value in loaded.items() if name not in messages and value is not None}
    for name in _CHAINS:
        wrong = messages.get(name)
        if isinstance(wrong, Mapping):
            entries = dict(_well_formed_entries(body[name], wrong))
            rest[name] = entries if name == "required_plugins" else list(entries.values())
    return rest


def _well_formed_entries(sent: Any, wrong: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The entries with their names in a map or their places in a list."""
    for key, entry in sent.items() if isinstance(sent, Mapping) else enumerate(sent):
        if key not in wrong:
            yield str(key), {"name": key, **RequiredPluginInput().load(entry)}
        elif not isinstance(wrong[key], Mapping) or not _OTHERS.issuperset(wrong[key]):
            yield str(key), _MALFORMED_ENTRY
        else:
            judged = {name: entry[name] for name in _JUDGED if name in entry}
            yield str(key), {"name": key, **RequiredPluginInput().load({**judged, "enabled": False})}


def check_content_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the request declares plain JSON.

    A web page of another origin may send other types without a CORS preflight, but JSON only with one.
    """
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if request.mimetype != "application/json" or charset != "utf-8" or encoding != "identity":
        raise UnsupportedMediaType
