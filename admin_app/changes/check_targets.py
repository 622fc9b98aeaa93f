"""The URLs in a request body, checked before anything is stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from admin_app.changes.entries import sent_entries
from admin_app.context import services
from shared.core.errors import Invalid, OutsideError, Problem


def check_targets(sent: Mapping[str, Any]) -> list[str]:
    """Warnings about the rule's target and the plugins' endpoints in a body.

    Raises `Invalid` when one of them is forbidden. All host names are resolved at the same time.
    """
    urls = dict(_urls(sent))
    if not urls:
        return []
    # The threads have no app context, so they get the check itself.
    check = services().check_target
    with ThreadPoolExecutor(len(urls)) as pool:
        results = list(pool.map(lambda item: _check(check, *item), urls.items()))
    problems = [result for result in results if isinstance(result, Problem)]
    if problems:
        raise Invalid(problems)
    return [warning for result in results if not isinstance(result, Problem) for warning in result]


def _check(check: Callable[..., Sequence[str]], pointer: str, url: str) -> Problem | list[str]:
    try:
        # An endpoint is called as written; a target gets the path and query of the request.
        return [f"{pointer}: {warning}" for warning in check(url, allow_query=pointer != "/target")]
    except (ValueError, OutsideError) as error:
        return Problem(pointer, str(error))


def _urls(sent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "target" in sent:
        yield "/target", sent["target"]
    for pointer, entry in (*sent_entries(sent, "plugin_chain"), *sent_entries(sent, "required_plugins")):
        endpoint = entry["settings"].get("endpoint")
        if isinstance(endpoint, str):  # other types are rejected by the plugin's schema
            yield f"{pointer}/settings/endpoint", endpoint
