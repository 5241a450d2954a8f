"""Files in folders and archives of every kind, and archives that must not be unpacked."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from mmvan.data.prepare.entries import check_name, is_archive, unpacked_bytes, walk
from mmvan.errors import DataError
from tests.data.prepare.making import encoded_image, tarred, write, zipped

FILES = {"top/a.jpg": b"a" * 100, "top/deep/b.txt": b"bb"}


def contents(source: Path) -> dict[str, bytes]:
    return {entry.name: entry.read() for entry in walk(source)}


@pytest.mark.parametrize(
    ("name", "content"),
    (
        ("data.zip", zipped(FILES)),
        ("data.tar", tarred(FILES)),
        ("data.tar.gz", tarred(FILES, "w:gz")),
        ("data.tgz", tarred(FILES, "w:gz")),
        ("data.tar.xz", tarred(FILES, "w:xz")),
        ("DATA.ZIP", zipped(FILES)),
    ),
)
def test_archives_of_every_kind(tmp_path: Path, name: str, content: bytes) -> None:
    write(tmp_path, {name: content})
    assert is_archive(name)
    stem = name.partition(".")[0]
    assert contents(tmp_path / name) == {f"{stem}/{k}": v for k, v in FILES.items()}
    # The folder that the archive lies in gives the same.
    assert contents(tmp_path) == contents(tmp_path / name)


@pytest.mark.parametrize("outer", (zipped, tarred))
@pytest.mark.parametrize(("inner", "ending"), ((zipped, "zip"), (tarred, "tar")))
def test_archives_inside_archives(
    tmp_path: Path, outer: object, inner: object, ending: str
) -> None:
    files = {f"n1.{ending}": inner({"x.jpg": b"x"}), f"n2.{ending}": inner({"y.jpg": b"yy"})}
    archive = "all.zip" if outer is zipped else "all.tar"
    write(tmp_path, {archive: outer(files)})
    assert contents(tmp_path / archive) == {"all/n1/x.jpg": b"x", "all/n2/y.jpg": b"yy"}


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    hidden = {"__MACOSX/top/._a.jpg": b"x", "top/.DS_Store": b"x"}
    write(tmp_path, {"a.zip": zipped(FILES | hidden)})
    assert contents(tmp_path / "a.zip") == {f"a/{k}": v for k, v in FILES.items()}


def test_files_of_a_folder_have_paths_and_sizes(tmp_path: Path) -> None:
    write(tmp_path, {"b.txt": b"bb", "a/c.txt": b"c", ".hidden": b""})
    entries = list(walk(tmp_path))
    assert [(e.name, e.size, e.path) for e in entries] == [
        ("a/c.txt", 1, tmp_path / "a/c.txt"),
        ("b.txt", 2, tmp_path / "b.txt"),
    ]


@pytest.mark.parametrize("name", ("/etc/x", "../x", "a/../../x", "a\\..\\x", "x\0y"))
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="not safe to write"):
        check_name(name, "the archive")


@pytest.mark.parametrize("name", ("a b/c.jpg", "what?.jpg", "..a/b..", "ü:1.png"))
def test_names_that_are_only_odd_are_not(name: str) -> None:
    assert check_name(name, "the archive") is None


@pytest.mark.parametrize("make", (zipped, tarred))
def test_archives_with_names_that_lead_out(tmp_path: Path, make: object) -> None:
    name = "bad.zip" if make is zipped else "bad.tar"
    write(tmp_path, {name: make({"ok.jpg": b"", "../out.jpg": b"x"})})
    with pytest.raises(DataError, match=r"bad\.(zip|tar): (the name '\.\./out\.jpg'|not safe)"):
        contents(tmp_path / name)


@pytest.mark.parametrize("kind", (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE))
def test_tars_with_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("a/link.jpg")
    member.type, member.linkname = kind, "a/other.jpg"
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(member)
    with pytest.raises(DataError, match=r"is a link or a device|not safe to unpack"):
        contents(tmp_path / "bad.tar")


def test_zips_with_links(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("link.jpg")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=r"link\.jpg is a link or a device"):
        contents(tmp_path / "bad.zip")


def test_encrypted_zips(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.jpg": b"a"}))
    # Bit 0 of the flags, in the entry of the central directory.
    content[content.index(b"PK\1\2") + 8] |= 1
    write(tmp_path, {"bad.zip": bytes(content)})
    with pytest.raises(DataError, match=r"a\.jpg is encrypted"):
        contents(tmp_path / "bad.zip")


@pytest.mark.parametrize(
    ("name", "content"),
    (
        ("cut.zip", zipped(FILES)[:-30]),
        ("cut.tar.gz", tarred({"a.jpg": encoded_image()}, "w:gz")[:500]),
        ("cut.tar", tarred({"a.jpg": encoded_image()})[:900]),
        ("page.zip", b"<html>Sign in</html>"),
        ("page.tar", b"<html>Sign in</html>"),
        ("empty.tgz", b""),
    ),
)
def test_damaged_archives(tmp_path: Path, name: str, content: bytes) -> None:
    write(tmp_path, {name: content})
    with pytest.raises(DataError, match=f"{name}: the archive is damaged .* get it again"):
        contents(tmp_path / name)


def test_sources_that_are_none(tmp_path: Path) -> None:
    write(tmp_path, {"data.rar": b"", "train.zip": zipped(FILES)})
    with pytest.raises(DataError, match="neither a folder nor an archive"):
        contents(tmp_path / "data.rar")
    with pytest.raises(DataError, match=r"no such file or folder; .* has train\.zip"):
        contents(tmp_path / "trian.zip")


def test_unpacked_bytes(tmp_path: Path) -> None:
    tar = io.BytesIO(tarred(FILES)).getvalue()
    write(tmp_path, {"a.zip": zipped(FILES), "b.tar": tar, "c.txt": b"c"})
    assert unpacked_bytes(tmp_path / "a.zip") == 102
    assert unpacked_bytes(tmp_path / "b.tar") == len(tar)
    assert unpacked_bytes(tmp_path) == 102 + len(tar)
