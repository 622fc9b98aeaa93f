"""The addresses that a body names, checked before anything is stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from admin_app.services import current
from shared.core.errors import Invalid, OutsideError, Problem


def check_targets(sent: Mapping[str, Any]) -> list[str]:
    """Warnings about the rule target and the plugins' endpoints that were sent.

    Raises `Invalid` when one of them must not be called. All names are resolved at the same time, so it
    takes as long as the slowest.
    """
    named = dict(_named(sent))
    if not named:
        return []
    # The pool's threads know no app and no request; they get the check itself.
    check = current().check_target
    with ThreadPoolExecutor(len(named)) as pool:
        results = list(pool.map(lambda item: _check(check, *item), named.items()))
    problems = [result for result in results if isinstance(result, Problem)]
    if problems:
        raise Invalid(problems)
    return [warning for result in results if not isinstance(result, Problem) for warning in result]


def _check(check: Callable[..., Sequence[str]], pointer: str, url: str) -> Problem | list[str]:
    try:
        # An endpoint is called as it stands; a target is joined with the path and query of the request.
        return [f"{pointer}: {warning}" for warning in check(url, allow_query=pointer != "/target")]
    except (ValueError, OutsideError) as error:
        return Problem(pointer, str(error))


def _named(sent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "target" in sent:
        yield "/target", sent["target"]
    entries = [(f"/plugin_chain/{i}", entry) for i, entry in enumerate(sent.get("plugin_chain", ()))]
    required = sent.get("required_plugins", {})
    entries += [(f"/required_plugins/{name}", entry) for name, entry in required.items()]
    yield from _endpoints(entries)


def _endpoints(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    for pointer, entry in entries:
        endpoint = entry["settings"].get("endpoint")
        if isinstance(endpoint, str):  # what is no text is for the plugin's own check to refuse
            yield f"{pointer}/settings/endpoint", endpoint
