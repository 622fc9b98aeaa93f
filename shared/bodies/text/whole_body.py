"""The text of a whole body, judged in each way in which its receiver may read it.

A receiver may read events, a list of events, the parts of a form, a document, or plain text.
"""

from collections.abc import Iterator
from typing import Any

from shared.bodies.body import NO_JSON, DecodedBody
from shared.bodies.event_splitter import EventSplitter, event_splitter, events_of, has_lines
from shared.bodies.json.parse import JsonBounds, dump_json
from shared.bodies.multipart import is_media, parse_parts
from shared.bodies.text.event_text import EventText
from shared.bodies.text.messages import Text
from shared.bodies.text.rules import TextRules
from shared.bodies.text.stream_rules import TextJudge
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import JSON_LINES
from shared.model.event import Event
from shared.providers.apis.sniff import SNIFFED, charsets_of
from shared.providers.apis.text_fields import must_be_readable

#: The most parts of a form with files.
MAX_PARTS = 1000


def judge_events(rules: TextRules, body: DecodedBody, splitter: EventSplitter, bounds: JsonBounds) -> bytes:
    """Judge the events of a body. Return its content with the masks."""
    body.media_type.must_be_utf8()
    judge = TextJudge(rules, bounds=bounds)
    sent = [*_fed(judge, body, splitter, bounds), *judge.end()]
    return b"".join([event.raw for event in sent])


def _fed(judge: TextJudge, body: DecodedBody, splitter: EventSplitter, bounds: JsonBounds) -> Iterator[Event]:
    for event in events_of(body.content, splitter, most=bounds.parts):
        yield from judge.feed(event)


def lines_splitter(body: DecodedBody) -> EventSplitter | None:
    """A splitter for a body of several JSON documents, one per line, whatever its type says; else None."""
    return event_splitter(JSON_LINES, len(body.content)) if has_lines(body.content) else None


def judge_request(rules: TextRules, body: DecodedBody, document: Any, bounds: JsonBounds) -> bytes:
    """Judge a request that is no stream. `document` is the result of `body.document`; it is changed."""
    must_be_readable(document)
    return _judged(rules, body, document, bounds)


def judge_response(rules: TextRules, body: DecodedBody, document: Any, bounds: JsonBounds) -> bytes:
    """Judge a response that is no stream. `document` is the result of `body.document`; it is changed."""
    if isinstance(document, list) and _judge_list(rules, document, bounds):
        body = body._replace(content=dump_json(document))
    return _judged(rules, body, document, bounds)


def _judge_list(rules: TextRules, items: list[Any], bounds: JsonBounds) -> bool:
    """Judge a list of responses, as Gemini streams them: a text goes on from one to the next.

    Return whether something in it is masked.
    """
    if len(items) < 2 or not all([isinstance(item, dict) for item in items]):
        return False
    judge, event = TextJudge(rules, bounds=bounds), Event(b"", "")
    sent = [one for item in items for one in judge.feed(event, EventText(event, document=item))]
    return any([one is not event for one in (*sent, *judge.end())])


def _judged(rules: TextRules, body: DecodedBody, document: Any, bounds: JsonBounds) -> bytes:
    if body.media_type.is_multipart:
        return _judge_form(rules, body, bounds)
    # Strict JSON of printable ASCII is nothing else: no media, and no text in another charset.
    is_plain = document is not NO_JSON and body.content.isascii() and b"\x7f" not in body.content
    if not is_plain:
        _must_be_utf_8(body)
        if body.is_media:
            rules.must_have(set())
            return body.content
    masked = rules.judge_body(body, document)
    return body.content if masked is None else masked


def _judge_form(rules: TextRules, body: DecodedBody, bounds: JsonBounds) -> bytes:
    """Judge each part of a form with files."""
    found, written, at = set[int](), list[bytes](), 0
    for part in parse_parts(body.media_type, body.content, most=MAX_PARTS):
        for name in part.names:
            found |= rules.judge_text(Text.fixed(name))
        if is_media(part.media_type, part.content):
            continue
        content, more = _judge_part(rules, DecodedBody(part.media_type, "identity", part.content), bounds)
        found |= more
        written += (body.content[at : part.start], content)
        at = part.start + len(part.content)
    rules.must_have(found)
    return b"".join((*written, body.content[at:]))


def _judge_part(rules: TextRules, part: DecodedBody, bounds: JsonBounds) -> tuple[bytes, set[int]]:
    """Return the content of a part with the masks, and the indexes of the required patterns in it."""
    part.media_type.must_be_readable()
    _must_be_utf_8(part)
    if splitter := lines_splitter(part):
        judge = TextJudge(rules, bounds=bounds)
        sent = [*_fed(judge, part, splitter, bounds), *judge.finish()]
        return b"".join([event.raw for event in sent]), judge.found
    document = part.document(demanded=False, bounds=bounds)
    must_be_readable(document)
    content, found = (None, set[int]()) if part.is_media else rules.read_body(part, document)
    return part.content if content is None else content, found


def _must_be_utf_8(body: DecodedBody) -> None:
    """Raise `BodyRejected` on text in UTF-16 or UTF-32, whatever its type says."""
    # Without the NULs of spaces and digits, bytes of the type of sound may be sound.
    is_sure = b"\0" in body.content[:SNIFFED] or not body.media_type.is_media
    if body.is_media or not is_sure:
        return
    if any([not charset.startswith("utf-8") for charset in charsets_of(body.content)]):
        raise BodyRejected("unsupported_content_type", "The charset of the body must be UTF-8.")
