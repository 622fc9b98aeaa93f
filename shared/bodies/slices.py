"""Long bodies in slices. One call of C over megabytes would stop all other threads until it returns."""

from collections.abc import Iterator

#: Bytes or characters of a slice.
SLICE = 65_536


def slices[T: (bytes, str)](whole: T, overlap: int = 0) -> Iterator[T]:
    """Yield all of `whole` in slices. Each also has the first `overlap` bytes of the next one."""
    return (whole[start : start + SLICE + overlap] for start in range(0, len(whole), SLICE))
