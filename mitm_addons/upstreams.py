"""The connection to the upstream: its address checked and pinned, its certificate verified."""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

from mitmproxy import connection, http, tls
from mitmproxy.net import tls as net_tls
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from OpenSSL import SSL

from mitm_addons.flows import state_of
from mitm_addons.wire_errors import FORBIDDEN, UNRESOLVED
from shared.core.clock import Clock
from shared.core.errors import OutsideError, TargetForbidden
from shared.net.failed_addresses import DeadAddresses

#: The addresses of a host and port, all of them checked, the first to try first.
#: Raises `TargetForbidden`, or `OutsideError` when the name does not resolve.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
#: The file with the certificates to trust, given a rule's own CA (PEM text) or None.
TrustFile = Callable[[str | None], Path]


class Upstreams:
    """Opens nothing that was not checked: the name is resolved here, and only here.

    An address that could not be connected to is tried after the name's others for a while.

    A pinned address is never the name that the next request asks for, so the stock engine does not reuse
    upstream connections of names: there that is the price of the check. Express keeps them by name.
    """

    def __init__(self, resolve: Resolve, trust_file: TrustFile, clock: Clock) -> None:
        self._resolve = resolve
        self._trust_file = trust_file
        self._clock = clock
        self._dead = DeadAddresses()
        # An HTTP/1.1 client has one exchange at a time, so its connection says whose rule applies.
        self._rule_ca: dict[str, str | None] = {}

    def request(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state and state.admitted:
            self._rule_ca[flow.client_conn.id] = state.admitted.route.rule.ca

    def client_disconnected(self, client: connection.Client) -> None:
        self._rule_ca.pop(client.id, None)

    async def server_connect(self, data: ServerConnectionHookData) -> None:
        if data.server.address is None:
            data.server.error = FORBIDDEN
            return
        host, port = data.server.address[:2]
        try:
            addresses = await self._resolve(host, port)
        except TargetForbidden:
            data.server.error = FORBIDDEN
        except OutsideError:
            data.server.error = UNRESOLVED
        else:
            address = self._dead.first(host, port, addresses, self._clock.monotonic())
            data.server.address = address, port
            data.server.gateway_host = host

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        """Also when the client gave up first: many have less patience than we have with a silent address."""
        host = getattr(data.server, "gateway_host", None)
        if host is not None and data.server.address is not None:
            address, port = data.server.address[:2]
            self._dead.failed(host, port, address, self._clock.monotonic())

    def tls_start_server(self, start: tls.TlsData) -> None:
        """Without a TLS connection set here mitmproxy closes: there is no unverified way round."""
        trust = self._trust_file(self._rule_ca.get(start.context.client.id))
        context = net_tls.create_proxy_server_context(
            method=net_tls.Method.TLS_CLIENT_METHOD,
            min_version=net_tls.Version.TLS1_2,
            max_version=net_tls.Version.UNBOUNDED,
            cipher_list=None,
            ecdh_curve=None,
            verify=net_tls.Verify.VERIFY_PEER,
            ca_path=None,
            ca_pemfile=str(trust),
            client_cert=None,
            legacy_server_connect=False,
        )
        secure = SSL.Connection(context)
        _expect_name(secure, start.conn.sni or "")
        secure.set_connect_state()
        start.ssl_conn = secure


def _expect_name(secure: SSL.Connection, name: str) -> None:
    """Demand that the certificate is for `name` (RFC 9525). pyOpenSSL has no public call for it."""
    library = SSL._lib  # type: ignore[attr-defined]
    parameters = library.SSL_get0_param(secure._ssl)
    # No partial wildcards, and never the subject's common name.
    flags = library.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | library.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
    library.X509_VERIFY_PARAM_set_hostflags(parameters, flags)
    try:
        packed = ip_address(name).packed
    except ValueError:
        encoded = name.encode("idna")
        secure.set_tlsext_host_name(encoded)
        accepted = library.X509_VERIFY_PARAM_set1_host(parameters, encoded, len(encoded))
    else:
        accepted = library.X509_VERIFY_PARAM_set1_ip(parameters, packed, len(packed))
    if accepted != 1:
        raise ValueError("OpenSSL did not take the name that the certificate must have.")
