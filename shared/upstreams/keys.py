"""The choice of one of a provider's keys, and what its failures mean for the next call.

| a call with the key ended with | the key is |
|---|---|
| `REJECTED`: 401, or 403 about the credential | rejected for 10 minutes; then one call at a time tries it |
| `QUOTA`: no money | cooling for 10 minutes, for all models |
| `RATE_LIMIT`: 429 | cooling for this model, as long as the provider says; else 1 s, doubling to 60 s |

The later end always counts. A key that cools is never used.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shared.core.globs import matches_glob
from shared.model.providers import ProviderKey
from shared.upstreams.draw import Rendezvous, draw
from shared.upstreams.outcome import KeyEffect

#: How long a key is not used that the provider rejected, or whose money is spent, in seconds.
REJECTED_SECONDS = QUOTA_SECONDS = 600.0
#: The longest wait after a 429 that does not say one.
MAX_BACKOFF_SECONDS = 60.0
#: Reasons why a key is not chosen.
DISABLED, EXPIRED, MODELS, REJECTED, COOLING = "disabled", "expired", "models", "rejected", "cooling"
PINNED = "pinned"

_EVERY_MODEL = ""
# How long a client is told to wait while the trial of a rejected key is under way.
_TRIAL_SECONDS = 1.0
# A later end that is not later by this much is nothing to tell other workers.
_SAME_SECONDS = 1.0
# Models that are kept for one key. Clients choose their names.
_MAX_MODELS = 64


class KeyState:
    """The state of one key, as one tenant sees it. Each call is `begin`, then one of the three results.

    Attributes:
        name: names it among the states of all workers: another secret in place of the key's is another state.
        rejected_until: when the trials begin of a key that the provider rejected; None: it was not.
        cooling: by model, when it cools no longer, and the number of doublings; ``""`` is for all models.
        reason: the last failure in a few words; empty before the first.
    """

    __slots__ = ("__weakref__", "_delay", "_trying", "cooling", "name", "reason", "rejected_until")

    def __init__(self, name: str = "", trial_delay: float = 0.0) -> None:
        """`trial_delay` is how long this worker waits with its trial, in seconds."""
        self.name = name
        self.rejected_until: float | None = None
        self.reason = ""
        self._delay = trial_delay
        self._trying = False
        self.cooling: dict[str, tuple[float, int]] = {}

    def wait(self, model: str, now: float) -> float:
        """The seconds until a call may use the key for `model`; 0 when it may now."""
        if self.rejected_until is None and not self.cooling:
            return 0.0
        trial = -math.inf if self.rejected_until is None else self.rejected_until + self._delay - now
        if trial <= 0 and self._trying:
            trial = _TRIAL_SECONDS
        until = max(self.cooling.get(model, _NEVER)[0], self.cooling.get(_EVERY_MODEL, _NEVER)[0])
        return max(trial, until - now, 0.0)

    @property
    def is_good(self) -> bool:
        """Whether any call may use the key now, and none of them is a trial."""
        return self.rejected_until is None and not self.cooling

    def begin(self) -> bool:
        """Note that a call begins. Returns True when it is the trial of a rejected key."""
        is_trial = self.rejected_until is not None and not self._trying
        self._trying |= is_trial
        return is_trial

    def succeeded(self, model: str, now: float, *, is_trial: bool) -> None:
        """End a call that the provider accepted: the key is good again."""
        if is_trial:
            self.rejected_until, self._trying = None, False
        if self.cooling and self.cooling.get(model, _NEVER)[0] <= now:
            self.cooling.pop(model, None)

    def abandoned(self, *, is_trial: bool) -> None:
        """End a call that says nothing about the key."""
        if is_trial:
            self._trying = False

    def failed(
        self, effect: KeyEffect, model: str, now: float, *, why: str, wait: float | None, is_trial: bool
    ) -> float | None:
        """End a call that failed by the fault of the key. `wait` is in seconds, None if nothing was said.

        Returns when the key is usable again, if this is news for other workers.
        """
        self.reason = why
        self.abandoned(is_trial=is_trial)
        if effect is KeyEffect.REJECTED:
            return self.reject_until(now + REJECTED_SECONDS)
        if effect is KeyEffect.QUOTA:
            return self.cool_until(_EVERY_MODEL, now + QUOTA_SECONDS, now)
        if wait:
            return self.cool_until(model, now + wait, now)
        until, doublings = self.cooling.get(model, _NEVER)
        if until > now:
            return None  # of several calls at a time that found the limit, only the first doubles the wait
        return self.cool_until(model, now + min(2.0**doublings, MAX_BACKOFF_SECONDS), now, doublings + 1)

    def reject_until(self, until: float) -> float | None:
        """Use the key only for trials, from `until` on. Returns that time if it is news."""
        known = self.rejected_until
        self.rejected_until = until if known is None else max(known, until)
        return until if known is None or until >= known + _SAME_SECONDS else None

    def cool_until(self, model: str, until: float, now: float, doublings: int | None = None) -> float | None:
        """Do not use the key for `model` until then; empty: for any. Returns that time if it is news."""
        if model not in self.cooling and len(self.cooling) >= _MAX_MODELS:
            self._forget(now)
        known, before = self.cooling.get(model, _NEVER)
        self.cooling[model] = max(known, until), before if doublings is None else min(doublings, 6)
        return until if until >= known + _SAME_SECONDS else None

    def _forget(self, now: float) -> None:
        """Make room for one model: drop those that no longer cool, else the one that was kept for longest."""
        over = [model for model, (until, _) in self.cooling.items() if until <= now]
        for model in over or [next(iter(self.cooling))]:
            del self.cooling[model]


_NEVER = (-math.inf, 0)


class KeyChoice(NamedTuple):
    """The key for a call, or why there is none.

    Attributes:
        key, state: the chosen key; None if none can be used.
        why_not: the reason for each key that cannot be used, by its id.
        wait: without a key, the seconds until the first one that cools can be used; None if none does.
    """

    key: ProviderKey | None
    state: KeyState | None
    why_not: Mapping[str, str]
    wait: float | None = None


class KeyRing:
    """The keys of one provider. `states` returns the state of a key by its id.

    `epoch` is the time of day, in seconds since the Unix epoch, at which the clock of all other times was 0.

    Attributes:
        single: the key of a ring that has no other, if it is for all models; its state, and when it expires.
    """

    __slots__ = ("_hash", "_keys", "single")

    def __init__(
        self,
        keys: Sequence[ProviderKey],
        states: Callable[[str], KeyState],
        *,
        secret: bytes,
        epoch: float = 0.0,
    ) -> None:
        never = math.inf
        self._keys = [
            (key, states(key.id), never if key.expires_at is None else key.expires_at - epoch) for key in keys
        ]
        self._hash = Rendezvous(secret, [(key.id, key.weight) for key in keys])
        is_single = len(keys) == 1 and keys[0].enabled and keys[0].models is None
        self.single = self._keys[0] if is_single else None

    def has_key(self, model: str, now: float, *, pinned: str | None = None) -> bool:
        """Whether a call of `model` could be made now; with the key `pinned`, if it is not None."""
        return any(
            not _barred(*one, model, now) for one in self._keys if pinned is None or one[0].id == pinned
        )

    def choose(
        self,
        model: str,
        now: float,
        random: Callable[[], float],
        *,
        affinity: bytes | None = None,
        pinned: str | None = None,
    ) -> KeyChoice:
        """The key for a call of `model`. Calls of one `affinity` get the same key.

        `pinned` is the id of the only key that may be chosen; None: all.
        """
        usable, why_not = [], {}
        for key, state, expires in self._keys:
            is_other = pinned is not None and key.id != pinned
            reason = PINNED if is_other else _barred(key, state, expires, model, now)
            if reason:
                why_not[key.id] = reason
            else:
                usable.append((key, state))
        if not usable:
            return KeyChoice(None, None, why_not, self._shortest_wait(why_not, model, now))
        if len(usable) == 1:
            return KeyChoice(*usable[0], why_not)
        if affinity is not None:
            return KeyChoice(*max(usable, key=lambda one: self._hash.score(one[0].id, affinity)), why_not)
        chosen = draw(usable, [key.weight for key, _ in usable], random)
        return KeyChoice(*chosen, why_not)

    def _shortest_wait(self, why_not: Mapping[str, str], model: str, now: float) -> float | None:
        cooling = [state for key, state, _ in self._keys if why_not[key.id] in (REJECTED, COOLING)]
        return min([state.wait(model, now) for state in cooling], default=None)


def _barred(key: ProviderKey, state: KeyState, expires: float, model: str, now: float) -> str:
    """The reason why a key cannot be used now; empty if it can."""
    if not key.enabled:
        return DISABLED
    if now >= expires:
        return EXPIRED
    if key.models is not None and not any([matches_glob(glob, model) for glob in key.models]):
        return MODELS
    if state.wait(model, now) > 0:
        return COOLING if state.rejected_until is None else REJECTED
    return ""
