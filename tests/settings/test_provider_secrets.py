"""The variables and files with credentials of providers that the operator opens."""

from pathlib import Path

import pytest

from shared.settings import SettingsError, load_settings
from shared.settings.provider_secrets import OpenedSecrets, read_provider_secrets
from shared.settings.sections import Secrets

OTHERS = {"PATH": "/bin", "OTHER_KEY": "sk-other"}


def test_only_opened_variables_are_read() -> None:
    secrets = Secrets(env=("OPENAI_API_KEY", "MISSING", "EMPTY"))
    environ = OTHERS | {"OPENAI_API_KEY": "sk-1\n", "EMPTY": " "}
    assert read_provider_secrets(secrets, environ) == {"env:OPENAI_API_KEY": "sk-1"}


def test_nothing_is_read_unless_it_is_opened() -> None:
    assert read_provider_secrets(Secrets(), OTHERS) == {}


def test_files_of_the_folder_are_read_and_links_out_of_it_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (folder / "below").mkdir(parents=True)
    (folder / "openai").write_text("sk-2\n")
    (folder / "empty").write_text("")
    (folder / "picture").write_bytes(b"\xff\xd8\xff")
    (folder / "large").write_text("x" * 100_000)
    (folder / "two words").write_text("sk-3")
    for name, text in (("lines", "sk-3\nX-Other: 1"), ("spaces", "sk 3"), ("zero", "sk-3\0")):
        (folder / name).write_text(text)
    (tmp_path / "outside").write_text("sk-4")
    (tmp_path / "secrets-of-others").mkdir()
    (tmp_path / "secrets-of-others" / "key").write_text("sk-5")
    for number, target in enumerate(("../outside", "../secrets-of-others/key", "loop", "missing", "below")):
        (folder / f"link-{number}").symlink_to(target)
    (folder / "out").symlink_to(tmp_path)
    (folder / "through").symlink_to("out/outside")
    (folder / "loop").symlink_to("loop")
    assert read_provider_secrets(Secrets(folder=folder), {}) == {"file:openai": "sk-2"}


def test_secret_that_kubernetes_mounts_is_read_before_and_after_an_update(tmp_path: Path) -> None:
    """As its kubelet does it: https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter"""
    mounts = tmp_path / "run" / "secrets"
    mounts.mkdir(parents=True)
    (tmp_path / "link").symlink_to(mounts)  # the folder itself may be reached by a link
    opened = OpenedSecrets(lambda: read_provider_secrets(Secrets(folder=tmp_path / "link"), {}))
    assert not opened
    for version in ("1", "2"):
        (mounts / f"..{version}").mkdir()
        (mounts / f"..{version}" / "openai").write_text(f"sk-{version}\n")
        (mounts / "..data_tmp").symlink_to(f"..{version}")
        (mounts / "..data_tmp").rename(mounts / "..data")
        if version == "1":
            (mounts / "openai").symlink_to("..data/openai")
        assert opened.read_again() == ["file:openai"]
        assert dict(opened) == {"file:openai": f"sk-{version}"}
    assert opened.read_again() == []


def test_listeners_hear_of_changes_and_a_folder_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "openai").write_text("sk-2")
    opened, heard = OpenedSecrets(lambda: read_provider_secrets(Secrets(folder=folder), {})), []
    opened.listeners.append(lambda: heard.append(dict(opened)))
    opened.read_again()
    assert heard == []
    (folder / "openai").unlink()
    opened.read_again()
    assert heard == [{}]
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError):
        opened.read_again()
    assert (len(opened), len(heard)) == (0, 1)


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
