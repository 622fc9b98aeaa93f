"""A Lua script, which Redis runs by the digest of its text."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.redis_client.endpoint import Command


@dataclass(frozen=True, slots=True)
class Script:
    """The text of a script and its digest. A Redis that restarts has to load it again."""

    text: str
    digest: str

    @classmethod
    def of(cls, *files: Path) -> Self:
        return cls.of_text("".join(file.read_text(encoding="utf-8") for file in files))

    @classmethod
    def of_text(cls, text: str) -> Self:
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def command(self, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Command:
        """Run the script."""
        return "EVALSHA", self.digest, len(keys), *keys, *arguments

    @property
    def load(self) -> Command:
        return ("SCRIPT", "LOAD", self.text)
