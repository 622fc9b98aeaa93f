"""How a command of `gw` ends: the one table of its exit codes, and the error that every command raises."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from http import HTTPStatus
from typing import Any

from shared.core.errors import GatewayError


class Exit(IntEnum):
    """The exit codes of all commands."""

    OK = 0
    #: Nothing was done, or not all of it.
    ERROR = 1
    #: Two sides differ: a file from the gateway, a ledger from its sums. Or parts were left out.
    DRIFT = 2
    #: Another change was first.
    CONFLICT = 3
    NOT_FOUND = 4
    #: `gw explain`: the gateway would reject the request.
    REJECTED = 5
    INTERRUPTED = 130


class Failure(GatewayError):
    """The end of a command: a sentence that says what is wrong, and a hint that says what to do."""

    def __init__(
        self,
        sentence: str,
        hint: str = "",
        *,
        code: Exit = Exit.ERROR,
        problems: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(sentence)
        self.hint = hint
        self.code = code
        #: The problems in the body of a call: JSON pointers, each with a sentence.
        self.problems = problems


#: The exit code and the hint for a status of the admin API.
_BY_STATUS: Mapping[int, tuple[Exit, str]] = {
    HTTPStatus.UNAUTHORIZED: (Exit.ERROR, "Log in with `gw login`, or set GW_TOKEN to a valid key."),
    HTTPStatus.FORBIDDEN: (Exit.ERROR, "`gw status` says which key is used; `--profile` selects another."),
    HTTPStatus.NOT_FOUND: (Exit.NOT_FOUND, "`gw get` lists what there is."),
    HTTPStatus.CONFLICT: (Exit.CONFLICT, "Look at the present state, then repeat the command."),
    HTTPStatus.PRECONDITION_FAILED: (Exit.CONFLICT, "Look at the present state, then repeat the command."),
    HTTPStatus.SERVICE_UNAVAILABLE: (Exit.ERROR, "`gw status` shows the part that is unavailable."),
}


def failure_of(status: int, problem: Mapping[str, Any]) -> Failure:
    """The failure that a problem document (RFC 9457) tells. Each wrong field has a line of its own."""
    code, hint = _BY_STATUS.get(status, (Exit.ERROR, ""))
    errors = [(one["pointer"], one["detail"]) for one in problem.get("errors") or ()]
    lines = [f"{pointer or '/'}: {detail}" for pointer, detail in errors]
    if len(lines) < 2:
        lines = [str(problem.get("detail") or f"The gateway responds with status {status}.")]
    return Failure("\n".join(lines), hint, code=code, problems=errors)
