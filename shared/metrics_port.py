"""The port and the folder of a program's metrics, by the settings."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket as Socket

from shared.core.process.listening import open_listener
from shared.metrics.exporter import exporting
from shared.metrics.files import MetricsFolder
from shared.settings import Settings
from shared.settings.listen import naming_settings
from shared.settings.observe import Metrics


def open_metrics(metrics: Metrics, port: int, names: tuple[str, str], *, tries: int) -> Socket:
    """The socket for the metrics. Raises `CannotListen` that names the setting, one of `names`."""
    with naming_settings(names):
        return open_listener(metrics.host, port, tries=tries)


@contextmanager
def serving_metrics(
    settings: Settings, program: str, listener: Socket, serves: Callable[[], bool] = lambda: True
) -> Iterator[Path]:
    """Serve what the processes of a program write to the folder, while `serves`. Raises `FolderUnusable`."""
    with (
        closing(MetricsFolder(settings.data_dir, program)) as folder,
        exporting(lambda: listener, folder.path, settings.metrics.token, serves),
    ):
        yield folder.path
