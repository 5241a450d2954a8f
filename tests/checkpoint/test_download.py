"""Fetching over the web: whole and verified, or nothing."""

import errno
import io
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from mmvan.checkpoint import download
from mmvan.checkpoint.download import fetch
from mmvan.errors import CheckpointError
from tests.checkpoint.web import Web


def checkpoint(value: float = 1.0) -> bytes:
    stream = io.BytesIO()
    torch.save({"a": torch.full((100,), value)}, stream)
    return stream.getvalue()


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


@pytest.fixture
def hashed() -> str:
    return f"/van-tiny_8xb128_in1k_20220501-{sha256(checkpoint()).hexdigest()[:8]}.pth"


def test_a_file_is_fetched_once(web: Web, cache: Path, hashed: str) -> None:
    web.files = {hashed: checkpoint(), "/van_tiny_754.pth.tar": checkpoint()}
    for name in web.files:
        for _ in range(2):
            assert fetch(f"{web.address}{name}?download=true").read_bytes() == checkpoint()
    assert kept(cache) == sorted(name[1:] for name in web.files)


def test_many_at_once_fetch_once(web: Web, cache: Path, hashed: str) -> None:
    web.files = {hashed: checkpoint()}
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(fetch, [web.address + hashed] * 4))
    assert len(set(files)) == len(web.requests) == len(kept(cache)) == 1


def test_a_wrong_hash_is_refused(web: Web, cache: Path, hashed: str) -> None:
    web.files = {hashed: checkpoint(2.0)}
    with pytest.raises(CheckpointError, match=r"SHA-256 begins with [0-9a-f]{8}, its name says"):
        fetch(web.address + hashed)
    assert kept(cache) == []


def test_a_date_is_no_hash(web: Web, cache: Path) -> None:
    names = ("/resnet50_imagenet-20200708.pth", "/van-20201308.pth")
    web.files = {name: checkpoint() for name in names}
    assert fetch(web.address + names[0]).read_bytes() == checkpoint()
    with pytest.raises(CheckpointError, match="its name says 20201308"):
        fetch(web.address + names[1])


def test_a_complete_cache_may_be_read_only(
    web: Web, cache: Path, hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    cache.mkdir(parents=True)
    (cache / hashed[1:]).write_bytes(checkpoint())
    monkeypatch.setattr(download, "FileLock", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert fetch(web.address + hashed) == cache / hashed[1:]
    (cache / hashed[1:]).write_bytes(checkpoint(2.0))
    with pytest.raises(CheckpointError, match=r"cannot be kept in .*Read-only file system"):
        fetch(web.address + hashed)


@pytest.mark.parametrize("name", ("/van.pth", None))
def test_a_broken_connection_leaves_nothing(
    web: Web, cache: Path, hashed: str, name: str | None
) -> None:
    web.files, web.cut = {name or hashed: checkpoint()}, 500
    with pytest.raises(CheckpointError, match="cut off after 500 bytes; nothing was kept"):
        fetch(web.address + (name or hashed))
    assert kept(cache) == []


def test_what_is_damaged_in_the_cache_is_fetched_again(web: Web, cache: Path, hashed: str) -> None:
    web.files = {hashed: checkpoint()}
    cache.mkdir(parents=True)
    (cache / hashed[1:]).write_bytes(checkpoint(3.0))
    (cache / f"{hashed[1:]}.part.0123.partial").write_bytes(b"what a killed process left")
    assert fetch(web.address + hashed).read_bytes() == checkpoint()
    assert kept(cache) == [hashed[1:]]


def test_a_page_in_place_of_a_file_is_refused(web: Web, cache: Path) -> None:
    web.files = {"/van.pth": b"<!DOCTYPE html><html>Sign in</html>"}
    with pytest.raises(CheckpointError, match="HTML page"):
        fetch(f"{web.address}/van.pth")
    assert kept(cache) == []


def test_what_cannot_be_reached_says_where_to_put_it(web: Web, cache: Path) -> None:
    with pytest.raises(CheckpointError, match="404") as error:
        fetch(f"{web.address}/van.pth")
    assert f"put the file at {cache / 'van.pth'}" in str(error.value)
