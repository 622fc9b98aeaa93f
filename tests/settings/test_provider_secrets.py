"""The variables and files with credentials of providers that the operator opens."""

from pathlib import Path

import pytest

from shared.settings import SettingsError, load_settings
from shared.settings.provider_secrets import read_provider_secrets
from shared.settings.sections import Secrets

OTHERS = {"PATH": "/bin", "OTHER_KEY": "sk-other"}


def test_only_opened_variables_are_read() -> None:
    secrets = Secrets(env=("OPENAI_API_KEY", "MISSING", "EMPTY"))
    environ = OTHERS | {"OPENAI_API_KEY": "sk-1\n", "EMPTY": " "}
    assert read_provider_secrets(secrets, environ) == {"env:OPENAI_API_KEY": "sk-1"}


def test_nothing_is_read_unless_it_is_opened() -> None:
    assert read_provider_secrets(Secrets(), OTHERS) == {}


def test_plain_files_of_the_folder_are_read_and_links_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (folder / "below").mkdir(parents=True)
    (folder / "openai").write_text("sk-2\n")
    (folder / "empty").write_text("")
    (folder / "picture").write_bytes(b"\xff\xd8\xff")
    (folder / "large").write_text("x" * 100_000)
    (folder / "two words").write_text("sk-3")
    (tmp_path / "outside").write_text("sk-4")
    (folder / "link").symlink_to(tmp_path / "outside")
    assert read_provider_secrets(Secrets(folder=folder), {}) == {"file:openai": "sk-2"}


def test_missing_folder_ends_the_start_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"secrets\.folder: .*missing cannot be read: No such file"):
        read_provider_secrets(Secrets(folder=tmp_path / "missing"), {})


def test_folder_is_relative_to_the_file_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("secrets: {env: [OPENAI_API_KEY], folder: keys}\n")
    assert load_settings(file, {}).secrets == Secrets(("OPENAI_API_KEY",), tmp_path / "keys")


@pytest.mark.parametrize("name", ["GATEWAY_ADMIN_TOKEN", "gateway__redis__password", "A-B", "1A", ""])
def test_the_gateways_own_variables_and_wrong_names_are_refused_at_start(tmp_path: Path, name: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"secrets:\n  env: ['{name}']\n")
    with pytest.raises(SettingsError, match=r"config\.yaml:2: secrets\.env: must be"):
        load_settings(file, {})
