"""A Lua script as Redis knows it: by the digest of its text."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.stores.endpoint import Command


@dataclass(frozen=True, slots=True)
class Script:
    """Files of this folder. Redis forgets a script when it restarts; then it has to be loaded again."""

    text: str
    digest: str

    @classmethod
    def named(cls, *names: str) -> Self:
        """The script in the files of these names, one after the other."""
        text = "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    @property
    def load(self) -> Command:
        """The command that makes Redis know it."""
        return ("SCRIPT", "LOAD", self.text)

    def run(self, keys: Sequence[str], arguments: Sequence[str | int]) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)
