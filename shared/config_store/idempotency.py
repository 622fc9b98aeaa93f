"""Calls that change the configuration once, however often they are sent.

A call with an Idempotency-Key claims its name. Its change is written only while the claim stands, and the
same step replaces the claim by the response. A call that is repeated finds a claim, a response, or nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.config_store.layout import PLATFORM_ID
from shared.core.durations import DAY_SECONDS

#: How long a response is kept.
KEPT_SECONDS = DAY_SECONDS
#: How long a claim stands if its process ends. A call takes far less.
CLAIMED_SECONDS = 60
#: The most responses that are kept of a tenant, or of the platform; the newest.
MAX_KEPT: Final = 1_000
#: The message of `errors.CallInProgress`.
CLAIM_LOST = "Another call with the same Idempotency-Key has begun. Retry in a moment to get its response."


@dataclass(frozen=True, slots=True)
class Claim[T]:
    """The claim of a running call: its name, its value, and what replaces the value with the change.

    `T` is what the call changes: a tenant's `Snapshot`, or the `PlatformDocument`. `caller` is the
    tenant whose key made the call, or the platform: of each, `MAX_KEPT` responses are kept.
    """

    name: str
    value: str
    finish: Callable[[T], str]
    caller: str = PLATFORM_ID
