"""Blocked and required patterns, and the judgment of a whole body."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.bodies.body import NO_JSON, DecodedBody, form_texts, lenient_text
from shared.bodies.json.parse import dump_json
from shared.bodies.text.messages import Text, drop_tokens, text_places
from shared.bodies.text.patterns import Match, Patterns
from shared.http.body_rejected import BodyRejected
from shared.providers.apis.text_fields import is_messages

#: The most masked matches, together with escapes, of one text. A text with more is rejected.
MAX_MASKED = 20_000


def blocked_text() -> BodyRejected:
    return BodyRejected("content_rejected", "The body contains text that is not allowed.")


def missing_text() -> BodyRejected:
    return BodyRejected("content_rejected", "The body lacks text that is required.")


@dataclass(frozen=True, slots=True)
class TextRules:
    """No pattern of `blocked` may match, and each pattern of `required` must match somewhere.

    With `masks`, a match of `blocked` is masked if its text can be changed. Otherwise a violation raises
    `BodyRejected` (``content_rejected``).
    """

    blocked: Patterns
    required: Patterns
    masks: bool = False

    def judge_body(self, body: DecodedBody, document: Any) -> bytes | None:
        """Judge a body that is neither a stream nor media. Return its masked content; None if it stays.

        `document` is the result of `body.document`. It is changed.
        """
        content, found = self.read_body(body, document)
        if self.required.size:
            self.must_have(found)
        return content

    def read_body(self, body: DecodedBody, document: Any) -> tuple[bytes | None, set[int]]:
        """Judge a body that is no media. It may be a part of another.

        Return its masked content, or None, and the indexes of the required patterns in it.
        """
        if not self.masks:
            texts = body.texts(document)
            if self.blocked.found(texts):
                raise blocked_text()
            return None, self.required.found(texts) if self.required.size else set()
        return self._mask_text(body) if document is NO_JSON else self._mask_json(body, document)

    def must_have(self, found: set[int]) -> None:
        """Raise `BodyRejected` unless `found` are the indexes of all required patterns."""
        if self.required.size and len(found) < len(self.required):
            raise missing_text()

    def judge_text(self, text: Text) -> set[int]:
        """Judge one whole text and mark its masks. Return the indexes of the required patterns in it."""
        read = text.read()
        if self.masks:
            self._mark(text, read)
        elif self.blocked.found((read,)):
            raise blocked_text()
        return self.required.found((read,)) if self.required else set()

    def _mark(self, text: Text, read: str) -> None:
        maskable = None
        for count, match in enumerate(self._hits(read), text.escapes):
            if count >= MAX_MASKED:
                raise blocked_text()
            maskable = maskable or text.maskable()
            if not maskable.mask(match.start, match.end):
                raise blocked_text()

    def _hits(self, text: str) -> Iterator[Match]:
        """Yield the matches that are not empty. An empty one has nothing to mask."""
        return (match for match in self.blocked.matches(text) if match.start < match.end)

    def _must_not_hit(self, text: str) -> None:
        if any(self._hits(text)):
            raise blocked_text()

    def _mask_json(self, body: DecodedBody, document: Any) -> tuple[bytes | None, set[int]]:
        holder = [document]
        texts = list(text_places(holder))
        found = {number for text in texts for number in self.judge_text(text)}
        content = None
        if any([text.write() for text in texts]):
            drop_tokens(holder)
            content = dump_json(holder[0])
        if not is_messages(document):
            # Here the whole body is one more text: names, numbers, and matches over several texts count.
            whole = body.content.decode()
            self._must_not_hit(whole if content is None else content.decode())
            found |= self.required.found([whole])
        return content, found

    def _mask_text(self, body: DecodedBody) -> tuple[bytes | None, set[int]]:
        holder = [lenient_text(body.content)]
        is_utf8 = holder[0].encode() == body.content
        found = self.required.found([*holder, *(form_texts(body.content) if body.media_type.is_form else ())])
        text = Text.at(holder, 0)
        self._mark(text, holder[0])
        is_masked = text.write()
        if body.media_type.is_form:
            for seen in form_texts(holder[0].encode()):
                self._must_not_hit(seen)
        if is_masked and not is_utf8:
            raise blocked_text()
        return (holder[0].encode() if is_masked else None), found
