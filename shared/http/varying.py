"""Headers whose value differs while a client repeats its head on a connection."""

import re
from collections.abc import Callable, Mapping

from shared.http.request_id import match_request_id
from shared.http.trace_context import match_traceparent

#: The names in lower case, and the grammar of each. Nothing but the value itself may depend on one of them.
VARYING: Mapping[bytes, Callable[[bytes], object]] = {
    b"x-request-id": match_request_id,
    b"traceparent": match_traceparent,
    # The SDKs of OpenAI and Anthropic count their attempts.
    b"x-stainless-retry-count": re.compile(rb"[0-9]{1,4}").fullmatch,
}
