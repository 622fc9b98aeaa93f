"""Where a request goes: the upstream of a rule, or that of one model with one key of its provider."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from urllib.parse import quote

from shared.core.addresses import Network, is_in, plain_address
from shared.core.empty import EMPTY
from shared.core.http_tokens import KEY_HEADERS, Fields
from shared.http.forwarding import OwnHeaders
from shared.http.sent_secrets import SentSecrets
from shared.model.messages import encoded
from shared.model.targets import Target
from shared.pipeline.plan import Plan
from shared.routing.timeouts import UpstreamTimeouts

_ACCEPT_ENCODING = "accept-encoding"
# With these a client could fetch a response in parts, of which none has a text that is not allowed.
# Request-Range is the old name of Range; some servers still know it.
_PARTIAL = ("range", "if-range", "request-range")


@dataclass(frozen=True, slots=True)
class Upstream:
    """The upstream of a request, compiled.

    Attributes:
        target: its origin; the path of a plain rule's requests begins with that of the target.
        own: the headers that are set on each request.
        timeouts: those of its calls.
        ca: certificates (PEM) to trust; None trusts the usual ones.
        path: the whole path; None: it is made of the client's.
        query: parameters that are added to the client's, in place of its own with these names.
        defaults: headers for requests that do not have them.
        secrets: the values in `own` and `query` that must not be shown, by the names of their headers and
            parameters.
        key: the key of the provider, empty if it needs none.
        is_traced: it is told the place of each request in a trace.
        is_translated: it gets no query of the client's, which is for another API.
        credential: the header in which the client's own credential goes to it, and whether a bearer's; None:
            in the one in which it came.
        authority: the Host of the target.
        has_credential: the gateway sends a key of its own, so no credential of the client goes beside it.
    """

    target: Target
    own: OwnHeaders
    _: KW_ONLY
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)
    ca: str | None = None
    path: str | None = None
    query: str = ""
    defaults: Fields = ()
    secrets: Mapping[str, str] = EMPTY
    key: str = field(default="", repr=False)
    is_traced: bool = False
    is_translated: bool = False
    credential: tuple[bytes, bool] | None = None
    authority: bytes = field(init=False, repr=False, compare=False)
    has_credential: bool = field(init=False, repr=False, compare=False)
    _hidden: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        forms = {self.key, quote(self.key, safe="")} if self.key else ()
        object.__setattr__(self, "_hidden", tuple(encoded(form) for form in forms))
        object.__setattr__(self, "authority", self.target.authority.encode("ascii"))
        object.__setattr__(self, "has_credential", not self.own.replaced.isdisjoint(KEY_HEADERS))

    def sent_secrets(self) -> SentSecrets | None:
        """The secrets that it gets, to be taken out of its errors. None: it gets none."""
        return SentSecrets.of(self.key, self.secrets.values())

    def without_key(self, fields: Fields) -> Fields:
        """The fields of a response without those that tell the key, as a redirect does with its query."""
        if self._hidden:
            values = b"\n".join([value for _, value in fields])
            for hidden in self._hidden:
                if values.find(hidden) >= 0:  # `in` takes three times as long
                    fields = tuple([field for field in fields if hidden not in field[1]])
        return fields


def own_headers(headers: Mapping[str, str], plan: Plan, *, who: bool) -> OwnHeaders:
    """The headers of a target as they are sent.

    If events are judged, they ask for a response without compression: a compressed stream would have to be
    collected. If responses are judged, clients cannot ask for a part of one.
    """
    if plan.judges_events and _ACCEPT_ENCODING not in map(str.lower, headers):
        headers = {**headers, _ACCEPT_ENCODING: "identity"}
    return OwnHeaders(headers, _PARTIAL if plan.judges_bodies else (), who=who)


def is_internal(target: Target, networks: Sequence[Network], *, otherwise: bool) -> bool:
    """Whether a target is in one of these networks. `otherwise` is for a host name, which is not resolved."""
    try:
        return is_in(plain_address(target.host), networks)
    except ValueError:
        return otherwise
