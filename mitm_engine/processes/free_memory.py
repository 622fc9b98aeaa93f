"""Memory that was freed goes back to the system.

glibc keeps what is freed between two blocks that are in use. So after a thousand slow readers a process would
keep their buffers, though nobody needs them any more.
"""

import ctypes
import math

_INTERVAL = 5.0  # seconds between two looks; each takes less than a millisecond
_WORTHWHILE = 16 * 1024 * 1024  # bytes that were freed since the last time


class _Usage(ctypes.Structure):
    """The figures of glibc about its memory: `struct mallinfo2` of <malloc.h>."""

    # All are numbers of bytes, or of blocks. Only `fordblks` is used: the bytes that are free, but kept.
    _fields_ = (
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


class FreeMemory:
    """Returns freed memory when there is much of it. Does nothing with another C library than glibc."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        try:
            self._trim, self._usage = library.malloc_trim, library.mallinfo2
        except AttributeError:
            self._next = math.inf
            return
        self._usage.restype = _Usage
        self._next = 0.0
        self._least = self._free()  # free bytes at the last trim, or less

    def sweep(self, now: float) -> None:
        """Look from time to time; `now` is the loop's time."""
        if now < self._next:
            return
        self._next = now + _INTERVAL
        free = self._free()
        if free - self._least >= _WORTHWHILE:
            self._trim(0)
            self._least = free
        elif free < self._least:
            self._least = free

    def _free(self) -> int:
        usage: _Usage = self._usage()
        return int(usage.fordblks)
