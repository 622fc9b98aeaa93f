"""A body as plugins judge it: decoded, and with one meaning only."""

import codecs
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from shared.bodies.json.parse import (
    BOUNDS,
    JsonBounds,
    looks_like_json,
    parse_body,
)
from shared.bodies.json.top_names import ANY_NAMES, TopNames
from shared.bodies.multipart import is_media
from shared.bodies.slices import slices
from shared.bodies.text.messages import texts_of, texts_of_messages
from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import coding_of, decode
from shared.http.media_type import MediaType
from shared.model.messages import Headers, Request
from shared.providers.apis.encoded import unquoted
from shared.providers.apis.text_fields import is_messages, model_in

#: The result of `DecodedBody.document` for a body that is not JSON.
NO_JSON: Final = object()
# Where a value of a form may begin that is a JSON array or object.
_JSON_VALUE = re.compile(rb"=(?:[+\s]|%20|%0[9aAdD])*(?:[{\[]|%7[bB]|%5[bB])")
_PLAIN_JSON: Final = ("application/json",)
_MODEL: Final = TopNames(["model"])


class DecodedBody(NamedTuple):
    """A body without its content coding. `encode` takes `coding` to encode it again."""

    media_type: MediaType
    coding: str
    content: bytes

    @classmethod
    def of(cls, headers: Headers, body: bytes, media_type: MediaType | None = None) -> "DecodedBody":
        """Decode a body, of that type if it was read before.

        Raises `BodyRejected` on an ambiguous type or coding, and when it is too long.
        """
        media_type = media_type or MediaType.of(headers)
        if "content-encoding" not in headers.by_name():
            return cls(media_type, "identity", body)
        coding = coding_of(headers.all("content-encoding"))
        return cls(media_type, coding, decode(body, coding))

    @property
    def is_media(self) -> bool:
        """True for a picture, sound, a film, a document or an archive: it has no text to be searched."""
        return is_media(self.media_type, self.content)

    def document(self, *, demanded: bool, bounds: JsonBounds = BOUNDS, names: TopNames = ANY_NAMES) -> Any:
        """Return the JSON document, or `NO_JSON`.

        Raises `BodyRejected` (``invalid_json``) on a body that is not strict JSON, if JSON is `demanded`, if
        its type is JSON, or if a lenient parser would read it as JSON. Also on a member at the top whose
        name `names` does not allow. An empty body is `NO_JSON` unless JSON is demanded.
        """
        self.media_type.must_be_utf8()
        if not self.content and not demanded:
            return NO_JSON
        try:
            return parse_body(self.content, bounds, names)
        except ValueError as error:
            if demanded or self.media_type.is_json or looks_like_json(self.content, bounds):
                raise BodyRejected("invalid_json", str(error)) from None
        return NO_JSON

    def texts(self, document: Any) -> list[str]:
        """Return the texts of messages; for other bodies the whole body, then all strings in it.

        The texts of a stream go on over its events; see `shared.bodies.text.stream_rules`. Those of the parts
        of a form with files are read part by part; see `shared.bodies.text.whole_body`.
        """
        if is_messages(document):
            return texts_of_messages(document)
        whole = lenient_text(self.content)
        if document is not NO_JSON:
            return [whole, *texts_of(document)]
        return [whole, *form_texts(self.content)] if self.media_type.is_form else [whole]


def model_of(request: Request, bounds: JsonBounds = BOUNDS) -> str:
    """Return the model that the JSON body of a request names; empty when it names none.

    Raises `BodyRejected` as `document_with_model`.
    """
    return model_in(document_with_model(request, bounds))


def has_plain_json(headers: Headers) -> bool:
    """True for a body in JSON and UTF-8 without a content coding, by the usual headers alone."""
    by_name = headers.by_name()
    return by_name.get("content-type") == _PLAIN_JSON and "content-encoding" not in by_name


def document_with_model(request: Request, bounds: JsonBounds = BOUNDS) -> Any:
    """Return the JSON of a request, in which every reader finds the same model; `NO_JSON` for another body.

    Raises `BodyRejected` on a body that the upstream could read differently: with a duplicate key, in an
    unknown coding, or too long when decoded.
    """
    if has_plain_json(request.headers):
        return plain_document_with_model(request.body, bounds)
    if not request.body:
        return NO_JSON
    opened = DecodedBody.of(request.headers, request.body)
    return opened.document(demanded=False, bounds=bounds, names=_MODEL)


def plain_document_with_model(body: bytes | None, bounds: JsonBounds = BOUNDS) -> Any:
    """Return the same for the body of a request that `has_plain_json`."""
    if not body:
        return NO_JSON
    try:
        return parse_body(body, bounds, _MODEL)
    except ValueError as error:
        raise BodyRejected("invalid_json", str(error)) from None


def lenient_text(body: bytes) -> str:
    """Return the body as text. Bytes that are not UTF-8 become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join([*map(decoder.decode, slices(body)), decoder.decode(b"", final=True)])


def form_text(body: bytes) -> str:
    """Return the text of an HTML form (WHATWG URL, 5.1), with plus signs and percent codes decoded."""
    return lenient_text(unquoted(body.replace(b"+", b" ")))


def form_texts(body: bytes) -> Iterator[str]:
    """Yield the text of an HTML form, then the strings of the values that are JSON."""
    yield form_text(body)
    for count, value in enumerate(_json_values(body)):
        if count == BOUNDS.parts:
            raise BodyRejected("body_too_large", f"The form has more than {BOUNDS.parts} values in JSON.")
        opened = DecodedBody(MediaType(""), "identity", form_text(value).encode())
        document = opened.document(demanded=False)
        yield from texts_of(document) if document is not NO_JSON else ()


def _json_values(body: bytes) -> Iterator[bytes]:
    """Yield the values of a form that may be JSON. Each byte is looked at a few times only."""
    before, begin = 0, 0
    for found in _JSON_VALUE.finditer(body):
        start = found.start()
        begin = max(begin, body.rfind(b"&", before, start) + 1)
        if body.find(b"=", max(begin, before), start + 1) == start and (begin >= before or not before):
            end = body.find(b"&", start)
            yield body[start + 1 : end if end >= 0 else len(body)]
        before = start
