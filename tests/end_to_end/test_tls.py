"""An https upstream: verified, always."""

from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import TenantInUse
from tests.support.upstream import Peer, Upstream, sized


def secure(authority: Authority, name: str) -> Upstream:
    return Upstream(tls=authority.server_context(name))


def test_a_trusted_certificate_gets_a_response_plain_and_streamed(
    authority: Authority, tenant: TenantInUse
) -> None:
    with secure(authority, "localhost") as upstream:
        tenant.create_rule("/good", f"https://localhost:{upstream.port}")
        assert tenant.request("GET", "/good/x").json() == {"ok": True}
        assert tenant.request("GET", "/good/stream").text.count("data:") == 4


def rejected(tenant: TenantInUse, path: str, upstream: Upstream) -> None:
    for kind in ("x", "stream"):
        response = tenant.request("GET", f"{path}/{kind}")
        assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_tls")
    assert not upstream.received


@pytest.mark.parametrize("name", ["elsewhere.example", "localhost"])
def test_a_certificate_for_another_name_or_of_a_foreign_authority_is_rejected(
    authority: Authority, tenant: TenantInUse, tmp_path: Path, name: str
) -> None:
    signing = Authority(tmp_path, "Foreign CA") if name == "localhost" else authority
    with secure(signing, name) as upstream:
        tenant.create_rule(f"/{name}", f"https://localhost:{upstream.port}")
        rejected(tenant, f"/{name}", upstream)


def test_a_rules_own_ca_is_trusted_by_that_rule_alone(tenant: TenantInUse, tmp_path: Path) -> None:
    own = Authority(tmp_path, "Own CA")
    with secure(own, "localhost") as upstream:
        tenant.create_rule("/own", f"https://localhost:{upstream.port}", ca=own.file.read_text())
        assert tenant.request("GET", "/own/x").status_code == 200
        upstream.received.clear()
        tenant.create_rule("/not-own", f"https://localhost:{upstream.port}")
        rejected(tenant, "/not-own", upstream)


def test_an_upstream_that_speaks_no_tls_is_rejected(tenant: TenantInUse) -> None:
    async def speak_plainly(peer: Peer) -> None:
        await peer.fill()
        await peer.write(sized(b"", "400 Bad Request"))

    with Upstream(speak_plainly) as upstream:
        tenant.create_rule("/plain", f"https://localhost:{upstream.port}")
        response = tenant.request("GET", "/plain/x")
        assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_tls")
