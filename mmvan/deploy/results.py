"""Running a folder of images through an exported file, and writing what comes out."""

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from mmvan.data.check.left_out import describe, files_left_out
from mmvan.deploy.contract import Contract
from mmvan.deploy.detection_files import DetectionWriter
from mmvan.deploy.images import ENDINGS, ImageReader, LoadedImage, batches, find_images, stack
from mmvan.deploy.runtimes import Array, Runtime
from mmvan.errors import DataError, DeployError

_TOP = 5
_COLUMNS = ("image", "rank", "label", "class", "score", "predicted")
_OVERLAY = 0.5  # Share of the class colours.
Write = Callable[[LoadedImage, list[Array]], None]


@dataclass
class Summary:
    """What became of a folder.

    Args:
        done: Images that were run.
        skipped: Why each of the others was not.
        left_out: Files that are no images by their names, described; empty if there is none.
        seconds: From the first image to the last, with reading and writing.
        computing: Of these, in the runtime.
    """

    done: int = 0
    skipped: list[str] = field(default_factory=list)
    left_out: str = ""
    seconds: float = 0.0
    computing: float = 0.0

    def lines(self) -> list[str]:
        """The summary for a reader."""
        rate = self.done / self.seconds if self.seconds else 0.0
        each = 1e3 * self.computing / max(self.done, 1)
        speed = f"{self.done} images, {rate:.1f} per second; {each:.1f} ms each in the runtime"
        left_out = [self.left_out] if self.left_out else []
        return [*(f"skipped: {reason}" for reason in self.skipped), *left_out, speed]


def run_folder(runtime: Runtime, folder: Path, out: Path, batch: int) -> Summary:
    """Run all images of a folder and of those below it.

    A classifier writes the five best classes of each image into one CSV, and whether each is
    predicted; of several labels all that are. A segmentor writes a label map and an image with
    the classes' colours for each image; a whole detector a drawn image and a JSON file of its
    detections; a backbone or a detector's features one ``.npz`` of maps. Images that cannot be
    read are skipped and named.

    Args:
        runtime: The file.
        folder: The images.
        out: A CSV for a classifier, else a folder.
        batch: Images per call; a file for a fixed number has its own.

    Raises:
        DataError: The folder has no image, or none that can be read.
        DeployError: ``out`` cannot be written.
    """
    contract = runtime.contract
    paths = find_images(folder, "IMAGES")
    left_out = files_left_out(folder, ENDINGS)
    summary = Summary(left_out=describe(left_out, ENDINGS) if left_out else "")
    start = time.perf_counter()
    try:
        with ExitStack() as stack_of_files:
            write = _writer(contract, folder, out, stack_of_files)
            readable = _read_all(paths, ImageReader(contract), summary)
            for group in batches(readable, contract.batch or batch):
                outputs = _compute(runtime, group, summary)
                for i, image in enumerate(group):
                    write(image, [output[i] for output in outputs])
                summary.done += len(group)
    except OSError as error:
        raise DeployError(f"--out {out} cannot be written: {error}") from error
    summary.seconds = time.perf_counter() - start
    if not summary.done:
        raise DataError(f"IMAGES {folder}: none can be read: {summary.skipped[0]}")
    return summary


def _read_all(
    paths: Sequence[Path], reader: ImageReader, summary: Summary
) -> Iterator[LoadedImage]:
    for path in track(paths, "images"):
        image = _read(path, reader, summary)
        if image:
            yield image


def _read(path: Path, reader: ImageReader, summary: Summary) -> LoadedImage | None:
    try:
        return reader.read(path)
    except DataError as error:
        summary.skipped.append(str(error))
        return None


def _compute(runtime: Runtime, group: Sequence[LoadedImage], summary: Summary) -> list[Array]:
    images = stack(group, runtime.contract.batch)
    start = time.perf_counter()
    outputs = runtime.run(images)
    summary.computing += time.perf_counter() - start
    return outputs


def _writer(contract: Contract, folder: Path, out: Path, files: ExitStack) -> Write:
    if contract.task == "classification" and contract.part == "whole":
        if out.suffix != ".csv":
            raise DeployError(f"--out {out}: a classifier writes one table; name it with .csv")
        out.parent.mkdir(parents=True, exist_ok=True)
        table = csv.writer(files.enter_context(out.open("w", newline="")), lineterminator="\n")
        table.writerow(_COLUMNS)
        return lambda image, outputs: table.writerows(
            _best_classes(image.path.relative_to(folder), outputs[0], contract)
        )
    if out.is_file():
        raise DeployError(f"--out {out} is a file; name a folder, to hold files for each image")
    if (contract.task, contract.part) == ("detection", "whole"):
        return DetectionWriter(contract, folder, out).write
    if contract.part == "whole":
        return lambda image, outputs: _write_mask(
            image, outputs[0], contract, out / image.path.relative_to(folder)
        )
    return lambda image, outputs: _write_maps(
        outputs, contract, out / image.path.relative_to(folder)
    )


def _best_classes(name: Path, logits: Array, contract: Contract) -> Iterator[tuple[Any, ...]]:
    assert contract.decision is not None  # Of a whole model.
    scores = contract.decision.class_scores(torch.from_numpy(logits))
    predicted = set(contract.decision.class_labels(scores).tolist())
    order = scores.argsort(descending=True, stable=True).tolist()
    for rank, label in enumerate(order[: max(_TOP, len(predicted))], start=1):
        known = contract.classes[label] if label < len(contract.classes) else ""
        score = f"{float(scores[label]):.6f}"
        yield name.as_posix(), rank, label, known, score, int(label in predicted)


def _write_mask(image: LoadedImage, logits: Array, contract: Contract, place: Path) -> None:
    assert contract.decision is not None  # Of a whole model.
    labels = contract.decision.label_map(torch.from_numpy(logits), image.size).numpy()
    mask = Image.fromarray(labels.astype(np.uint8 if len(logits) <= 256 else np.int32))
    place.parent.mkdir(parents=True, exist_ok=True)
    # The whole name, so that images that differ in their ending alone do not collide.
    mask.save(place.with_name(f"{place.name}.mask.png"))
    if not contract.palette:
        return
    colours = Image.fromarray(np.array(contract.palette, np.uint8)[np.asarray(mask)])
    overlay = Image.blend(Image.fromarray(image.original), colours, _OVERLAY)
    overlay.save(place.with_name(f"{place.name}.overlay.png"))


def _write_maps(outputs: Sequence[Array], contract: Contract, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    named = dict(zip(contract.outputs, outputs, strict=True))
    np.savez(place.with_name(f"{place.name}.npz"), **named)
