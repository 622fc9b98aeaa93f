"""Patterns in which ``*`` matches any characters, also none, and all others match themselves."""


def matches_glob(glob: str, text: str) -> bool:
    """True when `glob` matches all of `text`. Case matters. The time grows linearly with the text.

    >>> matches_glob("gpt-4o*", "gpt-4o-mini"), matches_glob("*", ""), matches_glob("gpt-4o", "gpt-4o-mini")
    (True, True, False)
    """
    first, *rest = glob.split("*")
    if not rest:
        return text == glob
    *inner, last = rest
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in inner:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def precision(glob: str) -> tuple[int, int, str]:
    """A sort key: the glob with the most literal characters comes first, then the one with fewer stars.

    >>> sorted(["*", "gpt-*", "gpt-4o*", "gpt-4o"], key=precision)
    ['gpt-4o', 'gpt-4o*', 'gpt-*', '*']
    """
    stars = glob.count("*")
    return stars - len(glob), stars, glob


def matches_path(glob: str, path: str) -> bool:
    """True when `glob` matches `path` or one of its parent folders, on segment boundaries as rules do.

    >>> matches_path("/v1", "/v1/chat"), matches_path("/v1", "/v1/"), matches_path("/v1", "/v1evil")
    (True, True, False)
    """
    folder = glob.rstrip("/")
    return matches_glob(folder or "/", path) or matches_glob(f"{folder}/*", path)
