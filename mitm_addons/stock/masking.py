"""A copy of a flow to show: without credentials, and with the beginning of each body."""

import codecs
import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote_plus

from mitmproxy import http

from mitm_addons.flows import FlowState, head_of, state_of
from shared.core.http_tokens import MASK
from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import coding_of, decode
from shared.routing.client_keys import is_foreign_parameter
from shared.secrets.redaction import SECRET_HEADERS, redact

#: Bytes of a body that are shown.
BODY_SHOWN = 65_536
# No header is longer (mitmproxy's core limits a head to 64 KiB), so no secret is longer either.
_MARGIN = 65_536
#: Bytes of a stream that are kept, so that no secret is cut before it is masked.
BODY_KEPT = BODY_SHOWN + _MARGIN + 1
# Shorter values ("true", "2024-06") are not secrets, and occur in harmless text.
_SHORTEST_SECRET = 8


def masked_copy(flow: http.HTTPFlow, streamed: bytes | None = None) -> http.HTTPFlow:
    """Return the copy to show. It shares nothing with `flow`. `streamed` is the beginning of its response."""
    state = state_of(flow)
    own = _secrets(state)
    mask = _Mask({name.lower() for name in own} | SECRET_HEADERS, _words(own.values()))
    copy: http.HTTPFlow = flow.copy()
    if streamed is not None and copy.response is not None:
        copy.response.raw_content = streamed
    copy.request.path = mask.path(copy.request.path)
    for message in (copy.request, copy.response):
        if message is not None:
            # The body first: its coding is in the head.
            message.raw_content = mask.body(message)
            message.headers = mask.head(message)
            message.trailers = None
    if copy.response is not None:
        copy.response.reason = mask.text(copy.response.reason)
    if copy.error is not None:
        copy.error.msg = mask.text(copy.error.msg)
    return copy


def _secrets(state: FlowState | None) -> Mapping[str, str]:
    """The secrets of the flow's upstream; of the rule's before one is chosen."""
    if state is None or state.admitted is None:
        return {}
    return (state.call.upstream or state.admitted.route.upstream).secrets


def _words(values: Collection[str]) -> list[str]:
    """Return each value and each of its words, the longest first: a token may appear without its scheme."""
    words = {word for value in values for word in (value, *value.split())}
    return sorted((word for word in words if len(word) >= _SHORTEST_SECRET), key=len, reverse=True)


class _Mask:
    """Masks what `redact` masks, the headers of these lower-case names, and these words."""

    def __init__(self, names: Collection[str], words: Collection[str]) -> None:
        self._names = names
        self._words = re.compile("|".join(map(re.escape, words))) if words else None

    def text(self, text: str) -> str:
        return redact(self._words.sub(MASK, text) if self._words else text)

    def path(self, path: str) -> str:
        bare, mark, query = path.partition("?")
        return self.text(bare + mark + "&".join(map(_parameter, query.split("&"))))

    def head(self, message: http.Message) -> http.Headers:
        return http.Headers(
            (name.encode("latin-1"), (MASK if name.lower() in self._names else self.text(value)).encode())
            for name, value in head_of(message)
        )

    def body(self, message: http.Message) -> bytes | None:
        """Return the decoded text, masked and cut; None if the body was streamed or is not text."""
        raw = message.raw_content
        if raw is None:
            return None
        try:
            plain = decode(raw, coding_of(head_of(message).all("content-encoding")))
            shown = codecs.getincrementaldecoder("utf-8")().decode(plain[: BODY_SHOWN + _MARGIN])
        except (BodyRejected, UnicodeDecodeError):
            return None
        if "\0" in shown:  # UTF-16 for example: a browser would read other text than the mask
            return None
        text = self.text(shown)
        # A secret that the cut above divides is in the margin.
        whole = text[:-_MARGIN] if len(plain) > BODY_SHOWN + _MARGIN else text
        return whole.encode()[:BODY_SHOWN]


def _parameter(part: str) -> str:
    name, equals, _ = part.partition("=")
    is_secret = unquote_plus(name).lower() == "token" or is_foreign_parameter(
        name.encode("latin-1", "replace")
    )
    return f"{name}={MASK}" if equals and is_secret else part
