"""What one request is charged to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shared.core.limit_template import LimitTemplate
from shared.core.limits import Decision, Limit
from shared.core.messages import Exchange

#: The counter of all values beyond those that have one of their own. No hash looks like it.
SHARED_COUNTER = "other"


@dataclass(frozen=True, slots=True)
class Charge:
    """A limit with the request's counter, and the template that it comes from. `value` names the counter."""

    template: LimitTemplate
    value: str
    limit: Limit

    @property
    def is_shared(self) -> bool:
        """True when the value has no counter of its own."""
        return self.value == SHARED_COUNTER


def charges(
    templates: Iterable[LimitTemplate],
    exchange: Exchange,
    model: str,
    lease: str,
    has_own: Callable[[str, str], bool],
) -> Sequence[Charge]:
    """The limits that hold for this request, in order. Those that come to the same counter are one.

    `has_own` takes a `key_prefix` and a value that the client chose, and says whether the value has a
    counter of its own.
    """
    found: dict[str, tuple[LimitTemplate, str]] = {}
    for template in templates:
        if template.counts(exchange, model):
            value = template.value(exchange, model)
            if template.written.is_chosen and not has_own(template.key_prefix, value):
                value = SHARED_COUNTER
            key = template.key_prefix + value
            other = found.get(key)
            found[key] = (other[0].strictest(template) if other else template, value)
    return [Charge(template, value, template.limit(value, lease)) for template, value in found.values()]


def denied_header(templates: Iterable[LimitTemplate], exchange: Exchange) -> str | None:
    """The header without which one of the limits lets no request pass, when this one lacks it."""
    demanding = (template for template in templates if template.written.on_missing == "deny")
    missing = (one.missing(exchange) for one in demanding if one.match.takes(exchange.request))
    return next(filter(None, missing), None)


def longest_wait_ms(decision: Decision, charged: Sequence[Charge]) -> int:
    """The computed wait of a refusal, or the longest that the settings of a spent limit ask for."""
    spent = {state.limit.key for state in decision.states if not state.has_room}
    floors = [charge.template.floor_ms for charge in charged if charge.limit.key in spent]
    return max(decision.retry_after_ms, *floors)
