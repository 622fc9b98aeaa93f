"""The largest bodies of a rule: its own, and the operator's where it has none.

>>> BodyLimits(10, 20, public=30, max_request=100, max_response=200).with_own(RuleLimits(request_body=50))
BodyLimits(request=50, response=20, public=30, max_request=100, max_response=200)
"""

from typing import NamedTuple, Self

from shared.model.config import RuleLimits
from shared.settings.sections import Limits

_MIB = 1024 * 1024


class BodyLimits(NamedTuple):
    """Sizes in bytes.

    Attributes:
        request: the largest body of a request.
        response: the largest body of a response that is held as a whole.
        public: the largest body of a request without an API key.
        max_request, max_response: the most that a rule may have.
    """

    request: int = 50 * _MIB
    response: int = 50 * _MIB
    public: int = _MIB // 16
    max_request: int = 1024 * _MIB
    max_response: int = 200 * _MIB

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """The largest bodies under these settings."""
        return cls(
            limits.request_body,
            limits.response_body,
            limits.public_body,
            limits.max_request_body,
            limits.max_response_body,
        )

    def with_own(self, own: RuleLimits) -> "BodyLimits":
        """These, replaced by those that the rule has. The operator may have lowered the ceilings since."""
        request = min(own.request_body or self.request, self.max_request)
        return self._replace(
            request=request,
            public=min(self.public, request),
            response=min(own.response_body or self.response, self.max_response),
        )
