"""Headers of the providers: the rate limits that they send, and the hints that their SDKs read.

API keys: OpenAI reads ``Authorization``, Anthropic ``X-Api-Key`` (see `shared.core.http_tokens.KEY_HEADERS`).
"""

import re
from collections.abc import Mapping

from shared.core.memo import Memo
from shared.http.forwarding import SETS_COOKIE, is_private
from shared.model.messages import Headers

#: OpenAI's names of the state of a limit on requests.
OPENAI_LIMIT = "x-ratelimit-limit-requests"
OPENAI_REMAINING = "x-ratelimit-remaining-requests"
OPENAI_RESET = "x-ratelimit-reset-requests"
OPENAI_LIMIT_TOKENS = "x-ratelimit-limit-tokens"
OPENAI_REMAINING_TOKENS = "x-ratelimit-remaining-tokens"
OPENAI_RESET_TOKENS = "x-ratelimit-reset-tokens"
#: Hints beside ``Retry-After``, for the SDKs of OpenAI and of Anthropic: ``false`` stops all retries.
SHOULD_RETRY = "x-should-retry"
RETRY_AFTER_MS = "retry-after-ms"

#: The treatment of the rate limits of an upstream: by default the client does not get them, because they are
#: those of the operator's credential.
UPSTREAM_HEADERS = (DROP, PASS, PREFIX) = ("drop", "pass", "prefix")

_LIMITS = re.compile(r"(?:x-|anthropic-)?rate-?limit(?:-|$)")
_PREFIX = b"X-Upstream-"
# Headers with the upstream's id of a request: OpenAI's, Anthropic's, AWS's, Azure's.
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-ms-request-id")


def _is_limit(name: bytes) -> bool:
    return _LIMITS.match(name.decode("latin-1").lower()) is not None


_IS_LIMIT: Memo[bytes, bool] = Memo(_is_limit)
_PASSING: Memo[bytes, bool] = Memo(lambda name: is_private(name.decode("latin-1")))
#: By the choice for the rate limits: True for the name of a header that a client does not get.
HIDDEN: Mapping[str, Memo[bytes, bool]] = {
    DROP: Memo(lambda name: _PASSING[name] or _IS_LIMIT[name]),
    PASS: _PASSING,
    PREFIX: _PASSING,
}
#: True for a header with the upstream's id of a request.
IS_REQUEST_ID: Memo[bytes, bool] = Memo(lambda name: name.decode("latin-1").lower() in _REQUEST_IDS)
#: True for a header that says something here, or that a client may not get as it came; most are neither.
IS_SPECIAL: Memo[bytes, bool] = Memo(
    lambda name: IS_REQUEST_ID[name] or SETS_COOKIE[name] or any([hidden[name] for hidden in HIDDEN.values()])
)


def with_prefix(headers: Headers) -> Headers:
    """The same head, with another name for each rate limit of the upstream."""
    return Headers.of(
        tuple([(_PREFIX + name if _IS_LIMIT[name] else name, value) for name, value in headers.fields])
    )
