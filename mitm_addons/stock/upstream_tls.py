"""TLS from mitmproxy's own core to upstreams: every certificate is verified."""

from ipaddress import ip_address

from mitmproxy import connection, http, tls
from mitmproxy.net import tls as net_tls
from OpenSSL import SSL

from mitm_addons.flows import state_of
from shared.net.trust import TrustFiles
from shared.settings import Settings


class UpstreamTls:
    """Makes the TLS connections, with the certificate authorities of the rule.

    The core does not reuse connections to names, since `Upstreams` sets their addresses.
    """

    def __init__(self, settings: Settings) -> None:
        self._trust_file = TrustFiles(settings.data_dir / "trust", settings.security.ca_file)
        self._trust_file(None)  # a bad ca_file stops the start, not the first request
        # An HTTP/1.1 client has one exchange at a time, so the rule can be looked up by connection.
        self._rule_ca: dict[str, str | None] = {}

    def request(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state and state.admitted:
            self._rule_ca[flow.client_conn.id] = state.admitted.route.rule.ca

    def client_disconnected(self, client: connection.Client) -> None:
        self._rule_ca.pop(client.id, None)

    def tls_start_server(self, start: tls.TlsData) -> None:
        """Set the TLS connection. Without one mitmproxy closes, so nothing is sent unverified."""
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
        raise ValueError("OpenSSL rejected the name that the certificate must have.")
