"""What a user asks to predict on: files, folders, patterns, videos and cameras."""

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmvan.errors import DataError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")
_USUAL_RATE = 25.0  # Frames per second, of cameras and files that do not tell theirs.


@dataclass(frozen=True)
class Source:
    """One image, video or camera.

    Args:
        name: What its results are called: a relative path without ``..``.
        kind: ``image``, ``video`` or ``camera``.
        place: The path, or the number of the camera.
    """

    name: str
    kind: str
    place: Path | int


@dataclass(frozen=True)
class Failure:
    """An input of which there is no prediction.

    Args:
        name: As the user would name it.
        reason: Why.
    """

    name: str
    reason: str


def find_sources(inputs: Iterable[str]) -> tuple[list[Source], list[Failure]]:
    """Everything to predict on, each once, in the order given; folders by name, with those below.

    Args:
        inputs: Files, folders, patterns such as ``photos/*.jpg``, and numbers of cameras.

    Returns:
        tuple[list[Source], list[Failure]]: The sources, and what is none.
    """
    sources: list[Source] = []
    failures: list[Failure] = []
    seen: set[Path | int] = set()
    names: set[str] = set()
    for text in inputs:
        found = list(_expand(text))
        if not found:
            failures.append(Failure(text, _why_nothing(text)))
        for name, kind, place in found:
            identity = place.resolve() if isinstance(place, Path) else place
            if identity not in seen:
                seen.add(identity)
                sources.append(Source(_unused(name, place, names), kind, place))
    return sources, failures


class Video:
    """The frames of a video file or of a camera.

    Args:
        source: Of the kind ``video`` or ``camera``.

    Attributes:
        rate (float): Frames per second.
        frames (int | None): Number of frames, if it is known.

    Raises:
        DataError: It cannot be opened.
    """

    def __init__(self, source: Source) -> None:
        place = source.place
        self._capture = cv2.VideoCapture(place if isinstance(place, int) else str(place))
        if not self._capture.isOpened():
            what = "camera cannot be opened" if isinstance(place, int) else "not a readable video"
            raise DataError(f"{what} (OpenCV's VideoCapture)")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else _USUAL_RATE
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames = count if count > 0 and source.kind == "video" else None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The frames, BGR, shape (height, width, 3)."""
        try:
            while True:
                read, frame = self._capture.read()
                if not read:
                    return
                yield frame
        finally:
            self._capture.release()


def _expand(text: str) -> Iterator[tuple[str, str, Any]]:
    """Name, kind and place of everything that an argument stands for."""
    path = Path(text)
    if text.isdecimal() and not path.exists():
        yield f"camera{text}", "camera", int(text)
    elif path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.suffix.lower() in IMAGE_ENDINGS + VIDEO_ENDINGS:
                yield file.relative_to(path).as_posix(), _kind(file), file
    elif path.exists():
        yield path.name, _kind(path), path
    else:
        for file in sorted(map(Path, glob.glob(text, recursive=True))):  # noqa: PTH207
            if file.is_file():
                yield file.name, _kind(file), file


def _kind(path: Path) -> str:
    return "video" if path.suffix.lower() in VIDEO_ENDINGS else "image"


def _why_nothing(text: str) -> str:
    if Path(text).is_dir():
        return "no image or video in this folder"
    return "no file fits this pattern" if glob.has_magic(text) else "no such file or folder"


def _unused(name: str, place: Path | int, used: set[str]) -> str:
    """A name that no other source has: with more of its folders, then with a number."""
    candidates = [name]
    if isinstance(place, Path):
        parts = [part for part in place.resolve().parts[1:] if part]
        depth = len(Path(name).parts)
        candidates += ["/".join(parts[-n:]) for n in range(depth + 1, len(parts) + 1)]
    chosen = next(candidate for candidate in candidates if candidate not in used)
    used.add(chosen)
    return chosen
