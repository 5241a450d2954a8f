"""Files come to their places once, whole, and never over other files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmvan.data.prepare.placing import LINKS, Place, Rule, by_rules, place
from mmvan.errors import DataError
from tests.data.prepare.making import tree, write, zipped

RULES = (Rule(r"(train|val)/([^/]+\.jpg)", r"images/\1/\2"), Rule(r"names\.txt", "names.txt"))
FILES = {"x/train/1.jpg": b"one", "x/val/2.jpg": b"two", "x/names.txt": b"n", "x/more.md": b""}
PLACES = ["images/train/1.jpg", "images/val/2.jpg", "names.txt"]


def test_rules_match_the_ends_of_names() -> None:
    destination = by_rules(RULES)
    assert destination("a/b/train/1.jpg") == Place("images/train/1.jpg")
    assert destination("names.txt") == Place("names.txt")
    assert destination("a/mytrain/1.jpg") is None
    assert destination("train/1.jpg/more") is None


@pytest.mark.parametrize("link", LINKS)
def test_files_of_a_folder(tmp_path: Path, link: str) -> None:
    source, target = write(tmp_path / "source", FILES), tmp_path / "target"
    placed = place([source], by_rules(RULES), target, link)
    assert (placed.new, placed.kept, placed.others, placed.conflicts) == (3, 0, 1, [])
    assert tree(target) == PLACES
    assert (target / "images/train/1.jpg").read_bytes() == b"one"
    assert (target / "images/train/1.jpg").is_symlink() == (link == "symlink")
    assert (source / "x/train/1.jpg").exists() == (link != "move")
    assert (source / "x/more.md").exists()


@pytest.mark.parametrize("link", LINKS)
def test_archives_are_unpacked_and_kept(tmp_path: Path, link: str) -> None:
    write(tmp_path, {"a.zip": zipped(FILES)})
    placed = place([tmp_path / "a.zip"], by_rules(RULES), tmp_path / "target", link)
    assert placed.new == 3
    assert tree(tmp_path / "target") == PLACES
    assert not (tmp_path / "target/names.txt").is_symlink()
    assert (tmp_path / "a.zip").exists()


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    source, target = write(tmp_path / "source", FILES), tmp_path / "target"
    place([source], by_rules(RULES), target, "copy")
    (target / "names.txt").unlink()
    before = (target / "images/train/1.jpg").stat().st_mtime_ns
    placed = place([source], by_rules(RULES), target, "copy")
    assert (placed.new, placed.kept) == (1, 2)
    assert (target / "images/train/1.jpg").stat().st_mtime_ns == before


@pytest.mark.parametrize("link", LINKS)
def test_other_files_in_the_way_are_left_alone_and_named(tmp_path: Path, link: str) -> None:
    source = write(tmp_path / "source", FILES)
    target = write(tmp_path / "target", {"names.txt": b"another", "images/val/2.jpg": b"mine!"})
    placed = place([source], by_rules(RULES), target, link)
    assert placed.new == 1
    (problem,) = placed.problems(target)
    assert problem.found == "2 files are in the way"
    assert [item.partition(" ")[0] for item in problem.items] == ["names.txt", "images/val/2.jpg"]
    assert "(7 and 1 bytes)" in problem.items[0]
    assert (target / "names.txt").read_bytes() == b"another"
    assert (source / "x/names.txt").read_bytes() == b"n"


def test_a_broken_link_is_in_the_way(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"names.txt": b"n"})
    (tmp_path / "target").mkdir()
    (tmp_path / "target/names.txt").symlink_to(tmp_path / "gone")
    placed = place([source], by_rules(RULES), tmp_path / "target", "symlink")
    assert "a broken link" in placed.conflicts[0]


def test_conversion_makes_a_file_of_its_own_once(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"names.txt": b"abc"})
    destination = by_rules([Rule(r"names\.txt", "n.txt", bytes.upper)])
    for link in LINKS[:2]:
        placed = place([source], destination, tmp_path / "target", link)
    assert (placed.new, placed.kept) == (0, 1)
    assert (tmp_path / "target/n.txt").read_bytes() == b"ABC"
    assert (source / "names.txt").read_bytes() == b"abc"


def test_moving_to_another_disk_copies_before_it_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "source", {"names.txt": b"abc"})

    def refuse(*_: Any) -> None:
        raise OSError(18, os.strerror(18))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    place([source], by_rules(RULES), tmp_path / "target", "move")
    assert (tmp_path / "target/names.txt").read_bytes() == b"abc"
    assert tree(source) == []


def test_an_interruption_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write(tmp_path / "source", FILES), tmp_path / "target"

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", interrupt)
        with pytest.raises(KeyboardInterrupt):
            place([source], by_rules(RULES), target, "copy")
    assert tree(target) == []
    assert place([source], by_rules(RULES), target, "copy").new == 3


def test_a_file_that_a_killed_run_left_is_written_anew(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"names.txt": b"abc"})
    target = write(tmp_path / "target", {".names.txt.unfinished": b"ab"})
    place([source], by_rules(RULES), target, "copy")
    assert tree(target) == ["names.txt"]


@pytest.mark.parametrize("link", ("copy", "symlink"))
def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    write(tmp_path, {"a.zip": zipped(FILES)})
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"0\.0 GB are to be written .* the disk has 0\.0 GB"):
        place([tmp_path / "a.zip"], by_rules(RULES), tmp_path / "target", link)
    assert tree(tmp_path / "target") == []


def test_links_need_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "source", FILES)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert place([source], by_rules(RULES), tmp_path / "target", "symlink").new == 3


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "source", {"names.txt": b"abc"})

    def fill(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shutil, "copyfileobj", fill)
    with pytest.raises(DataError, match=r"No space left on device.* run the command again"):
        place([source], by_rules(RULES), tmp_path / "target", "copy")


def test_damage_inside_an_archive_is_told(tmp_path: Path) -> None:
    content = bytearray(zipped({"names.txt": b"abc" * 100}))
    content[42] ^= 255
    write(tmp_path, {"a.zip": bytes(content)})
    with pytest.raises(DataError, match=r"a\.zip: the archive is damaged"):
        place([tmp_path / "a.zip"], by_rules(RULES), tmp_path / "target", "copy")
    assert tree(tmp_path / "target") == []
