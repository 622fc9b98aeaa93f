"""The settings in force: their origin, whether they differ from the default, and no secret."""

import json
from pathlib import Path

from shared.settings import load_settings
from shared.settings.in_force import Source

SECRET = "a-canary-that-nobody-may-see"


def in_force(folder: Path, text: str = "", **environ: str) -> dict[str, tuple[object, ...]]:
    """Each setting by its name: value, source, origin, whether it is changed."""
    file = folder / "config.yaml"
    file.write_text(text)
    found = load_settings(file, environ, {"server.workers": 3}).in_force
    return {one.name: (one.value, one.source, one.origin, one.is_changed) for one in found}


def test_each_source_is_named_with_its_place(tmp_path: Path) -> None:
    text = "server: {admin_port: 9080}\ncache:\n  config_ttl: 1000ms\n  max_idle_time: 2h\n"
    shown = in_force(tmp_path, text, GATEWAY__LOG__LEVEL="debug")
    assert shown["server.admin_port"] == (9080, Source.FILE, "config.yaml:1", True)
    assert shown["cache.config_ttl"] == ("1000ms", Source.FILE, "config.yaml:3", False)  # as the default, 1s
    assert shown["cache.max_idle_time"] == ("2h", Source.FILE, "config.yaml:4", True)
    assert shown["log.level"] == ("debug", Source.ENVIRONMENT, "GATEWAY__LOG__LEVEL", True)
    assert shown["server.workers"] == (3, Source.FLAG, "--workers", True)
    assert shown["server.proxy_port"] == (8081, Source.DEFAULT, None, False)


def test_variable_inside_a_map_is_the_origin_of_the_setting(tmp_path: Path) -> None:
    shown = in_force(tmp_path, GATEWAY__TIERS__BASIC__CONCURRENT="3")
    _, source, origin, is_changed = shown["tiers"]
    assert (source, origin, is_changed) == (Source.ENVIRONMENT, "GATEWAY__TIERS__BASIC__CONCURRENT", True)


def test_path_is_shown_as_it_is_used(tmp_path: Path) -> None:
    assert in_force(tmp_path)["data_dir"][0] == str(tmp_path / "data")
    value, source, _, is_changed = in_force(tmp_path, GATEWAY__DATA_DIR="kept")["data_dir"]
    assert (value, source, is_changed) == (str(tmp_path / "kept"), Source.ENVIRONMENT, True)


def test_secret_of_any_source_is_only_said_to_be_set(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"redis: {{password: {SECRET}}}\nmetrics: {{token: '${{TOKEN}}'}}\n")
    environ = {
        "GATEWAY_ADMIN_TOKEN": SECRET,
        "TOKEN": SECRET,
        "GATEWAY__SECURITY__EGRESS_PROXY__URL": f"http://user:{SECRET}@proxy.test:3128",
    }
    found = load_settings(file, environ).in_force
    secrets = {one.name: one.is_set for one in found if one.is_secret}
    assert secrets == {
        "redis.url": False,
        "redis.password": True,
        "redis.sentinel_password": False,
        "admin.token": True,
        "security.egress_proxy.url": True,
        "metrics.token": True,
        "otel.headers": False,
    }
    assert SECRET not in json.dumps([[one.name, one.value, one.origin] for one in found])


def test_settings_are_compared_without_their_origins(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("server: {admin_port: 8080}\n")
    assert load_settings(file, {}) == load_settings(file, {"GATEWAY__SERVER__ADMIN_PORT": "8080"})
