"""The shell blocks of a page, run as a reader would paste them: in order, in one shell.

A block of the language ``bash`` is run on every machine. A block ``text`` right after it is what it prints, where
``…`` stands for any text. A block of the language ``sh`` starts or changes a whole machine: `test_operator_blocks`
runs it as far as a test can.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"```bash\n(?P<code>.*?)```\n(?:```text\n(?P<printed>.*?)```)?", re.DOTALL)
_OPERATOR_BLOCK = re.compile(r"^(?P<indent> *)```sh\n(?P<code>.*?)^ *```$", re.DOTALL | re.MULTILINE)
_MARK = "--- end of block ---"


class ShellBlock(NamedTuple):
    """The code of a block, and what the page says that it prints; None when the page does not say."""

    code: str
    printed: str | None

    def is_printed_by(self, output: str) -> bool:
        """Whether the output is what the page says. White space at the ends of lines does not count."""
        if self.printed is None:
            return True
        parts = [re.escape(part) for part in _lines(self.printed).split("…")]
        return re.fullmatch(".*?".join(parts), _lines(output), re.DOTALL) is not None


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def shell_blocks(page: str) -> list[ShellBlock]:
    return [ShellBlock(match["code"], match["printed"]) for match in _BLOCK.finditer(page)]


def operator_blocks(page: str) -> list[str]:
    """The code of the blocks of the language ``sh``."""
    return [textwrap.dedent(match["code"]) for match in _OPERATOR_BLOCK.finditer(page)]


def run_blocks(
    blocks: list[ShellBlock], replaced: Mapping[str, str], *, folder: Path, env: Mapping[str, str]
) -> None:
    """Run the blocks in one shell, and compare what each prints. `replaced` maps texts of the page to ours."""
    script = f"\necho '{_MARK}'\n".join(block.code for block in blocks)
    for old, new in replaced.items():
        script = script.replace(old, new)
    # `python3` of the reader has the packages that the page names.
    path = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**env, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    outputs = ended.stdout.split(f"{_MARK}\n")
    assert len(outputs) == len(blocks), ended.stdout + ended.stderr
    for block, output in zip(blocks, outputs, strict=True):
        assert block.is_printed_by(output), f"{block.code}\nprinted:\n{output}\n{ended.stderr}"
