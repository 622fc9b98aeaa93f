"""An https upstream: verified, always."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Peer, Upstream, sized


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def trusting(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory, engine: str
) -> Iterator[TenantInUse]:
    """A tenant of a gateway that trusts the authority beside the public ones."""
    settings = {"GATEWAY__SECURITY__CA_FILE": str(authority.file)}
    with RunningGateway(tmp_path_factory.mktemp("tls") / "data", settings, engine) as gateway:
        yield gateway.create_tenant()


def secure(authority: Authority, name: str) -> Upstream:
    return Upstream(tls=authority.server_context(name))


def test_a_trusted_certificate_gets_a_response_plain_and_streamed(
    authority: Authority, trusting: TenantInUse
) -> None:
    with secure(authority, "localhost") as upstream:
        trusting.create_rule("/good", f"https://localhost:{upstream.port}")
        assert trusting.request("GET", "/good/x").json() == {"ok": True}
        assert trusting.request("GET", "/good/stream").text.count("data:") == 4


def rejected(tenant: TenantInUse, path: str, upstream: Upstream) -> None:
    for kind in ("x", "stream"):
        response = tenant.request("GET", f"{path}/{kind}")
        assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_tls")
    assert not upstream.received


@pytest.mark.parametrize("name", ["elsewhere.example", "localhost"])
def test_a_certificate_for_another_name_or_of_a_foreign_authority_is_rejected(
    authority: Authority, trusting: TenantInUse, tmp_path: Path, name: str
) -> None:
    signing = Authority(tmp_path, "Foreign CA") if name == "localhost" else authority
    with secure(signing, name) as upstream:
        trusting.create_rule(f"/{name}", f"https://localhost:{upstream.port}")
        rejected(trusting, f"/{name}", upstream)


def test_a_rules_own_ca_is_trusted_by_that_rule_alone(trusting: TenantInUse, tmp_path: Path) -> None:
    own = Authority(tmp_path, "Own CA")
    with secure(own, "localhost") as upstream:
        trusting.create_rule("/own", f"https://localhost:{upstream.port}", ca=own.file.read_text())
        assert trusting.request("GET", "/own/x").status_code == 200
        upstream.received.clear()
        trusting.create_rule("/not-own", f"https://localhost:{upstream.port}")
        rejected(trusting, "/not-own", upstream)


def test_an_upstream_that_speaks_no_tls_is_rejected(trusting: TenantInUse) -> None:
    async def speak_plainly(peer: Peer) -> None:
        await peer.fill()
        await peer.write(sized(b"", "400 Bad Request"))

    with Upstream(speak_plainly) as upstream:
        trusting.create_rule("/plain", f"https://localhost:{upstream.port}")
        response = trusting.request("GET", "/plain/x")
        assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_tls")
