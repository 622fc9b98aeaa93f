"""Patterns in which ``*`` stands for any characters, also for none, and all else for itself."""


def matches_glob(glob: str, text: str) -> bool:
    """True when `glob` covers all of `text`. Case matters. Takes time in proportion to the text.

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
    """Sorts the most precise glob first: the one that spells most out, then the one with fewer stars.

    >>> sorted(["*", "gpt-*", "gpt-4o*", "gpt-4o"], key=precision)
    ['gpt-4o', 'gpt-4o*', 'gpt-*', '*']
    """
    stars = glob.count("*")
    return stars - len(glob), stars, glob


def matches_path(glob: str, path: str) -> bool:
    """True when `glob` covers `path`, or a folder that it stands in: on segment boundaries, as rules match.

    >>> matches_path("/v1", "/v1/chat"), matches_path("/v1", "/v1/"), matches_path("/v1", "/v1evil")
    (True, True, False)
    """
    folder = glob.rstrip("/")
    return matches_glob(folder or "/", path) or matches_glob(f"{folder}/*", path)
