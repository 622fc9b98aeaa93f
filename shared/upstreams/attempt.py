"""The values of attempts: what to call, that nothing is left to call, and what was learned from a call."""

import math
from dataclasses import dataclass

from shared.model.providers import ProviderKey
from shared.upstreams.keys import KeyState
from shared.upstreams.outcome import KeyEffect
from shared.upstreams.target import Target, TargetState


class PlannedCall:
    """A target with one of its keys, to be called.

    Attributes:
        target, state: the upstream.
        key, key_state: the credential; None for a target that needs none.
        attempt: its attempt without a delay.
    """

    __slots__ = ("_expires", "attempt", "key", "key_state", "state", "target")

    def __init__(
        self,
        target: Target,
        state: TargetState,
        key: ProviderKey | None = None,
        key_state: KeyState | None = None,
        expires: float = math.inf,
    ) -> None:
        self.target, self.state, self.key, self.key_state = target, state, key, key_state
        self.attempt = Attempt(target, key)
        self._expires = expires

    @classmethod
    def only(cls, target: Target, state: TargetState) -> "PlannedCall | None":
        """The call of a target that has no other one with another key; None if there may be a choice."""
        if target.max_concurrent is not None:
            return None
        if target.keys is None:
            return cls(target, state)
        return None if target.keys.single is None else cls(target, state, *target.keys.single)

    def is_open(self, now: float) -> bool:
        """Whether nothing bars the call now."""
        if self.state.breaker.until is not None:
            return False
        state = self.key_state
        return state is None or (state.rejected_until is None and not state.cooling and now < self._expires)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call to make.

    Attributes:
        target: the upstream.
        key: the credential; None for a target that needs none.
        delay: the seconds to wait before it.
    """

    target: Target
    key: ProviderKey | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """No attempt is left.

    Attributes:
        code: the error that the client gets; empty: it gets the last failure as it came.
        wait: the seconds after which a target may be called; None if they are not known.
    """

    code: str = ""
    wait: float | None = None

    @property
    def retry_after(self) -> int | None:
        """The whole seconds for ``Retry-After``, at least 1; None if no wait is known."""
        return None if self.wait is None else max(1, math.ceil(self.wait))


# Nothing changes one once it is made: to make a frozen one would take twice as long.
@dataclass(slots=True)
class TracedAttempt:
    """One attempt that is over, for the log and for traces.

    Attributes:
        target: the id of the target.
        key: the id of the key; None without one.
        status: the status of the response; 0 without one.
        why: why it failed; empty if it was served.
        ms: milliseconds until it failed, or until the first content.
        began: when it was to begin, after its delay.
    """

    target: str
    key: str | None
    status: int
    why: str
    ms: int
    began: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The news of a target, or of one of its keys, for other workers.

    Attributes:
        target: the id of the target.
        until: when it is tried again.
        why: the failure.
        key: the name of the key's state; None: it is about the target, which is open until then.
        effect: what happened to the key.
        model: the model for which the key cools; empty: all.
    """

    target: str
    until: float
    why: str
    key: str | None = None
    effect: KeyEffect | None = None
    model: str = ""
