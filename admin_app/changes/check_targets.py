"""The URLs in a request body, checked before anything is stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from admin_app.changes.entries import sent_entries
from admin_app.context import services
from shared.core.errors import OutsideError, Problem


class CheckedTargets(NamedTuple):
    """What is wrong with the URLs of a body, and what may be."""

    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


def check_targets(sent: Mapping[str, Any]) -> CheckedTargets:
    """Check the rule's target and the plugins' endpoints. All host names are resolved at the same time."""
    urls = dict(_urls(sent))
    if not urls:
        return CheckedTargets()
    # The threads have no app context, so they get the check itself.
    check = services().check_target
    with ThreadPoolExecutor(len(urls)) as pool:
        results = list(pool.map(lambda item: _check(check, *item), urls.items()))
    problems = [problem for result in results for problem in result.problems]
    return CheckedTargets(problems, [warning for result in results for warning in result.warnings])


def _check(check: Callable[..., Sequence[str]], pointer: str, url: str) -> CheckedTargets:
    try:
        # An endpoint is called as written; a target gets the path and query of the request.
        warnings = check(url, allow_query=pointer != "/target")
    except (ValueError, OutsideError) as error:
        return CheckedTargets([Problem(pointer, str(error))])
    return CheckedTargets(warnings=[Problem(pointer, warning) for warning in warnings])


def _urls(sent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "target" in sent:
        yield "/target", sent["target"]
    for pointer, entry in (*sent_entries(sent, "plugin_chain"), *sent_entries(sent, "required_plugins")):
        endpoint = entry["settings"].get("endpoint")
        if isinstance(endpoint, str):  # other types are rejected by the plugin's schema
            yield f"{pointer}/settings/endpoint", endpoint
