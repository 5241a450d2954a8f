"""Small archives and images in the forms in which datasets are published."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

Files = Mapping[str, bytes]


def encoded_image(number: int = 0, width: int = 40, height: int = 32) -> bytes:
    """A JPEG; numbers give different ones."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    return _encoded(pixels, "JPEG")


def label_map(labels: int = 3, width: int = 40, height: int = 32) -> bytes:
    """A PNG whose labels are 0 to one less than `labels`."""
    values = np.arange(height * width) % labels
    return _encoded(values.reshape(height, width).astype(np.uint8), "PNG")


def coloured(pixels: np.ndarray) -> bytes:
    """A PNG of the shape (height, width) or (height, width, 3)."""
    return _encoded(pixels.astype(np.uint8), "PNG")


def _encoded(pixels: np.ndarray, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def zipped(files: Files) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files: Files, mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def write(root: Path, files: Files) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def tree(root: Path) -> list[str]:
    """All files, relative to a folder, in order."""
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if not p.is_dir())
