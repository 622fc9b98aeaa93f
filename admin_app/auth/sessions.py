"""The sessions of browsers: the caller's own key, sealed in a cookie that no script can read.

The server keeps nothing. A key that is revoked ends its sessions at once, because every call shows the key to
the guard. A call that a page of another site makes is rejected: the browser says which page made it.
"""

from contextlib import suppress
from typing import Final

import orjson
from flask import request

from admin_app.context import services
from admin_app.http.errors import ApiError
from admin_app.http.forwarded import own_origin
from shared.core.http_tokens import SESSION_COOKIES

_CONTEXT: Final = "ui-session"
_SAFE: Final = frozenset({"GET", "HEAD"})


def is_secure() -> bool:
    """Whether the browser reaches us over TLS."""
    return own_origin().startswith("https:")


def cookie_name() -> str:
    """The name of the cookie. With the prefix __Host-, only this host can set it, and only over TLS."""
    secure, plain = SESSION_COOKIES
    return secure if is_secure() else plain


def sealed_key(key: str, until: float) -> str:
    """The value of the cookie."""
    return services().sealer.seal(orjson.dumps([until, key]).decode(), _CONTEXT)


def session_key() -> str | None:
    """The key of the session that the request belongs to; None if it has none that is whole and in time.

    Others on this host, at another port or path, may have set a cookie of the same name: it is passed over.
    """
    for sealed in request.cookies.getlist(cookie_name()):
        with suppress(ValueError):
            until, key = orjson.loads(services().sealer.open(sealed, _CONTEXT))
            if until > services().clock.now():
                return str(key)
    return None


def check_own_page() -> None:
    """Raise 403 unless the browser says that a page of ours makes this call, or the call only reads."""
    if request.method not in _SAFE and _is_own_page() is not True:
        raise ApiError("foreign_page", "With a session, only pages of the dashboard may make this call.")


def check_no_foreign_page() -> None:
    """Raise 403 if a browser says that another site makes this call. Other clients say nothing."""
    if request.method not in _SAFE and _is_own_page() is False:
        raise ApiError("foreign_page", "A page of another site made this call. Send a key.")


def _is_own_page() -> bool | None:
    """Whether a page of ours makes the call; None if the client does not say.

    Browsers send Sec-Fetch-Site over TLS and to localhost, and Origin with every change.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site == "same-origin"
    return None if origin is None else origin == own_origin()
