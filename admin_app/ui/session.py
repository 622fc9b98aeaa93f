"""Log in and log out: /ui/session.

The cookie holds the key, sealed. Other sites cannot make a browser log in or out: both need a page of ours.
"""

from typing import Final

import flask
from flask import Response, request
from marshmallow import fields, validate

from admin_app.auth.access import Access, log_in, requires
from admin_app.auth.attempts import check_changes
from admin_app.auth.events import note_event
from admin_app.auth.sessions import check_own_page, cookie_name, is_secure, sealed_key
from admin_app.context import services
from admin_app.http.bodies import BodyParser
from admin_app.http.errors import ApiError
from admin_app.http.responses import no_content
from shared.core.durations import HOUR_SECONDS
from shared.core.fields import Strict

LIFETIME: Final = 8 * HOUR_SECONDS  # seconds
_PARSER: Final = BodyParser()

blueprint = flask.Blueprint("session", __name__, url_prefix="/ui/session")


class _LoginInput(Strict):
    """The form with which a browser logs in."""

    key = fields.String(required=True, validate=validate.Length(1, 500))


@blueprint.post("")
@requires(Access.PUBLIC)
def start() -> Response:
    """Check the key. From now on, calls of the browser count as made with it."""
    check_own_page()
    key = _PARSER.parse(_LoginInput(), request, location="json")["key"].strip()
    caller = log_in(key)
    if not caller.may(Access.READ):
        detail = "This key may only call the proxy. Log in with a key that has the scope admin or read."
        raise ApiError("forbidden", detail)
    if caller.tenant_id:
        check_changes(caller.tenant_id)
    note_event("logIn", caller.actor, "logged in to the dashboard")
    return _with_cookie(sealed_key(key, services().clock.now() + LIFETIME), LIFETIME)


@blueprint.delete("")
@requires(Access.PUBLIC)
def stop() -> Response:
    """Make the browser forget the cookie, which opens until it expires: to end it before, revoke the key."""
    check_own_page()
    return _with_cookie("", 0)


def _with_cookie(value: str, seconds: int) -> Response:
    response = no_content()
    response.set_cookie(
        cookie_name(),
        value,
        max_age=seconds,
        secure=is_secure(),
        httponly=True,
        samesite="Strict",
    )
    return response
