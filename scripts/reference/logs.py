"""The page of the lines of the log, and their JSON Schema."""

import json
from collections.abc import Mapping
from typing import Any

from scripts.reference.page import code, page, table
from shared.log_lines import AI_FIELDS, CAUSES, KINDS, fields_of, json_schema


def logs_page() -> str:
    """Every kind of line of the log, with its fields."""
    kinds = [
        part
        for kind in KINDS
        for part in (
            f"## {kind.title}\n",
            f"{kind.meaning} `logger` is `{kind.logger}`." if kind.logger else kind.meaning,
            table(
                ("field", "type", "meaning"),
                [
                    (f"`{field.name}`", _type(field.schema), field.meaning + _absence(field.is_always_there))
                    for field in fields_of(kind)
                ],
            ),
        )
    ]
    causes = [(f"`{cause}`", meaning) for cause, meaning in CAUSES.items()]
    return page(
        "The log",
        "Both programs write their log to standard output: one JSON object per line, in UTF-8. Standard "
        "error has sentences that are not part of the log, such as the reason why a start failed. "
        "`log.level` sets the lowest level; above `info` there are no lines of requests, starts and changes.",
        "[logs.schema.json](logs.schema.json) is the JSON Schema of a line. These names and meanings are "
        "stable; later releases add fields. The fields of a kind are always there, unless the table says "
        "otherwise, and are null when there is nothing to say. Texts of clients are masked, and cut after "
        "1,024 characters. The log has no bodies, keys or other secrets.",
        *kinds,
        "## Requests to models\n",
        "On a rule for AI, `ai` has these members:",
        table(
            ("member", "type", "meaning"),
            [(f"`{one.name}`", _type(one.schema), one.meaning) for one in AI_FIELDS],
        ),
        "## Causes\n",
        "With a 502 or 504 of the gateway, `cause` says why, `detail` says it as a sentence, and `upstream` "
        "names the host:",
        table(("cause", "meaning"), causes),
        "## What is not logged\n",
        "`log.sample` writes a share of the lines with a class of status, such as 0.1 of those with "
        "2xx. Records, metrics and traces have all requests.",
        "Health checks are not logged. Requests without a valid head, and those above `limits.in_flight` or "
        "`limits.connections`, are counted and not logged.",
        "With `server.engine: mitmproxy` the cause comes from the text of mitmproxy's core: it is never "
        "`timeout`, because that core has no timeouts, and null for a text that is not known. `attempts` is "
        "at most 1.",
        "A reader that blocks the pipe loses lines after the first 10,000, and delays no request. Later a "
        'line says in `dropped` how many are missing, and `gateway_dropped_total{kind="log"}` counts them.',
    )


# Above so many, the values of a field are listed elsewhere.
_MAX_LISTED = 4


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        values = [code(one) for one in schema["enum"] if one is not None]
        if len(values) < len(schema["enum"]):
            values = [*values, "null"] if len(values) <= _MAX_LISTED else ["one of the values below"]
        return ", ".join(values)
    types = schema["type"]
    return types if isinstance(types, str) else " or ".join(types)


def _absence(is_always_there: bool) -> str:
    return "" if is_always_there else "; only if there is one"


def logs_schema() -> str:
    """The JSON Schema of a line of the log."""
    return json.dumps(json_schema(), indent=2) + "\n"
