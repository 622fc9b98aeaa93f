"""Which requests a limit counts."""

from dataclasses import dataclass

from shared.core.globs import matches_path
from shared.model.messages import Request


@dataclass(frozen=True, slots=True)
class LimitMatch:
    """Requests of these methods below these paths; no methods are all methods, no paths are all paths.

    `paths` are globs (`globs.matches_path`) that the normalized path is held against.
    """

    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def takes(self, request: Request) -> bool:
        """True when the limit counts this request."""
        if self.methods and request.method not in self.methods:
            return False
        return not self.paths or any(matches_path(glob, request.path) for glob in self.paths)

    @property
    def text(self) -> str:
        """The same for the same requests, however they were written down; empty for all requests."""
        if self == EVERY:
            return ""
        return f" {','.join(sorted({*self.methods}))} {' '.join(sorted({*self.paths}))}"


#: All requests.
EVERY = LimitMatch()
