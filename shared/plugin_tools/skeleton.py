"""The skeleton of a plugin and of its test. Both work as generated."""

import keyword
import re
from collections.abc import Collection
from pathlib import Path

from shared.core.errors import GatewayError

_PLUGIN = '''\
"""Reject requests that have a certain header."""

from shared.pipeline.plugin import (
    CONTINUE,
    Exchange,
    Plugin,
    Reject,
    Verdict,
    fields,
    setting,
)


class {kind}(Plugin):
    """Reject requests that have a certain header.

    >>> {kind}.parse({{"header": "X-Secret"}}).header
    'X-Secret'
    """

    reads = frozenset({{"headers"}})
    blocking = False

    header: str = setting(
        fields.String(load_default="X-Debug"),
        "Name of the header that a request must not have.",
    )

    def pre_request(self, exchange: Exchange) -> Verdict:
        if self.header in exchange.request.headers:
            return Reject(403, "forbidden", f"{{self.header}} is not allowed.")
        return CONTINUE
'''

_TEST = '''\
"""The plugin {name}: what it rejects, and what it admits."""

{imports}from shared.model.config import Stage
from shared.pipeline.plugin import CONTINUE, Reject
from shared.pipeline.testing import run_plugin, sample_exchange
from shared.plugins import load_catalogue

{kind} = load_catalogue({folders})["{name}"]


def test_request_with_the_header_is_rejected() -> None:
    plugin = {kind}.parse({{"header": "X-Secret"}})
    exchange = sample_exchange(headers={{"x-secret": "1"}})
    verdict = run_plugin(plugin, Stage.PRE_REQUEST, exchange)
    assert isinstance(verdict, Reject)
    assert verdict.message == "X-Secret is not allowed."


def test_request_without_the_header_continues() -> None:
    plugin = {kind}.parse({{}})
    assert run_plugin(plugin, Stage.PRE_REQUEST, sample_exchange()) == CONTINUE
'''


class SkeletonError(GatewayError):
    """The skeleton cannot be written."""


def write_skeleton(
    name: str, taken: Collection[str], folder: Path | None, project: Path
) -> tuple[Path, Path]:
    """Write a plugin named `name` and its test. Return the paths of both.

    They go into `folder`, which `plugins.paths` names; without one into the gateway itself (`project`).
    Raises `SkeletonError` when the name is invalid or `taken`, or when a file exists already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise SkeletonError(
            f"{name!r} is not a valid plugin name. Use lower case letters, digits and _, such as word_limit."
        )
    if name in taken:
        raise SkeletonError(f"A plugin {name} exists already. Choose another name.")
    if folder is None:
        paths = project / f"shared/plugins/{name}.py", project / f"tests/plugins/test_{name}.py"
        imports, folders = "", ""
    else:
        # Every file in the folder itself is loaded as a plugin.
        paths = folder / f"{name}.py", folder / f"tests/test_{name}.py"
        imports, folders = "from pathlib import Path\n\n", "[Path(__file__).parents[1]]"
    existing = [str(path) for path in paths if path.exists()]
    if existing:
        raise SkeletonError(f"{' and '.join(existing)} would be overwritten. Choose another name.")
    kind = "".join(part.capitalize() for part in name.split("_"))
    texts = _PLUGIN.format(kind=kind), _TEST.format(name=name, kind=kind, imports=imports, folders=folders)
    for path, text in zip(paths, texts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return paths
