"""What a writer of limits may not have meant."""

from collections.abc import Sequence

from shared.limits.compiled import LimitTemplate
from shared.limits.match import EVERY
from shared.limits.values import WINDOW


def limit_warnings(templates: Sequence[LimitTemplate]) -> list[str]:
    """A sentence for each limit that stops nobody, or everybody, beside the others of its level."""
    warnings = []
    for template in templates:
        if template.written.is_chosen and not any(_bounds(other, template) for other in templates):
            warnings.append(
                f"At the {template.scope} level nothing bounds {template.written.name}: it counts by what "
                "clients choose, so whoever sends another value has another counter. Add global, per_ip or "
                "per_key beside it."
            )
        number = template.written.quota.limit
        if template.written.kind == WINDOW and 0 < number < template.cost:
            warnings.append(
                f"The {template.scope} limit '{template.written.name}' admits nothing: each request counts "
                f"as {template.cost}, which is more than {number}."
            )
    return warnings


def _bounds(other: LimitTemplate, template: LimitTemplate) -> bool:
    """True when `other` holds for every request that `template` counts, whatever its client sends."""
    same = (other.scope, other.written.kind) == (template.scope, template.written.kind)
    return same and not other.written.is_chosen and other.match in (EVERY, template.match)
