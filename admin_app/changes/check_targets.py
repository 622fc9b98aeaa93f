"""The URLs in a request body, checked before anything is stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from flask import g

from admin_app.changes.entries import sent_entries
from admin_app.context import services
from shared.core.errors import OutsideError, Problem
from shared.net.resolve import CheckedTarget

# The pointers of a rule's upstreams begin with it.
_TARGET = "/target"
_MAX_THREADS = 32


class _Url(NamedTuple):
    """A URL, and whether it is that of an upstream, which has no query."""

    text: str
    is_upstream: bool


class CheckedTargets(NamedTuple):
    """The problems of the URLs of a body, and its warnings.

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
    """Check all URLs of some bodies. One that the current call has checked before is not checked again."""
    known: dict[_Url, CheckedTarget | str] = g.setdefault("checked_targets", {})
    new = [
        *dict.fromkeys(_url(*item) for urls in bodies for item in urls.items() if _url(*item) not in known)
    ]
    # The threads have no app context, so they get the check itself.
    check = partial(_check, services().check_target)
    if len(new) < 2:
        known |= {url: check(url) for url in new}
    else:
        with ThreadPoolExecutor(min(len(new), _MAX_THREADS)) as pool:
            known |= zip(new, pool.map(check, new), strict=True)
    return [
        _together({at: _with_pointer(at, known[_url(at, url)]) for at, url in urls.items()})
        for urls in bodies
    ]


def _together(results: Mapping[str, CheckedTargets]) -> CheckedTargets:
    upstreams = [one.is_internal for at, one in results.items() if at.startswith(_TARGET)]
    return CheckedTargets(
        [problem for result in results.values() for problem in result.problems],
        [warning for result in results.values() for warning in result.warnings],
        bool(upstreams) and all(upstreams),
    )


def _url(pointer: str, url: str) -> _Url:
    # An endpoint is called as written; a target gets the path and query of the request.
    return _Url(url, is_upstream=pointer.startswith(_TARGET))


def _check(check: Callable[..., CheckedTarget], url: _Url) -> CheckedTarget | str:
    """A checked URL, or what is wrong with it."""
    try:
        return check(url.text, allow_query=not url.is_upstream)
    except (ValueError, OutsideError) as error:
        return str(error)


def _with_pointer(pointer: str, checked: CheckedTarget | str) -> CheckedTargets:
    if isinstance(checked, str):
        return CheckedTargets([Problem(pointer, checked)])
    warnings = [Problem(pointer, warning) for warning in checked.warnings]
    return CheckedTargets((), warnings, pointer.startswith(_TARGET) and checked.is_internal)


def _urls(sent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if sent.get("target"):
        yield _TARGET, sent["target"]
    for i, one in enumerate(sent.get("targets") or ()):
        yield f"{_TARGET}s/{i}/url", one.url
    for pointer, entry in (*sent_entries(sent, "plugin_chain"), *sent_entries(sent, "required_plugins")):
        endpoint = entry["settings"].get("endpoint")
        if isinstance(endpoint, str):  # other types are rejected by the plugin's schema
            yield f"{pointer}/settings/endpoint", endpoint
