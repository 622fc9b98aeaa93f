"""Warnings about limits that are valid and probably not intended."""

from collections.abc import Sequence

from shared.limits.compiled import CompiledLimit
from shared.limits.values import EVERY, WINDOW


def limit_warnings(
    compiled_limits: Sequence[CompiledLimit], known: Sequence[CompiledLimit] = ()
) -> list[str]:
    """A sentence for each limit that, with the others of its level, stops no client or all requests.

    Warnings about `known` limits are left out.
    """
    warnings: list[str] = []
    for compiled in compiled_limits:
        if compiled.spec.is_client_chosen and not any(_bounds(other, compiled) for other in compiled_limits):
            warnings.append(
                f"At the {compiled.scope} level nothing bounds {compiled.spec.name}: clients choose its "
                "values, and each value has a counter of its own. Add global, per_ip or per_key."
            )
        number = compiled.spec.quota.limit
        if compiled.spec.kind == WINDOW and 0 < number < compiled.cost:
            warnings.append(
                f"The {compiled.scope} limit '{compiled.spec.name}' admits nothing: each request counts "
                f"as {compiled.cost}, which is more than {number}."
            )
    known_warnings = limit_warnings(known) if known else ()
    return [warning for warning in warnings if warning not in known_warnings]


def _bounds(other: CompiledLimit, compiled: CompiledLimit) -> bool:
    """True when `other` counts every request that `compiled` counts, whatever its client sends."""
    same = (other.scope, other.spec.kind) == (compiled.scope, compiled.spec.kind)
    return same and not other.spec.is_client_chosen and other.match in (EVERY, compiled.match)
