"""The sizes of pictures."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.picture_size import picture_size

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 1024, 768) + bytes(5)
EXIF = b"\xff\xe1" + struct.pack(">H", 1_000) + bytes(998)
FRAME = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, 480, 640) + bytes(10)
LOSSLESS = struct.pack("<I", (200 - 1) | (100 - 1) << 14)
CANVAS = (300 - 1).to_bytes(3, "little") + (150 - 1).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("start", "size"),
    [
        (PNG, (1024, 768)),
        (b"GIF87a" + struct.pack("<HH", 10, 20), (10, 20)),
        (b"\xff\xd8" + EXIF + FRAME, (640, 480)),
        (b"\xff\xd8\xff\x01\xff\xff" + FRAME, (640, 480)),
        (b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes(4) + CANVAS, (300, 150)),
        (b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + LOSSLESS, (200, 100)),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(10) + struct.pack("<HH", 0x4000 | 64, 32), (64, 32)),
    ],
)
def test_a_picture_has_the_size_of_its_head(start: bytes, size: tuple[int, int]) -> None:
    assert picture_size(start) == size


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"text",
        PNG[:18],
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(8),
        b"\xff\xd8" + EXIF,
        b"\xff\xd8no marker",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes(4) + CANVAS[:4],
    ],
)
def test_a_picture_that_is_cut_or_unknown_has_no_size(start: bytes) -> None:
    assert picture_size(start) is None


@given(
    st.sampled_from([PNG[:8], b"GIF8", b"\xff\xd8\xff", b"RIFF1234WEBPVP8X", b"RIFF1234WEBPVP8L"]),
    st.binary(),
)
def test_any_bytes_have_a_size_above_zero_or_none(head: bytes, rest: bytes) -> None:
    size = picture_size(head + rest)
    assert size is None or min(size) > 0
