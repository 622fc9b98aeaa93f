"""The page of what requests, responses and errors of one API become in another."""

import json
from collections.abc import Iterator, Mapping

from scripts.reference.page import code, page, table
from shared.translation.errors import ROWS, chat_error, messages_error
from shared.translation.members import DROP, MAP, Member
from shared.translation.notes import HEADER
from shared.translation.pairs import TABLES
from shared.translation.stops import FINISH_REASONS, INCOMPLETE_REASONS, STOP_REASONS

_ACTIONS = {MAP: "mapped", DROP: "dropped"}


def translation_page() -> str:
    """The page docs/reference/translation.md: the fate of every member, for each pair of APIs."""
    return page(
        "Translation",
        "A client that speaks one API can reach a model that speaks another. Members of both are mapped. "
        f"One that the model's API lacks is dropped, and the response header `{HEADER}` names it: "
        "`anthropic.messages; dropped=seed,logit_bias; changed=temperature`. One that would change the "
        "response is rejected: 400 `untranslatable`, with a JSON Pointer and the member to use instead. A "
        "member that is in no table is dropped.",
        *[part for (client, upstream), tables in TABLES.items() for part in _pair(client, upstream, tables)],
        "## Why a response ended\n",
        "A model that calls a tool ends with `tool_use`, whatever its server says. Any other reason than "
        "these is a normal end for clients of `openai.chat`, and an error for those of `anthropic.messages` "
        "and `openai.responses`.",
        table(
            ("`stop_reason` of `anthropic.messages`", "`finish_reason` of `openai.chat`"),
            [(code(stop), code(finish)) for stop, finish in FINISH_REASONS.items()],
        ),
        table(
            ("`finish_reason` of `openai.chat`", "`stop_reason` of `anthropic.messages`"),
            [(code(finish), code(stop)) for finish, stop in STOP_REASONS.items()],
        ),
        table(
            ("`finish_reason` of `openai.chat`", "`status` of `openai.responses`", "`incomplete_details`"),
            [(code(finish), *_status(reason)) for finish, reason in INCOMPLETE_REASONS.items()],
        ),
        "## Usage\n",
        "`prompt_tokens` includes what was read from a cache and written to one, and so does `input_tokens` "
        "of `openai.responses`; that of `anthropic.messages` does not. A figure that the provider does not "
        "report is absent, and not 0, unless the API requires the member.",
        "## Streams\n",
        "The events of a stream say what the whole response would say. A stream that is cut off ends with an "
        "error, and without `[DONE]` or `message_stop`; for clients of `openai.responses`, with "
        "`response.failed`. Pieces of calls that come in any order are sent one call after the other to "
        "clients of `anthropic.messages`.",
        "## Two steps\n",
        "`anthropic.messages` and `openai.responses` meet in `openai.chat`: both tables hold, one after the "
        "other. A pointer of the second step names the member of the client, if both APIs have it.",
        "## Errors\n",
        "The message of the provider is kept.",
        table(
            ("status", "type and code of OpenAI", "type of Anthropic"),
            [tuple(_error(status)) for status in ROWS],
        ),
    )


def _pair(client: str, upstream: str, tables: Mapping[str, Mapping[str, Member]]) -> Iterator[str]:
    yield f"## From {code(client)} to {code(upstream)}\n"
    for kind, members in tables.items():
        rows = [(code(name), *_words(member)) for name, member in members.items()]
        yield table((kind, "", "what it becomes, or what to do instead"), rows)


def _words(member: Member) -> tuple[str, str]:
    allowed = ", ".join(code(json.dumps(value)) for value in member.harmless)
    action = _ACTIONS.get(member.action, "rejected")
    return f"{action}, but for {allowed}" if allowed else action, member.to


def _status(reason: str | None) -> tuple[str, str]:
    return (code("completed"), "") if reason is None else (code("incomplete"), code(reason))


def _error(status: int) -> Iterator[str]:
    chat, messages = chat_error(status, ""), messages_error(status, "")
    error = chat.document["error"]
    seen = sorted({chat.status, messages.status} - {status})
    yield f"{status}" + "".join(f" (also as {other})" for other in seen)
    yield code(error["type"]) + (f", {code(error['code'])}" if error["code"] else "")
    yield code(messages.document["error"]["type"])
