"""One limit as settings write it down."""

from dataclasses import dataclass

from shared.limits.values import WINDOW, Quota

#: What a client chooses anew with each request, and so could be told apart by without end.
_CHOSEN = frozenset({"method", "path", "model", "header"})


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """How much of what.

    `name` is what clients are told. `by` is what requests are told apart by: ``ip``, ``key``, ``method``,
    ``path``, ``model`` or ``header:<name in lower case>``; requests that are alike in all of it share a
    counter. `kind` is that of a `Limit`. `on_missing` says what holds for a request without the header:
    ``shared`` (all such share a counter), ``skip`` (the limit does not count it) or ``deny``.

    A limit of models counts those whose first match in `globs` is `glob`.
    """

    name: str
    quota: Quota
    by: tuple[str, ...] = ()
    kind: str = WINDOW
    on_missing: str = "shared"
    glob: str = ""
    globs: tuple[str, ...] = ()

    @property
    def is_client_chosen(self) -> bool:
        """True when a client chooses the counter by what it sends."""
        return any(one.partition(":")[0] in _CHOSEN for one in self.by)
