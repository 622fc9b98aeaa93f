"""Headers of the providers: the rate limits that they send, and the hints that their SDKs read.

API keys: OpenAI reads ``Authorization``, Anthropic ``X-Api-Key`` (see `shared.core.http_tokens.KEY_HEADERS`).
"""

import re

from shared.core.memo import Memo
from shared.http.forwarding import is_private

#: What OpenAI calls the state of a limit on requests.
OPENAI_LIMIT = "x-ratelimit-limit-requests"
OPENAI_REMAINING = "x-ratelimit-remaining-requests"
OPENAI_RESET = "x-ratelimit-reset-requests"
#: Hints beside ``Retry-After``, for the SDKs of OpenAI and of Anthropic: ``false`` stops all retries.
SHOULD_RETRY = "x-should-retry"
RETRY_AFTER_MS = "retry-after-ms"

# The limits of an upstream are those of the operator's key, not of the client's.
_LIMITS = re.compile(r"(?:x-|anthropic-)?rate-?limit(?:-|$)")


def _is_hidden(name: bytes) -> bool:
    text = name.decode("latin-1")
    return is_private(text) or _LIMITS.match(text.lower()) is not None


#: True for the name of a header that an upstream sends and a client does not get.
HIDDEN_FROM_CLIENTS: Memo[bytes, bool] = Memo(_is_hidden)
