"""What may not stand in a text, and what must; and a whole body judged by it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.bodies.body import NO_JSON, DecodedBody
from shared.bodies.json.parse import dump_json
from shared.bodies.text.messages import Text, drop_logprobs, text_places
from shared.bodies.text.patterns import Match, Patterns
from shared.bodies.text.plain_text import form_text, lenient_text
from shared.http.body_rejected import BodyRejected
from shared.providers.text_fields import is_messages

#: Matches that are masked in one text, and escapes that it may have then. Where there are more it is refused.
MAX_MASKED = 20_000


def blocked() -> BodyRejected:
    return BodyRejected("content_rejected", "The body holds text that is not allowed.")


def missing() -> BodyRejected:
    return BodyRejected("content_rejected", "The body lacks text that is required.")


@dataclass(frozen=True, slots=True)
class TextRules:
    """Patterns of which none may match, and patterns that all must match somewhere.

    With `masks` a match of the former is masked where it stands in a text that can be changed. What is
    against the rules otherwise raises `BodyRejected` (``content_rejected``).
    """

    blocked: Patterns
    required: Patterns
    masks: bool = False

    def judge_body(self, opened: DecodedBody, document: Any) -> bytes | None:
        """Judge a body that is no stream: its content with texts masked, None when it stays as it is.

        `document` is that of `opened`; it is changed.
        """
        if not self.masks:
            texts = list(opened.texts(document))
            if self.blocked.found(texts):
                raise blocked()
            self._must_have(self.required.found(texts))
            return None
        return self._mask_text(opened) if document is NO_JSON else self._mask_json(opened, document)

    def _must_have(self, found: set[int]) -> None:
        if len(found) < len(self.required):
            raise missing()

    def judge_text(self, text: Text) -> set[int]:
        """Judge one whole text, and mark in it what is to be masked: the required patterns that match."""
        read = text.read()
        if self.masks:
            self._mark(text, read)
        elif self.blocked.found((read,)):
            raise blocked()
        return self.required.found((read,)) if self.required else set()

    def _mark(self, text: Text, read: str) -> None:
        text_part = None
        for count, match in enumerate(self._hits(read), text.escapes):
            if count >= MAX_MASKED:
                raise blocked()
            text_part = text_part or text.text_part()
            if not text_part.mask(match.start, match.end):
                raise blocked()

    def _hits(self, text: str) -> Iterator[Match]:
        """What is to be masked. Nothing cannot be, so a match of nothing counts only to block."""
        return (match for match in self.blocked.matches(text) if match.start < match.end)

    def _must_not_hit(self, text: str) -> None:
        if any(self._hits(text)):
            raise blocked()

    def _mask_json(self, opened: DecodedBody, document: Any) -> bytes | None:
        holder = [document]
        texts = list(text_places(holder))
        found = {number for text in texts for number in self.judge_text(text)}
        content = None
        if any([text.write() for text in texts]):
            drop_logprobs(holder)
            content = dump_json(holder[0])
        if not is_messages(document):
            # Of these the whole body counts too: its names, its numbers, and what goes over several texts.
            whole = opened.content.decode()
            self._must_not_hit(whole if content is None else content.decode())
            found |= self.required.found([whole])
        self._must_have(found)
        return content

    def _mask_text(self, opened: DecodedBody) -> bytes | None:
        holder = [lenient_text(opened.content)]
        seen = [*holder, form_text(opened.content)] if opened.media_type.is_form else [*holder]
        self._must_have(self.required.found(seen))
        text = Text.at(holder, 0)
        self._mark(text, holder[0])
        is_masked = text.write()
        if opened.media_type.is_form:
            self._must_not_hit(form_text(holder[0].encode()))
        if not is_masked:
            return None
        if not opened.is_utf8:
            raise blocked()
        return holder[0].encode()
