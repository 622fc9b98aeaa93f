"""Rejects responses without a body, and names the body that it saw."""

from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Reject, Verdict


class BodyNeeded(Plugin):
    """Rejects responses without a body.

    >>> BodyNeeded.parse({}).name
    'body_needed'
    """

    def pre_response(self, exchange: Exchange) -> Verdict:
        body = exchange.response.body if exchange.response else None
        return CONTINUE if body else Reject(422, "content_rejected", f"The body is {body!r}.")
