"""How gunicorn serves the admin API (`gunicorn wsgi:app`), from the settings."""

import gc
import os
from typing import Any

from admin_app.http.worker import Logger, Worker
from admin_app.start import log_start, metrics, prepare
from shared.core.http_tokens import authority
from shared.settings import load_settings_or_exit, service_manager

# Objects of modules stay. To look for garbage among them again and again takes a fifth of the time.
gc.disable()
_settings = load_settings_or_exit()
_server = _settings.server

bind = [authority(host, _server.admin_port) for host in _server.admin_host]
worker_class, workers, threads = Worker, _server.admin_workers, 8
logger_class, loglevel = Logger, _settings.log.level
control_socket_disable = True
# The file of the heartbeat, in memory: a slow disk must not look like a hanging worker.
_memory = "/dev/shm"  # noqa: S108 -- gunicorn creates and removes the file safely
worker_tmp_dir = _memory if os.access(_memory, os.W_OK) else None


def on_starting(server: Any) -> None:
    """Check all that the workers need, before the first of them starts."""
    # The service manager, or the master that this one replaces, may have opened the sockets.
    is_given = server.master_pid or service_manager().descriptors
    addresses = [] if is_given else [one for one in server.address if isinstance(one, tuple)]
    prepare(addresses, is_upgrade=bool(server.master_pid))


def when_ready(server: Any) -> None:
    gc.enable()
    names = [listener.getsockname() for listener in server.LISTENERS]
    log_start([name[:2] for name in names if isinstance(name, tuple)], server.cfg.workers)


def pre_fork(_: Any, __: Any) -> None:
    # Python looks through all objects when it ends, which takes seconds. Those of the start are no garbage.
    gc.freeze()


def post_fork(_: Any, worker: Any) -> None:
    gc.disable()  # until the application is imported
    worker.log.open()


def post_worker_init(worker: Any) -> None:
    worker.start_jobs(metrics())
    gc.freeze()
    gc.enable()


def worker_exit(_: Any, worker: Any) -> None:
    worker.stop_jobs()
    worker.log.close()


def child_exit(_: Any, worker: Any) -> None:
    if (found := metrics()) is not None:
        found.forget(worker.pid)


def on_exit(server: Any) -> None:
    if (found := metrics()) is not None:
        found.close()
    server.log.close()
