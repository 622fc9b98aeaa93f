"""config.yaml as it ships: every setting with its help and its default, written from the declarations."""

import dataclasses
import textwrap
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from shared.settings.sections import Settings

_HEAD = """\
The settings of AI Gateway. Every key stands here with its default; all may be left out.
Precedence: default < this file < environment < flag. The variable of server.admin_port is
GATEWAY__SERVER__ADMIN_PORT. ${NAME} and ${NAME:-default} are replaced by variables; $${ is a plain ${.
Relative paths start at the folder of this file. Sizes: 64KB, 20MB. Durations: 500ms, 10s, 1m, 1h30m.
This file is made by `python -m shared.settings > config.yaml`.
"""


def document() -> str:
    """The text of config.yaml."""
    parts = [_comment(line, "") for line in _HEAD.splitlines()]
    for field in dataclasses.fields(Settings):
        parts += ["", *_entry(field, "")]
    return "\n".join(parts) + "\n"


def _entry(field: Any, indent: str) -> list[str]:
    described = field.metadata["field"].metadata
    lines = [_comment(described["description"], indent)]
    if kind := described.get("section"):
        lines.append(f"{indent}{field.name}:")
        for inner in dataclasses.fields(kind):
            lines += _entry(inner, indent + "  ")
        return lines
    return [*lines, textwrap.indent(_yaml(field.name, described["default"]), indent)]


def _yaml(name: str, value: Any) -> str:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None if isinstance(value, list) else False
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    text = StringIO()
    yaml.dump({name: value}, text)
    return text.getvalue().rstrip()


def _comment(text: str, indent: str) -> str:
    return textwrap.fill(text, 100, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
