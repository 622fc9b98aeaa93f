"""The port of the metrics: a path, a token, and no error that reaches the process."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from shared.metrics import names
from shared.metrics.exporter import exporting
from shared.metrics.files import SeriesFiles
from shared.metrics.registry import Registry
from tests.support.wait import until


@contextmanager
def served(folder: Path, token: str | None = None) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    with exporting(lambda: listener, folder, token):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def written(folder: Path) -> Path:
    registry = Registry()
    registry.begin("proxy", "1.2.3")
    SeriesFiles(folder, "0", registry).close()
    return folder


def test_metrics_are_served_as_text_at_their_path_only(tmp_path: Path) -> None:
    with served(written(tmp_path)) as url:
        response = requests.get(f"{url}/metrics", timeout=5)
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert 'gateway_build_info{program="proxy",version="1.2.3"} 1.0' in response.text
        assert f"# HELP {names.BUILD_INFO.name} " in response.text
        assert requests.get(f"{url}/", timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("header", "status"), [("", 401), ("Bearer wrong", 401), ("secret", 401), ("Bearer secret", 200)]
)
def test_token_is_required_if_one_is_set(tmp_path: Path, header: str, status: int) -> None:
    with served(written(tmp_path), "secret") as url:
        response = requests.get(f"{url}/metrics", headers={"Authorization": header}, timeout=5)
    assert response.status_code == status
    assert ("gateway_" in response.text) is (status == 200)


def test_metrics_come_back_after_their_folder_was_lost(tmp_path: Path) -> None:
    folder = written(tmp_path / "a" if (tmp_path / "a").mkdir() is None else tmp_path)
    with served(folder) as url:
        shutil.rmtree(folder)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/metrics", timeout=5)
        os.mkdir(folder)
        written(folder)
        assert requests.get(f"{url}/metrics", timeout=5).status_code == 200


def test_process_without_the_socket_serves_once_it_has_it(tmp_path: Path) -> None:
    sockets: list[socket.socket] = []
    with exporting(lambda: sockets[0] if sockets else None, written(tmp_path), None):
        sockets.append(socket.create_server(("127.0.0.1", 0)))
        port = sockets[0].getsockname()[1]
        assert requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).status_code == 200


def test_process_that_is_not_in_charge_leaves_the_socket_to_the_other(tmp_path: Path) -> None:
    listener, first, second = socket.create_server(("127.0.0.1", 0)), tmp_path / "1", tmp_path / "2"
    in_charge = [first]
    for folder in (first, second):
        folder.mkdir()
    registry = Registry()
    registry.value(names.CONNECTIONS).value = 7
    SeriesFiles(second, "0", registry).close()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
    with (
        exporting(lambda: listener, first, None, lambda: in_charge[0] is first),
        exporting(listener.dup, second, None, lambda: in_charge[0] is second),
    ):
        assert "gateway_connections" not in requests.get(url, timeout=5).text
        in_charge[0] = second
        for _ in until(3.0):
            if "gateway_connections 7.0" in requests.get(url, timeout=5).text:
                break
