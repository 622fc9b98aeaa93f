"""The URLs in a request body, checked before anything is stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from admin_app.changes.entries import sent_entries
from admin_app.context import services
from shared.core.errors import OutsideError, Problem
from shared.net.resolve import CheckedTarget

# The pointers of a rule's upstreams begin with it.
_TARGET = "/target"
_MAX_THREADS = 32


class CheckedTargets(NamedTuple):
    """What is wrong with the URLs of a body, and what may be.

    `is_internal` is True if all addresses of the rule's targets are in networks that the operator allowed.
    """

    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    is_internal: bool = False


def check_targets(sent: Mapping[str, Any]) -> CheckedTargets:
    """Check the rule's targets and the plugins' endpoints. All host names are resolved at the same time."""
    return check_urls(dict(_urls(sent)))


def check_urls(urls: Mapping[str, str]) -> CheckedTargets:
    """Check URLs, which are by their JSON pointers."""
    [checked] = _check_all([urls])
    return checked


def check_all_targets(bodies: Mapping[str, Mapping[str, Any]]) -> dict[str, CheckedTargets]:
    """Check as `check_targets` does several bodies, which are by their names, at the same time."""
    return dict(zip(bodies, _check_all([dict(_urls(sent)) for sent in bodies.values()]), strict=True))


def _check_all(bodies: Sequence[Mapping[str, str]]) -> list[CheckedTargets]:
    # The threads have no app context, so they get the check itself.
    check = services().check_target
    items = [item for urls in bodies for item in urls.items()]
    if len(items) < 2:
        results = iter([_check(check, *item) for item in items])
    else:
        with ThreadPoolExecutor(min(len(items), _MAX_THREADS)) as pool:
            results = pool.map(lambda item: _check(check, *item), items)
    return [_together({at: next(results) for at in urls}) for urls in bodies]


def _together(results: Mapping[str, CheckedTargets]) -> CheckedTargets:
    upstreams = [one.is_internal for at, one in results.items() if at.startswith(_TARGET)]
    return CheckedTargets(
        [problem for result in results.values() for problem in result.problems],
        [warning for result in results.values() for warning in result.warnings],
        bool(upstreams) and all(upstreams),
    )


def _check(check: Callable[..., CheckedTarget], pointer: str, url: str) -> CheckedTargets:
    try:
        # An endpoint is called as written; a target gets the path and query of the request.
        is_upstream = pointer.startswith(_TARGET)
        checked = check(url, allow_query=not is_upstream)
    except (ValueError, OutsideError) as error:
        return CheckedTargets([Problem(pointer, str(error))])
    warnings = [Problem(pointer, warning) for warning in checked.warnings]
    return CheckedTargets((), warnings, is_upstream and checked.is_internal)


def _urls(sent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if sent.get("target"):
        yield _TARGET, sent["target"]
    for i, one in enumerate(sent.get("targets") or ()):
        yield f"{_TARGET}s/{i}/url", one.url
    for pointer, entry in (*sent_entries(sent, "plugin_chain"), *sent_entries(sent, "required_plugins")):
        endpoint = entry["settings"].get("endpoint")
        if isinstance(endpoint, str):  # other types are rejected by the plugin's schema
            yield f"{pointer}/settings/endpoint", endpoint
