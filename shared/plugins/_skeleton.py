"""The first draft of a plugin, and its test: both work as they stand."""

import keyword
import re
from collections.abc import Collection
from pathlib import Path

from shared.core.errors import GatewayError

_PLUGIN = '''\
"""Refuses requests that have a certain header."""

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
    """Refuses requests that have a certain header.

    >>> {kind}.parse({{"header": "X-Secret"}}).header
    'X-Secret'
    """

    reads = frozenset({{"headers"}})
    blocking = False

    header: str = setting(
        fields.String(load_default="X-Debug"),
        "The header that a request must not have.",
    )

    def pre_request(self, exchange: Exchange) -> Verdict:
        if self.header in exchange.request.headers:
            return Reject(403, "forbidden", f"{{self.header}} is not allowed.")
        return CONTINUE
'''

_TEST = '''\
"""The plugin {name}: what it refuses, and what it lets pass."""

{imports}from shared.model.config import Stage
from shared.pipeline.plugin import CONTINUE, Reject
from shared.pipeline.testing import run_plugin, sample_exchange
from shared.plugins import load_catalogue

{kind} = load_catalogue({folders})["{name}"]


def test_a_request_with_the_header_is_refused() -> None:
    plugin = {kind}.parse({{"header": "X-Secret"}})
    exchange = sample_exchange(headers={{"x-secret": "1"}})
    verdict = run_plugin(plugin, Stage.PRE_REQUEST, exchange)
    assert isinstance(verdict, Reject)
    assert verdict.message == "X-Secret is not allowed."


def test_others_pass() -> None:
    plugin = {kind}.parse({{}})
    assert run_plugin(plugin, Stage.PRE_REQUEST, sample_exchange()) == CONTINUE
'''


class SkeletonError(GatewayError):
    """A skeleton that cannot be written."""


def write_skeleton(
    name: str, taken: Collection[str], folder: Path | None, project: Path
) -> tuple[Path, Path]:
    """Write a plugin called `name`, and its test; returns where.

    Into the gateway itself, `project`, or into a `folder` that `plugins.paths` names. Raises
    `SkeletonError` when the name is no name, or `taken`, or something is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise SkeletonError(f"{name!r} is no name of a plugin. It must be like a module's: word_limit.")
    if name in taken:
        raise SkeletonError(f"There is a plugin {name} already. Choose another name.")
    if folder is None:
        places = project / f"shared/plugins/{name}.py", project / f"tests/plugins/test_{name}.py"
        imports, folders = "", ""
    else:
        # Every file beside the plugin would be taken for a plugin.
        places = folder / f"{name}.py", folder / f"tests/test_{name}.py"
        imports, folders = "from pathlib import Path\n\n", "[Path(__file__).parents[1]]"
    there = [str(place) for place in places if place.exists()]
    if there:
        raise SkeletonError(f"{' and '.join(there)} would be overwritten. Choose another name.")
    kind = "".join(part.capitalize() for part in name.split("_"))
    texts = _PLUGIN.format(kind=kind), _TEST.format(name=name, kind=kind, imports=imports, folders=folders)
    for place, text in zip(places, texts, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return places
