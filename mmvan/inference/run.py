"""Running a model over everything that was asked for."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from mmvan.errors import ConfigError, DataError
from mmvan.inference.draw import Drawer
from mmvan.inference.inputs import Failure, Source, Video
from mmvan.inference.predict import Predictor, Prepared
from mmvan.inference.results import ResultFiles

_WINDOW = "mmvan (q ends)"
_QUIT = ("q", "\x1b")


@dataclass
class Outcome:
    """What became of the inputs.

    Args:
        done: Images and frames with a prediction.
        failures: Inputs without one.
        stopped: Whether the user ended it early.
    """

    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    stopped: bool = False


@dataclass(frozen=True)
class Item:
    """An image or a frame that is ready for the model."""

    name: str
    image: Prepared
    source: Source
    rate: float


def check_screen() -> None:
    """Check that windows can be opened.

    Raises:
        ConfigError: There is no screen, or OpenCV was built without windows.
    """
    on_linux = sys.platform.startswith("linux")
    if on_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError(
            "--show: no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set). Leave it out; "
            "the drawn images are in --out."
        )
    if "GUI:                           NONE" in cv2.getBuildInformation():
        raise ConfigError(
            "--show: this OpenCV was built without windows (opencv-python-headless). Install "
            "opencv-python, or leave out --show."
        )


class Outputs:
    """Where predictions go: files, and a window.

    Args:
        folder: Of the drawn images (``images``), videos (``videos``) and :class:`ResultFiles`.
        drawer: Draws them.
        files: Collects them.
        show: Also show each in a window.
    """

    def __init__(self, folder: Path, drawer: Drawer, files: ResultFiles, show: bool) -> None:
        self.folder, self.drawer, self.files, self.show = folder, drawer, files, show
        self._video: tuple[Source, Any] | None = None

    def add(self, item: Item, sample: Any) -> bool:
        """Write one prediction.

        Returns:
            bool: Whether the user wants more of them.
        """
        image = item.image.image
        height, width = image.shape[:2]
        self.files.add(item.name, sample, (height, width))
        drawn = self.drawer.draw(image, sample)
        if item.source.kind == "image":
            path = _drawn_path(self.folder / "images" / item.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(path.suffix, drawn)[1].tobytes())
        else:
            self._film(item, drawn)
        if not self.show:
            return True
        cv2.imshow(_WINDOW, drawn)
        return chr(cv2.waitKey(0 if item.source.kind == "image" else 1) & 0xFF) not in _QUIT

    def close(self) -> None:
        """Finish the last video and the window, and write the JSON."""
        if self._video:
            self._video[1].release()
        if self.show:
            cv2.destroyAllWindows()
        self.files.close()

    def _film(self, item: Item, drawn: NDArray[np.uint8]) -> None:
        if self._video is None or self._video[0] != item.source:
            if self._video:
                self._video[1].release()
            path = (self.folder / "videos" / item.source.name).with_suffix(".mp4")
            path.parent.mkdir(parents=True, exist_ok=True)
            size = (drawn.shape[1], drawn.shape[0])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._video = item.source, cv2.VideoWriter(str(path), code, item.rate, size)
        self._video[1].write(drawn)


def run(
    predictor: Predictor,
    sources: Sequence[Source],
    outputs: Outputs,
    batch_size: int,
    max_frames: int | None = None,
) -> Outcome:
    """Predict on all sources, and keep what cannot be read for the end.

    Args:
        predictor: The model.
        sources: What to predict on.
        outputs: Where it goes; closed at the end, also of an interrupted run.
        batch_size: Images per call of the model.
        max_frames: At most so many frames of each video or camera.
    """
    outcome = Outcome()
    with ExitStack() as stack:
        stack.callback(outputs.close)
        progress = stack.enter_context(Progress(transient=not sys.stdout.isatty()))
        task = progress.add_task("predict", total=_count(sources, max_frames))
        items = _items(predictor, sources, outcome, max_frames)
        try:
            for batch in _batches(predictor, items, batch_size):
                samples = predictor.predict([item.image for item in batch])
                for item, sample in zip(batch, samples, strict=True):
                    outcome.stopped |= not outputs.add(item, sample)
                    outcome.done += 1
                progress.update(task, completed=outcome.done + len(outcome.failures))
                if outcome.stopped:
                    break
        except KeyboardInterrupt:  # The usual end of a camera; what was done is kept.
            outcome.stopped = True
    return outcome


def _items(
    predictor: Predictor, sources: Sequence[Source], outcome: Outcome, max_frames: int | None
) -> Iterator[Item]:
    for source in sources:
        yield from _items_of(predictor, source, outcome, max_frames)


def _items_of(
    predictor: Predictor, source: Source, outcome: Outcome, max_frames: int | None
) -> Iterator[Item]:
    try:
        if isinstance(source.place, Path) and source.kind == "image":
            yield Item(source.name, predictor.read(source.place), source, 0.0)
        else:
            yield from _frames(predictor, source, max_frames)
    except (DataError, OSError) as error:
        outcome.failures.append(Failure(str(source.place), str(error)))


def _frames(predictor: Predictor, source: Source, max_frames: int | None) -> Iterator[Item]:
    video = Video(source)
    number = 0
    for number, frame in enumerate(video, start=1):
        name = f"{source.name}/{number:06}"
        yield Item(name, predictor.take(frame, name), source, video.rate)
        if number == max_frames:
            return
    if not number:
        raise DataError("no frame of it can be read")


def _batches(predictor: Predictor, items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        if batch and not predictor.fits([each.image for each in batch], item.image):
            yield batch
            batch = []
        batch.append(item)
        # A person in front of a camera sees each frame when it comes.
        if len(batch) == (1 if item.source.kind == "camera" else size):
            yield batch
            batch = []
    if batch:
        yield batch


def _count(sources: Sequence[Source], max_frames: int | None) -> int | None:
    """How many images and frames there are, or None where a camera has no end."""
    total = 0
    for source in sources:
        frames: int | None = 1
        if source.kind != "image":
            try:
                frames = Video(source).frames if source.kind == "video" else None
            except DataError:
                frames = 1
            frames = min(frames or max_frames or 0, max_frames or frames or 0) or None
        if frames is None:
            return None
        total += frames
    return total


def _drawn_path(path: Path) -> Path:
    """The same name, with an ending that OpenCV can write without a question."""
    if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        return path
    return path.with_name(f"{path.name}.png")
