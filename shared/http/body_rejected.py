"""The error for a body that the gateway does not accept."""

from shared.core.errors import BODY_TOO_LONG, GatewayError


class BodyRejected(GatewayError):
    """`code` is the error code for the client (a key of `errors.STATUS`); the message is a full sentence."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def body_too_long(limit: int) -> BodyRejected:
    return BodyRejected("body_too_large", BODY_TOO_LONG.format(limit))
