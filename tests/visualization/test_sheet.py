from pathlib import Path

import pytest
from PIL import Image

from mmvan.visualization.sheet import make_sheet


def test_images_are_spread_evenly_over_the_folder(tmp_path: Path) -> None:
    for i in range(10):
        folder = tmp_path / "drawn" / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10 + i), (10 * i, 0, 0)).save(folder / f"{i}.png")
    (tmp_path / "drawn" / "notes.txt").write_text("no image")
    out = tmp_path / "sheet.png"
    used = make_sheet(tmp_path / "drawn", out, count=5, columns=2, width=40)
    assert [path.stem for path in used] == ["0", "4", "8", "3", "7"]
    with Image.open(out) as sheet:
        assert sheet.width == 2 * 40 + 3 * 8
        assert sheet.getpixel((10, 10)) == (0, 0, 0)
        assert sheet.getpixel((60, 10)) == (40, 0, 0)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no image .* below {tmp_path}"):
        make_sheet(tmp_path, tmp_path / "sheet.png")
