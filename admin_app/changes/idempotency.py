"""Idempotency-Key: a POST that is sent again changes nothing and gets the response of the first call.

The response is stored in the same step as the change, so there is never one without the other. It may hold a
new key, so it is encrypted. Errors are not stored: a call that failed can be corrected and sent again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Response, g, request

from admin_app.auth.access import caller
from admin_app.context import new_id, services
from admin_app.http.errors import ApiError
from shared.config_store.idempotency import MAX_KEPT, Claim
from shared.config_store.layout import PLATFORM_ID
from shared.core.errors import CallInProgress, StoreDown

HEADER = "Idempotency-Key"
#: The header of a response that was given before.
REPLAYED = "Idempotent-Replayed"
# A string in quotes, as in draft-ietf-httpapi-idempotency-key-header, or the same bare. A comma outside of
# quotes stands between two keys: WSGI joins headers of one name.
_KEY = re.compile(r'[!#-+\--~]{1,255}|"[ !#-~]{1,253}"')
# The headers that belong to a response, besides those that every response gets.
_STORED_HEADERS = ("Content-Type", "ETag", "Location")

_PARAMETER = {
    "in": "header",
    "name": HEADER,
    "description": "A name of this call. If it is sent again within 24 hours, the response is the same, and "
    f"nothing is changed. The newest {MAX_KEPT:,} responses of a tenant are kept.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^({_KEY.pattern})$"},
}

#: Makes the response of a call from the result of its change.
type Respond[T] = Callable[[T], Response]


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    """A call with an Idempotency-Key: its name in the store, its claim, and what identifies its body."""

    name: str
    claim: str
    body: str

    def finish(self, response: Response) -> str:
        """The text for the store: the sealed response, with the body that it belongs to."""
        headers = {name: response.headers[name] for name in _STORED_HEADERS if name in response.headers}
        stored = {"status": response.status_code, "headers": headers, "text": response.get_data(as_text=True)}
        sealed = services().sealer.seal(json.dumps(stored), _context(self.name))
        return json.dumps({"body": self.body, "response": sealed})


def idempotent[View: Callable[..., Any]](view: View) -> View:
    """Make a view that creates something honor the header. The view passes `respond` to its change."""

    @wraps(view)
    def once(*args: Any, **ids: str) -> Any:
        key = request.headers.get(HEADER)
        if key is None:
            return view(*args, **ids)
        call, store = _call(key), services().store
        if found := store.claim(call.name, call.claim):
            return _replay(call, json.loads(found))
        g.call = call
        try:
            return view(*args, **ids)
        finally:
            # A change has replaced the claim. Without one, the call can be sent again at once.
            with suppress(StoreDown):
                store.release(call.name, call.claim)

    # flask-smorest collects a view's documentation in this attribute.
    once._apidoc = {**getattr(view, "_apidoc", {}), "idempotent": _PARAMETER}  # type: ignore[attr-defined]
    return once  # type: ignore[return-value]


def claim_of[T](respond: Respond[T] | None) -> Claim[T] | None:
    """The claim of the current call; `respond` makes its response from the result of the change."""
    call: IdempotentCall | None = g.get("call")
    if call is None or respond is None:
        return None
    owner = caller().tenant_id or PLATFORM_ID
    return Claim(call.name, call.claim, lambda after: call.finish(respond(after)), owner)


def keep_response(made: Response) -> Response:
    """Keep the response of a call that has changed something else than the configuration, and return it."""
    claim: Claim[Response] | None = claim_of(lambda _: made)
    if claim is not None:
        services().store.finish(claim, made)
    return made


def same_id(kind: str) -> str:
    """An id of what a call makes outside the configuration: the same one if the call is sent again."""
    call: IdempotentCall | None = g.get("call")
    return new_id(kind) if call is None else f"{kind}_{call.name}"


def _call(key: str) -> IdempotentCall:
    if not _KEY.fullmatch(key):
        detail = (
            "Send Idempotency-Key once, with 1 to 255 printable ASCII characters. "
            "A key with spaces or commas must be in quotes."
        )
        raise ApiError("bad_request", detail)
    keyed = services().hasher
    body = keyed(f"body:{hashlib.sha256(request.get_data()).hexdigest()}")
    name = keyed(json.dumps([caller().actor, request.method, request.path, key]))
    claim = json.dumps({"body": body, "claim": services().random_bytes(16).hex()})
    return IdempotentCall(name, claim, body)


def _replay(call: IdempotentCall, found: Mapping[str, Any]) -> Response:
    if found["body"] != call.body:
        detail = "This Idempotency-Key was used with another body. Use a new key for a new call."
        raise ApiError("idempotency_key_reused", detail)
    if "response" not in found:
        detail = "The first call with this Idempotency-Key is still running. Retry in a moment."
        raise CallInProgress(detail)
    try:
        stored = json.loads(services().sealer.open(found["response"], _context(call.name)))
    except ValueError:
        detail = "The response to the first call can no longer be decrypted. Use a new key for a new call."
        raise ApiError("idempotency_key_reused", detail) from None
    return Response(stored["text"], stored["status"], {**stored["headers"], REPLAYED: "true"})


def _context(name: str) -> str:
    return f"idempotency|{name}"
