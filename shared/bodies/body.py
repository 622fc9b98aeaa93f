"""A body as a plugin judges it: decoded, and read in the one way in which it can be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from shared.bodies.json.parse import BOUNDS, JsonBounds, looks_like_json, parse_body
from shared.bodies.text.messages import texts_of
from shared.bodies.text.plain_text import form_text, lenient_text
from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import coding_of, decode
from shared.http.media_type import MediaType
from shared.model.messages import Headers, Request
from shared.providers.text_fields import is_messages, model_in

#: What `OpenedBody.document` gives for a body that is something else than JSON.
NO_JSON: Final = object()


@dataclass(frozen=True, slots=True)
class OpenedBody:
    """A body without its content coding. `coding` is what `encode` takes to put it on again."""

    media_type: MediaType
    coding: str
    content: bytes

    @classmethod
    def open(cls, headers: Headers, body: bytes) -> "OpenedBody":
        """Raises `BodyRejected` when type or coding are ambiguous, or when it is too long decoded."""
        coding = coding_of(headers.all("content-encoding"))
        return cls(MediaType.of(headers), coding, decode(body, coding))

    def document(self, *, demanded: bool, bounds: JsonBounds = BOUNDS) -> Any:
        """The JSON document, or `NO_JSON`.

        Raises `BodyRejected` (``invalid_json``) on a body that is not strict JSON, although JSON is
        `demanded`, or its type says so, or a lenient parser would take it for JSON; an empty one is
        wrong only when JSON is demanded.
        """
        self.media_type.must_be_utf8()
        if not self.content and not demanded:
            return NO_JSON
        try:
            return parse_body(self.content, bounds)
        except ValueError as error:
            if demanded or self.media_type.is_json or looks_like_json(self.content, bounds):
                raise BodyRejected("invalid_json", str(error)) from None
        return NO_JSON

    @property
    def is_utf8(self) -> bool:
        try:
            self.content.decode()
        except UnicodeDecodeError:
            return False
        return True

    def texts(self, document: Any) -> Iterator[str]:
        """The text of messages; of anything else the whole body, and all strings in it.

        A stream of events has its texts from one event to the next; see `shared.bodies.text.stream_rules`.
        """
        if is_messages(document):
            yield from texts_of(document)
            return
        yield lenient_text(self.content)
        if document is not NO_JSON:
            yield from texts_of(document)
        elif self.media_type.is_form:
            yield form_text(self.content)


def model_of(request: Request, bounds: JsonBounds = BOUNDS) -> str:
    """The model that the JSON body of a request names; empty when it names none.

    Raises `BodyRejected` on a body that the upstream could read as another one: with a duplicate key, in an
    unknown coding, or too long when it is decoded.
    """
    if not request.body:
        return ""
    return model_in(OpenedBody.open(request.headers, request.body).document(demanded=False, bounds=bounds))
