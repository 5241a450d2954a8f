"""Every file that is not taken has a reason, and is counted."""

from pathlib import Path

import pytest

from mmvan.data.check.left_out import describe, files_left_out, reason_left_out

ENDINGS = (".jpg", ".png")


@pytest.mark.parametrize(
    ("name", "reason"),
    (
        ("cat/1.jpg", ""),
        ("cat/1.JPG", ""),
        ("cat/1.webp", "ends in .webp"),
        ("cat/1", "no extension"),
        ("cat/.1.jpg", "hidden"),
        ("cat/1.jpg.txt", "ends in .txt"),
    ),
)
def test_a_reason_for_each(name: str, reason: str) -> None:
    assert reason_left_out(name, ENDINGS) == reason


def test_upper_case_counts_where_a_dataset_does_not_take_it() -> None:
    assert reason_left_out("1.JPG", ENDINGS, any_case=False) == ".JPG in upper case"


def test_all_of_a_folder_are_counted_and_named(tmp_path: Path) -> None:
    names = ("a/1.jpg", "a/2.webp", "b/3.webp", "b/.4.png", "5", "Thumbs.db", "b/.DS_Store")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = files_left_out(tmp_path, ENDINGS)
    assert found == {
        "ends in .webp": ["a/2.webp", "b/3.webp"],
        "hidden": ["b/.4.png"],
        "no extension": ["5"],
    }
    line = describe(found, ENDINGS)
    assert line.startswith("4 files left out: ends in .webp: 2 (a/2.webp, b/3.webp); hidden: 1 (")
    assert line.endswith("; taken are .jpg, .png")
