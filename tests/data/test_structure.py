"""What decoders pass over in image files is seen: markers, lengths and checksums."""

import io
import re

import pytest
from PIL import Image

from mmvan.data.structure import structure_fault
from tests.data.bad_files import encode, flipped, odd_files, photo

JPEG, PROGRESSIVE = encode(photo(), "JPEG"), encode(photo(), "JPEG", progressive=True)
PNG, TIFF = encode(photo(), "PNG"), encode(photo(), "TIFF")
THUMBNAIL = Image.Exif()
THUMBNAIL[0x9286] = JPEG.decode("latin-1")  # a whole JPEG file inside the header


def fault_of(content: bytes) -> tuple[str, str] | None:
    with Image.open(io.BytesIO(content)) as header:
        return structure_fault(header, content)


@pytest.mark.parametrize(
    "content",
    (
        JPEG,
        PROGRESSIVE,
        PNG,
        TIFF,
        encode(photo(), "JPEG", exif=THUMBNAIL),
        encode(photo(), "JPEG", comment=b"\xff\xd9\xff\xda"),
        encode(photo(), "JPEG", restart_marker_blocks=1),
        JPEG.replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1),  # filled before a segment
        JPEG + b"anything",
        PNG + b"anything",
        encode(photo(), "TIFF", compression="tiff_lzw"),
        encode(photo(), "BMP"),
    ),
)
def test_whole_files_are_whole(content: bytes) -> None:
    assert fault_of(content) is None


def _in_scan(content: bytes, marker: int) -> bytes:
    place = content.index(b"\xff\xda") + 40
    return content[:place] + bytes([0xFF, marker]) + content[place + 2 :]


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    (
        (JPEG[:-2], "truncated", "without its end"),
        (JPEG[:-2] + bytes(2), "truncated", "without its end"),
        (JPEG[: len(JPEG) // 2] + bytes(500), "truncated", "without its end"),
        (encode(photo(), "JPEG", exif=THUMBNAIL)[:-2], "truncated", "without its end"),
        (_in_scan(JPEG, 0x1B), "corrupt", "marker 0x1b in the coded data"),
        (_in_scan(PROGRESSIVE, 0xE0), "corrupt", "marker 0xe0 in the coded data"),
        (PNG[:-12], "truncated", "without its end"),
        (PNG[:-12] + bytes(12), "corrupt", "checksum"),
        (flipped(PNG, 0.5), "corrupt", r"checksum of the PNG chunk b'IDAT' at byte 33"),
        (PNG[:-18] + bytes([PNG[-18] ^ 1]) + PNG[-17:], "corrupt", "checksum"),  # unseen by Pillow
    ),
)
def test_broken_files_are_told(content: bytes, kind: str, reason: str) -> None:
    found = fault_of(content)
    assert found is not None
    assert found[0] == kind
    assert re.search(reason, found[1])


def test_a_strip_behind_the_end_of_a_tiff_file() -> None:
    length = len(photo().tobytes())
    wrong = TIFF.replace(length.to_bytes(4, "little"), (2 * length).to_bytes(4, "little"))
    assert wrong != TIFF
    assert fault_of(wrong) is not None
    assert fault_of(wrong)[0] == "truncated"


def test_a_list_of_lengths_behind_the_end_of_a_tiff_file() -> None:
    place = TIFF.index((279).to_bytes(2, "little"), 8)
    wrong = TIFF[: place + 6] + b"\x51" + TIFF[place + 7 :]  # 81 * 65536 strips more
    assert fault_of(wrong) == ("corrupt", "1 strips or tiles, of which 0 have a length")


def test_readable_odd_files_are_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("odd")
    checked = 0
    for odd in odd_files():
        if not odd.kind:
            odd.make(folder / odd.name)
            assert fault_of((folder / odd.name).read_bytes()) is None, odd.name
            checked += 1
    assert checked > 20
