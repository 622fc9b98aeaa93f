"""How gunicorn serves the admin API (`gunicorn wsgi:app`), from the settings."""

from typing import Any

from admin_app.http.worker import Logger, Worker
from shared.settings import load_settings_or_exit

_settings = load_settings_or_exit()
_server = _settings.server

bind = [f"{f'[{host}]' if ':' in host else host}:{_server.admin_port}" for host in _server.admin_host]
worker_class, workers, threads = Worker, 1, 8
logger_class, loglevel = Logger, _settings.log.level
control_socket_disable = True


def post_fork(_: Any, worker: Any) -> None:
    worker.log.open()


def worker_exit(_: Any, worker: Any) -> None:
    worker.log.close()


def on_exit(server: Any) -> None:
    server.log.close()
