"""The response of an upstream: its head as it comes, and its body if it was collected."""

from typing import Final

from mitmproxy import http

from mitm_addons.ai.provider_warnings import ProviderWarnings
from mitm_addons.flows import FlowState, UpstreamCall, head_of, set_body
from shared.bodies.body import DecodedBody
from shared.core.errors import Rejection
from shared.http.body_rejected import BodyRejected
from shared.http.forwarding import client_head
from shared.http.sent_secrets import SentSecrets, tells_error
from shared.model.messages import Headers
from shared.providers.headers import HIDDEN, IS_REQUEST_ID, IS_SPECIAL, PREFIX, with_prefix
from shared.routing.ai.translated import TranslatedResponse
from shared.routing.ai_calls import AiCalls
from shared.routing.ai_exchange import AiExchange

_MAX_ID: Final = 256  # bytes of an upstream's request id
_ERROR: Final = b'"error"'


def read_head(calls: AiCalls, state: FlowState, response: http.Response, limits: str) -> None:
    """Note what the head of the upstream says, and put that for the client in its place.

    `limits` says what becomes of its rate limits, see `shared.providers.headers.UPSTREAM_HEADERS`.
    """
    call, ai = state.call, state.ai
    status, fields = response.data.status_code, response.data.headers.fields
    call.status, upstream = status, call.upstream
    if upstream is not None and upstream.key:
        fields = upstream.without_key(fields)
    if upstream is not None and status >= 400 and (secrets := upstream.sent_secrets()) is not None:
        call.secrets, fields = secrets, secrets.removed_from_fields(fields)
    if ai is not None:
        state.pending_rejection = calls.begin_response(ai, status, fields)
    elif state.pooled is not None and call.head is not None:
        state.pooled.receive(status, call.head)
    if [1 for name, _ in fields if IS_SPECIAL[name]]:
        if ids := [value for name, value in fields if IS_REQUEST_ID[name]]:
            call.id = ids[0][:_MAX_ID]
        head = client_head(Headers.of(fields), HIDDEN[limits])
        fields = (with_prefix(head) if limits == PREFIX else head).fields
    if ai is not None and ai.translated is not None:
        fields = ai.translated.head(status, Headers.of(fields)).fields
        response.data.status_code = ai.translated.status
        if upstream is not None:
            ai.translated.sent_secrets = upstream.sent_secrets
    response.data.headers.fields = fields


def end_body(calls: AiCalls, state: FlowState, response: http.Response, warnings: ProviderWarnings) -> None:
    """Put the body for the client in the place of one that was collected."""
    ai = state.ai
    translated = None if ai is None else ai.translated
    if translated is not None and translated.is_incomplete and state.code is None:
        state.code = "upstream_protocol_error"
    if (
        ai is not None
        and translated is None
        and not response.stream
        and (response.data.content or b"").find(_ERROR) >= 0  # `in` takes three times as long
    ):
        _expect_secrets(state.call, response)
    if state.call.secrets is not None and not response.stream:
        _remove_secrets(response, state.call.secrets, translated)
    if ai is None:
        return
    whole = None if response.stream else response.data.content
    body = calls.end_response(ai, whole)
    if body is whole:
        return
    if isinstance(body, Rejection):
        state.pending_rejection = state.pending_rejection or body
        _warn(warnings, state.call, ai, whole or b"", calls.clock.monotonic())
    elif body is not None:
        if translated is not None:
            response.data.status_code = translated.status
            if translated.status >= 400:
                body = _without_secrets(state.call, ai, translated, whole or b"", body)
        set_body(response, body)


def _warn(warnings: ProviderWarnings, call: UpstreamCall, ai: AiExchange, body: bytes, now: float) -> None:
    """Log a response that cannot be translated, without the secrets that it may repeat."""
    if ai.translated is None or ai.target is None:
        return
    try:
        content = DecodedBody.of(ai.translated.upstream_headers, body).content
    except BodyRejected:
        content = b""
    secrets = _secrets_of(call)
    content = content if secrets is None else secrets.removed(content)
    warnings.untranslatable(ai.target.provider.name, ai.tenant_id, content, now)


def _expect_secrets(call: UpstreamCall, response: http.Response) -> None:
    """Find the secrets that a response may repeat: also one with an error and the status of a success."""
    if call.secrets is None and call.upstream is not None and tells_error(response.data.content or b""):
        call.secrets = _secrets_of(call)


def _secrets_of(call: UpstreamCall) -> SentSecrets | None:
    """The secrets that the upstream got; None if it got none."""
    return call.secrets or (None if call.upstream is None else call.upstream.sent_secrets())


def _remove_secrets(
    response: http.Response, secrets: SentSecrets, translated: TranslatedResponse | None
) -> None:
    """Take what the upstream repeats of the secrets that it got out of the body of its error."""
    body = response.data.content or b""
    head = head_of(response) if translated is None else translated.upstream_headers
    left = secrets.removed_from_body(body, head.all("content-encoding"))
    if left != body:
        set_body(response, left)


def _without_secrets(
    call: UpstreamCall, ai: AiExchange, translated: TranslatedResponse, whole: bytes, body: bytes
) -> bytes:
    """The body of an error, which was translated from `whole`, without the secrets.

    They are still there in one with the status of a success, and where the JSON had escapes.
    """
    secrets = _secrets_of(call)
    if secrets is None:
        return body
    if call.secrets is None:
        # The translation cuts a long text, maybe in a secret.
        left = secrets.removed_from_body(whole, translated.upstream_headers.all("content-encoding"))
        again = ai.for_client(left)
        body = body if isinstance(again, Rejection) else again
    return secrets.removed(body)
