"""A Lua script as Redis knows it: by the digest of its text."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.redis_client.endpoint import Command


@dataclass(frozen=True, slots=True)
class Script:
    """Its text and its digest. Redis forgets a script when it restarts; then it has to be loaded again."""

    text: str
    digest: str

    @classmethod
    def of(cls, *files: Path) -> Self:
        """The script in these files, one after the other."""
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    @property
    def load(self) -> Command:
        """The command that makes Redis know it."""
        return ("SCRIPT", "LOAD", self.text)

    def run(self, keys: Sequence[str], arguments: Sequence[str | int]) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)
