"""Requests to targets that do not speak the API of the client: they and their responses are translated.

Each target has the call by which it is asked (`TranslatedCall`). A request is translated once for all targets
that need the same (`RequestTranslations`), and each response for itself (`TranslatedResponse`).
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple

from shared.bodies.body import DecodedBody
from shared.bodies.event_splitter import EventSplitter, event_splitter
from shared.bodies.json.lenient import json_or_none
from shared.core.errors import ERRORS, Rejection, make_rejection
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.http.sent_secrets import SentSecrets
from shared.model.event import Event
from shared.model.messages import Headers
from shared.providers.calls import PATHS, ApiCall
from shared.providers.resolve import ResolvedTarget
from shared.translation.framing import StreamEvent, read_event, write_document, write_event
from shared.translation.notes import BadResponse, Context, Document, Notes, Settings, Untranslatable
from shared.translation.pairs import choose_api
from shared.translation.translation import Translation
from shared.upstreams.choose import Fits
from shared.upstreams.target import Target

#: The longest body, in bytes, of a request that is translated on the event loop. It takes 3 ms at most of a
#: conversation, and 15 ms of the shortest parts by way of a third API (measured).
MAX_IN_PLACE: Final = 64 * 1024
#: In bytes: the longest event of a stream that is translated, and the longest stream. Some translations keep
#: the text of a response until its end.
MAX_EVENT: Final = 8 * 1024 * 1024
#: The longest whole response that is translated, in bytes, and the most strings, arrays, objects and commas
#: in one or in an event: to read more would stop a worker for too long. No model makes as many.
MAX_WHOLE: Final = 16 * 1024 * 1024
MAX_PARTS: Final = 1_000_000
MAX_STREAM: Final = 64 * 1024 * 1024
# The name in the report in place of the upstream's API, where the target is hidden.
_HIDDEN: Final = "hidden"
_BAD: Final = 502
_PARTS: Final = (b'"', b"[", b"{", b",")
# Shorter ones have no more parts than that.
_LONG_EVENT: Final = 1024 * 1024
_LONGEST_TEXT: Final = 64 * 1024  # bytes of an error that is not read as JSON
# Characters of a reason, in which clients may name members.
_LONGEST_REASON: Final = 200
# Headers that describe the upstream's body, or the upstream's API.
_BODY: Final = frozenset(
    {"content-length", "transfer-encoding", "content-encoding", "content-md5", "content-digest", "etag"}
    | {"content-type", "digest", "repr-digest", "accept-ranges", "openai-version", "openai-organization"}
    | {"anthropic-organization-id", "openai-project"}
)
_JSON: Final = ("Content-Type", "application/json")
_EVENTS: Final = (("Content-Type", "text/event-stream; charset=utf-8"), ("Transfer-Encoding", "chunked"))
_FAILED: Final = frozenset({"error", "response.failed"})
# The error of each API about a stream that is not complete.
_INCOMPLETE: Final = ERRORS["upstream_protocol_error"][1].encode()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TranslatedCall:
    """How targets are called for clients of one API. Targets that need the same share one.

    Attributes:
        call: the call of the upstream.
        translation: between the client's API and that of the upstream.
        caps: the capabilities of the model. The gateway itself asks for the usage of streams.
        settings: those of the rule, with the kind of the provider.
    """

    call: ApiCall
    translation: Translation
    caps: Mapping[str, Any]
    settings: Settings


def translated_calls(
    client: str,
    targets: Iterable[ResolvedTarget],
    caps_of: Callable[[ResolvedTarget], Mapping[str, Any]],
    settings: Settings,
) -> Mapping[str, TranslatedCall]:
    """The calls of the targets, by their ids, that do not speak the API of the client."""
    found: dict[str, TranslatedCall] = {}
    known: list[TranslatedCall] = []
    for target in targets:
        chosen = choose_api(client, target.provider.endpoint.apis)
        if chosen is None or chosen[1] is None:
            continue
        made = TranslatedCall(
            call=ApiCall(chosen[0], PATHS[chosen[0]][0]),
            translation=chosen[1],
            caps={**caps_of(target), "stream_usage": False},
            settings=replace(settings, kind=target.provider.provider.kind),
        )
        same = next((one for one in known if _are_same(one, made)), None)
        if same is None:
            known.append(made)
        found[target.id] = same or made
    return found


def _are_same(one: TranslatedCall, other: TranslatedCall) -> bool:
    return (one.call, one.caps, one.settings) == (other.call, other.caps, other.settings)


class TranslatedRequest(NamedTuple):
    """A request as targets get it: its JSON, its bytes and the report. It names the model of the client."""

    document: Document
    body: bytes
    notes: Notes


#: Runs a function with its arguments in a thread.
type InThread = Callable[..., Awaitable[Any]]


class Untranslated(Exception):
    """A long request has to be translated before its target is chosen. `translate` does it in a thread."""

    def __init__(self, translate: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.translate = translate


class RequestTranslations:
    """The translations of one request, by the calls of its targets.

    A request is translated when a target needs it: in place, or with `in_thread` by `translate` only. Until
    then the other methods raise `Untranslated`.
    """

    __slots__ = ("_calls", "_document", "_in_thread", "_made")

    def __init__(
        self, calls: Mapping[str, TranslatedCall], document: Any, in_thread: InThread | None = None
    ) -> None:
        self._calls = calls
        self._document: Document = document if isinstance(document, dict) else {}
        self._in_thread = in_thread
        self._made: dict[TranslatedCall, TranslatedRequest | Untranslatable] = {}

    @property
    def waiting(self) -> list[TranslatedCall]:
        """The calls for which the request is yet to be translated in a thread."""
        if self._in_thread is None:
            return []
        return [call for call in dict.fromkeys(self._calls.values()) if call not in self._made]

    async def translate(self, calls: Iterable[TranslatedCall]) -> None:
        """Translate the request for these calls, in a thread."""
        for call in calls:
            if self._in_thread is not None:
                self._made[call] = await self._in_thread(_translated, call, self._document)

    def call(self, target_id: str) -> TranslatedCall | None:
        """How that target is called; None: it speaks the API of the client."""
        return self._calls.get(target_id)

    def of(self, call: TranslatedCall) -> TranslatedRequest:
        """The request for a target that is called so. Raises `Untranslatable`."""
        found = self._translated(call)
        if isinstance(found, Untranslatable):
            raise found.with_traceback(None)
        return found

    def error(self, target_id: str) -> Untranslatable | None:
        """Why that target cannot get the request; None: it can."""
        call = self.call(target_id)
        found = None if call is None else self._translated(call)
        return found if isinstance(found, Untranslatable) else None

    def fitting(self, fits: Fits | None) -> Fits:
        """`fits`, and a target that cannot get the request by its API does not fit."""

        def reason(target: Target) -> str:
            if fits is not None and (lack := fits(target)):
                return lack
            error = self.error(target.id)
            if error is None:
                return ""
            return f"cannot express {error.pointer or '/'}: {error.detail}"[:_LONGEST_REASON]

        return reason

    def rejection(self, model: str, targets: Iterable[Target]) -> Rejection | None:
        """The error when a target cannot get the request for that model; None if each can."""
        error = next(filter(None, [self.error(target.id) for target in targets]), None)
        if error is None:
            return None
        where = error.pointer or "/"
        text = f"The API of the model {model} cannot express {where} of the body. {error.detail}"
        return make_rejection("untranslatable", text)

    def _translated(self, call: TranslatedCall) -> TranslatedRequest | Untranslatable:
        found = self._made.get(call)
        if found is None:
            if self._in_thread is not None:
                raise Untranslated(partial(self.translate, [call]))
            found = self._made[call] = _translated(call, self._document)
        return found


def _translated(call: TranslatedCall, document: Document) -> TranslatedRequest | Untranslatable:
    try:
        sent, notes = call.translation.request(document, call.caps, call.settings)
        return TranslatedRequest(sent, write_document(sent), notes)
    except Untranslatable as error:
        return error


class TranslatedResponse:
    """The response of a target, translated for the client. It changes a stream as `Changes` do.

    Attributes:
        api: the API of the upstream.
        status: the status for the client.
        is_streamed: the events are translated as they arrive.
        has_failed: the stream that the client got has ended with an error.
        is_incomplete: this is an error of the gateway: the upstream's stream was not a complete one.
        upstream_headers: the head of the upstream, which describes the body that is translated.
        sent_secrets: what is taken out of an error in a stream.
    """

    __slots__ = (
        *("_call", "_client", "_context", "_events", "_is_over", "_left", "_splitter"),
        *("api", "has_failed", "is_incomplete", "is_streamed", "sent_secrets", "status", "upstream_headers"),
    )

    def __init__(self, call: TranslatedCall, client: str, context: Context) -> None:
        """`client` is the API of the client. The notes of `context` are those of the request."""
        notes = Notes()
        notes.add(context.notes)
        self.api = call.call.api
        self.has_failed = self.is_incomplete = self.is_streamed = self._is_over = False
        self._call, self._client = call, client
        self._context = replace(context, notes=notes, settings=call.settings)
        self._events = call.translation.events(self._context)
        self._splitter: EventSplitter | None = None
        self._left = MAX_STREAM
        self.upstream_headers, self.status = Headers(), 200
        self.sent_secrets: Callable[[], SentSecrets | None] = lambda: None

    def head(self, status: int, headers: Headers) -> Headers:
        """The headers for the client, from the head of the upstream."""
        self.upstream_headers, self.status = headers, status
        kept = [field for field in headers.fields if field[0].decode("latin-1").lower() not in _BODY]
        if status >= 400:
            self.status = self._call.translation.error(status, b"").status
            return _with(kept, _JSON)
        try:
            self._splitter = event_splitter(MediaType.of(headers), MAX_EVENT)
        except BodyRejected:
            self._splitter = None
        if self._splitter is None:
            return _with(kept, _JSON)
        self.is_streamed = not headers.get("content-encoding")
        return _with(kept, *_EVENTS)

    @property
    def has_unknown_stop(self) -> bool:
        """Whether the model ended for a reason that the translation does not know."""
        return "stop_reason" in self._context.notes.changed

    def report(self, *, is_hidden: bool = False) -> str:
        """The API of the upstream unless it is hidden, and what the translation lost and changed so far."""
        return self._context.notes.header(_HIDDEN if is_hidden else self.api)

    def whole(self, body: bytes) -> bytes:
        """The response for the client, once all of it has come. Raises `BadResponse`."""
        try:
            content = DecodedBody.of(self.upstream_headers, body).content
        except BodyRejected as error:
            raise BadResponse(str(error)) from None
        if self._splitter is not None:
            return self.feed(content) + self.end()
        is_too_large = len(content) > MAX_WHOLE or _has_too_many_parts(content)
        document = None if is_too_large else json_or_none(content)
        if self.status >= 400:
            return self._error(self.status, content[:_LONGEST_TEXT] if document is None else document)
        if not isinstance(document, dict):
            raise BadResponse("It is too large." if is_too_large else "It is not a JSON object.")
        if document.get("error"):
            return self._error(_BAD, document)  # some servers send an error with the status of a success
        return write_document(self._call.translation.response(document, self._context))

    def _error(self, status: int, body: Any) -> bytes:
        self.status, document = self._call.translation.error(status, body)
        return write_document(document)

    def feed(self, piece: bytes) -> bytes:
        """The events for the client that a piece of the upstream's stream makes."""
        if self._is_over or self._splitter is None:
            return b""
        self._left -= len(piece)
        try:
            made = self._translated(self._splitter.feed(piece))
        except BodyRejected:  # an event that is too long
            return self._ended()
        return made if self._left >= 0 or self._is_over else made + self._ended()

    def end(self) -> bytes:
        """The last events for the client."""
        if self._is_over or self._splitter is None:
            return b""
        made = self._translated(self._splitter.end())
        return made if self._is_over else made + self._ended()

    def _ended(self) -> bytes:
        self._is_over = True
        return self._written(self._events.end())

    def _translated(self, events: Iterable[Event]) -> bytes:
        feed = self._events.feed
        made: list[StreamEvent] = []
        for event in events:
            if len(event.raw) > _LONG_EVENT and _has_too_many_parts(event.raw):
                self._is_over = True
                made += self._events.end()
                break
            made += feed(read_event(event.data))
        return self._written(made)

    def _written(self, events: Collection[StreamEvent]) -> bytes:
        return b"".join([self._bytes(event) for event in events])

    def _bytes(self, event: StreamEvent) -> bytes:
        data = write_event(event, self._client)
        if isinstance(event, dict) and (event.get("error") or event.get("type") in _FAILED):
            self.has_failed = True
            self.is_incomplete = _INCOMPLETE in data
            secrets = self.sent_secrets()
            return data if secrets is None else secrets.removed(data)
        return data


def _has_too_many_parts(body: bytes) -> bool:
    return sum(map(body.count, _PARTS)) > MAX_PARTS


def _with(kept: Iterable[tuple[bytes, bytes]], *fields: tuple[str, str]) -> Headers:
    return Headers.of((*kept, *[(name.encode(), value.encode()) for name, value in fields]))
