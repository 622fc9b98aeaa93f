"""The verdict on a body that cannot be taken as it is."""

from shared.core.errors import GatewayError


class BodyRejected(GatewayError):
    """`code` is the error code for the client (a key of `errors.STATUS`); the message is a full sentence."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def too_long(limit: int) -> BodyRejected:
    """For a body of more than `limit` bytes."""
    return BodyRejected("body_too_large", f"The body is longer than {limit} bytes.")
