"""The file ``store.json``: the newest state of the store that this machine has seen, by its mode.

An embedded store stands in for the configured one when that does not respond. So where no embedded one was
seen, the configured one is expected.
"""

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.config_store.identity import StoreState
from shared.core.process.data_files import whole_file

#: The modes of a store.
EMBEDDED, EXTERNAL = "embedded", "external"
_PAUSE = 1.0  # seconds from one write of the file to the next

logger = logging.getLogger(__name__)


class SeenFile:
    """The state of the store in one mode. Any thread may use it."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path = path
        self._mode = mode
        self._lock = threading.Lock()
        self._pending: StoreState | None = None

    def load(self) -> StoreState | None:
        """The stored state; None when there is none, or when the file is damaged, which is logged."""
        return seen_in(self._read(), self._mode)

    def load_newest(self, stores: Mapping[str, Any]) -> StoreState | None:
        """The newer of the stored state and of the one in `stores`, which has a state per mode."""
        return newest(self.load(), seen_in(stores, self._mode))

    def save(self, state: StoreState) -> None:
        """Replace the stored state at once. Raises OSError."""
        document = {**self._read(), self._mode: state.to_json()}
        with whole_file(self._path) as half:
            half.write_text(json.dumps(document), encoding="utf-8")

    def save_soon(self, state: StoreState) -> None:
        """Replace the stored state within a second. A process that ends waits for it."""
        with self._lock:
            is_waiting, self._pending = self._pending is not None, state
        if not is_waiting:
            threading.Timer(_PAUSE, self._save_pending).start()

    def _save_pending(self) -> None:
        with self._lock:
            state, self._pending = self._pending, None
        try:
            if state is not None:
                self.save(state)
        except OSError as error:
            logger.warning(
                "%s cannot be written: %s. A lost store may go unnoticed.", self._path, error.strerror
            )

    def _read(self) -> Mapping[str, Any]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return document if isinstance(document, dict) else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read: %s. A lost store may go unnoticed.", self._path, error)
            return {}


def seen_in(document: Mapping[str, Any], mode: str) -> StoreState | None:
    """The state that is expected in `mode`, in a document with a state per mode."""
    stored = document.get(mode) or (document.get(EXTERNAL) if mode == EMBEDDED else None)
    if stored is None:
        return None
    try:
        return StoreState.from_json(stored)
    except (KeyError, TypeError) as error:
        logger.warning("The stored state of the store is damaged: %s. A lost store may go unnoticed.", error)
        return None


def newest(first: StoreState | None, second: StoreState | None) -> StoreState | None:
    """The newer of two states of one store; `first` when they are of different stores."""
    if first is None or second is None or first.id != second.id:
        return first or second
    return max(first, second, key=lambda state: (state.generation, state.revision))
