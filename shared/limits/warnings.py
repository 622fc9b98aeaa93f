"""What a writer of limits may not have meant."""

from collections.abc import Sequence

from shared.limits.compiled import CompiledLimit
from shared.limits.match import EVERY
from shared.limits.values import WINDOW


def limit_warnings(compiled_limits: Sequence[CompiledLimit]) -> list[str]:
    """A sentence for each limit that stops nobody, or everybody, beside the others of its level."""
    warnings = []
    for compiled in compiled_limits:
        if compiled.spec.is_client_chosen and not any(_bounds(other, compiled) for other in compiled_limits):
            warnings.append(
                f"At the {compiled.scope} level nothing bounds {compiled.spec.name}: it counts by what "
                "clients choose, so whoever sends another value has another counter. Add global, per_ip or "
                "per_key beside it."
            )
        number = compiled.spec.quota.limit
        if compiled.spec.kind == WINDOW and 0 < number < compiled.cost:
            warnings.append(
                f"The {compiled.scope} limit '{compiled.spec.name}' admits nothing: each request counts "
                f"as {compiled.cost}, which is more than {number}."
            )
    return warnings


def _bounds(other: CompiledLimit, compiled: CompiledLimit) -> bool:
    """True when `other` holds for every request that `compiled` counts, whatever its client sends."""
    same = (other.scope, other.spec.kind) == (compiled.scope, compiled.spec.kind)
    return same and not other.spec.is_client_chosen and other.match in (EVERY, compiled.match)
