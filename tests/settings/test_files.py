"""The certificates that settings name: what is told about their dates."""

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.settings.files import check_export, check_tls, tls_warning
from shared.settings.observe import Otel
from shared.settings.sections import Tls
from shared.settings.sources import SettingsError
from tests.support.certificates import Authority

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAME = "gateway.example"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def issued(authority: Authority, when: datetime) -> Tls:
    """The certificate that the authority issued at that time. It is valid for a day, and an hour before."""
    authority.server_context(NAME, when)
    pair = authority.folder / f"{NAME}.pem"
    return Tls(cert=pair, key=pair)


def test_certificate_that_is_valid_gives_no_warning(authority: Authority) -> None:
    assert tls_warning(issued(authority, NOW), NOW) is None
    assert tls_warning(Tls(), NOW) is None


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(days=2), "expired at 2026-02-28T12:00:00Z"),
        (timedelta(days=-2), "is not valid before 2026-03-03T11:00:00Z"),
    ],
)
def test_certificate_outside_its_dates_is_named_with_setting_path_and_date(
    authority: Authority, age: timedelta, told: str
) -> None:
    tls = issued(authority, NOW - age)
    check_tls(tls)  # the proxy starts with it: some clients may not look at dates
    assert tls_warning(tls, NOW) == (
        f"server.tls.cert: the certificate in {tls.cert} {told}, so clients reject it. Replace the file, and "
        "send SIGHUP to the proxy."
    )


def test_certificate_of_the_chain_that_has_expired_is_told(authority: Authority) -> None:
    tls = issued(authority, NOW)
    assert tls.cert
    pair = tls.cert.read_text()
    authority.server_context("old.example", NOW - timedelta(days=2))
    old = (authority.folder / "old.example.pem").read_text()
    tls.cert.write_text(pair + old[old.index("-----BEGIN CERT") :])
    assert "expired at 2026-02-28T12:00:00Z" in (tls_warning(tls, NOW) or "")


def test_file_that_has_become_unreadable_is_left_to_the_workers(authority: Authority) -> None:
    tls = issued(authority, NOW)
    assert tls.cert
    for text in ("", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"):
        tls.cert.write_text(text)
        assert tls_warning(tls, NOW) is None
    tls.cert.unlink()
    assert tls_warning(tls, NOW) is None


def test_collector_without_the_packages_that_call_it_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    check_export(Otel(endpoint="http://localhost:4318"))  # they are those of the tests, too
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    check_export(Otel())
    with pytest.raises(SettingsError, match=r"otel\.endpoint: .*`pip install .* requirements-otel\.txt`"):
        check_export(Otel(endpoint="http://localhost:4318"))
