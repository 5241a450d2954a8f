"""Loads corrupted files and broken annotations, and compares what is replaced with an oracle.

    python tests/reliability/corrupted.py --images 10000 --annotations 1000 --seed 0

Files of several formats are cut, or have bits, bytes or blocks of them changed, at random. Each is
a sample of all three tasks. Annotations of objects, label maps and labels are broken in many ways.
All samples go through loaders with workers, the tolerant dataset and the hook that counts.

What must be replaced is found out without the package (`integrity.py`). A sample is bad if

- its file is not whole by its format's own lengths, markers and checksums, or
- its library's own dataset raises an error for it, or
- another decoder than the one that loads it refuses the file (Pillow where OpenCV loads, and the
  other way round), or
- its size is not the one that the annotations or the label map have, or
- its objects, label map or label cannot be the image's.

Of TIFF files that Pillow loads, OpenCV refuses some for tags that Pillow has no use for: those are
not bad, and counted apart.

Samples that are read must be what the other decoder reads, pixel by pixel. A change inside a format
without checksums that no decoder notices is none of these: such files are counted apart.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import logging
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from corruptions import (
    CLASSES,
    FORMATS,
    HEIGHT,
    WIDTH,
    Entry,
    File,
    coco_file,
    encode,
    entries,
    files,
    label_map,
    label_maps,
    original,
)
from integrity import box_fault, mask_fault, png_numbers, runs_of, structure_fault
from mmengine.registry import DATASETS, DefaultScope
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmvan.data.check.detection import CocoFiles
from mmvan.data.tolerant import TolerantDataset, marks, samples_of
from mmvan.engine.bad_data import BadDataHook

SCOPES = {"classification": "mmpretrain", "detection": "mmdet", "segmentation": "mmseg"}
_WHOLE_SHARE = 4  # to so many corrupted samples one whole one
_MEMORY = 8 << 30  # bytes that a library may ask for while it loads one sample
_SECONDS = 20  # that it may take
_REFUSED = "OpenCV refuses it"
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Record:
    """What became of a sample.

    Args:
        kind: What it is a sample of.
        change: What was done to it.
        bad: Why it must be replaced; empty if it must not.
        replaced: Why it was; empty if it was not.
        alike: Whether its data are what another decoder reads; None if that was not compared.
        unseen: Whether it is read as something else than it was before it was changed.
        warned: Whether libjpeg warned of it, and read it.
        disputed: Whether the other decoder alone refuses it, for a tag of a TIFF.
    """

    kind: str
    change: str
    bad: str = ""
    replaced: str = ""
    alike: bool | None = None
    unseen: bool = False
    warned: bool = False
    disputed: bool = False


@dataclass
class Tally:
    """What became of the samples of one kind."""

    records: list[Record] = field(default_factory=list)

    def count(self, **values: Any) -> int:
        """How many records have these values; strings count by whether they are empty."""
        return sum(
            all((bool(v) if type(v := getattr(r, k)) is str else v) == w for k, w in values.items())
            for r in self.records
        )

    def row(self) -> list[int]:
        """The numbers of ``HEADS``."""
        return [
            len(self.records),
            self.count(bad=True),
            self.count(replaced=True),
            self.count(bad=True, replaced=False),
            self.count(bad=False, replaced=True),
            self.count(alike=True),
            self.count(alike=False),
            self.count(unseen=True),
        ]


HEADS = (
    "made",
    "bad by the oracle",
    "replaced",
    "missed",
    "replaced though good",
    "read as by another decoder",
    "read otherwise",
    "changed and unseen",
)


class Examined(Dataset[Any]):
    """Loads each sample of a tolerant dataset, and says what is known of it without that.

    Args:
        options: The config of the dataset.
        examine: Makes a record from a sample's index, what its library's own dataset raises for it,
            and the sample of the tolerant dataset.
        direct: Whether to load by the library's own dataset, too.
    """

    def __init__(
        self,
        options: dict[str, Any],
        examine: Callable[[int, Exception | None, Any], Record],
        direct: bool = True,
    ) -> None:
        self.plain = _built(options) if direct else None
        self.tolerant = TolerantDataset(_built(options))
        self.examine = examine

    def __len__(self) -> int:
        return len(self.tolerant)

    def __getitem__(self, index: int) -> tuple[Any, Record]:
        error = None
        if self.plain is not None:
            try:
                self.plain[index]
            except Exception as raised:  # noqa: BLE001 - whatever it is, it would end a run
                error = raised
        sample = self.tolerant[index]
        return sample["data_samples"], self.examine(index, error, sample)


def _built(options: dict[str, Any]) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells that it loads
        return DATASETS.build(options)


def _run(dataset: Examined, workers: int) -> list[Record]:
    """Goes through all samples with workers; the hook must count what carries a mark."""
    hook = BadDataHook(max_share=1)
    hub = type("Hub", (), {"update_info": lambda *_: None})()
    run: Any = type("Run", (), {"message_hub": hub, "logger": logging.getLogger("quiet")})()
    logging.getLogger("quiet").setLevel(logging.ERROR)
    records: list[Record] = []
    loader = DataLoader(dataset, batch_size=16, num_workers=workers, collate_fn=list)
    for number, batch in enumerate(loader):
        hook.before_train_iter(run, number, [sample for sample, _ in batch])
        records += [record for _, record in batch]
    replaced = sum(bool(record.replaced) for record in records)
    if (hook.seen, hook.replaced) != (len(dataset), replaced):
        raise AssertionError(f"{hook.seen}, {hook.replaced}; {len(dataset)}, {replaced}")
    return records


def _fault(sample: Any) -> str:
    found = [str(fault.kind) for part in samples_of(sample) for fault in marks(part)]
    return found[0] if found else ""


def by_pillow(content: bytes) -> Pixels | str:
    """The pixels in BGR, or why Pillow refuses them."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))[..., ::-1]
    except Exception as error:  # noqa: BLE001 - its plugins raise anything
        return f"Pillow: {error}"


def by_opencv(content: bytes) -> tuple[Pixels | str, bool]:
    """The pixels in BGR, or that OpenCV refuses them; and whether libjpeg wrote a warning."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels: Any = None
    with tempfile.TemporaryFile() as file, _errors_into(file.fileno()):
        with contextlib.suppress(cv2.error):
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
        file.seek(0)
        warned = b"JPEG" in file.read()
    return (_REFUSED if pixels is None else pixels), warned


@contextlib.contextmanager
def _errors_into(target: int) -> Iterator[None]:
    """Lets what libraries write to the standard error go to a file."""
    saved = os.dup(2)
    os.dup2(target, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _other_decoder(file: File, task: str) -> tuple[Pixels | str | None, bool]:
    """What the decoder that does not load a file reads; None if there is none but that one."""
    loaded_by_opencv = task != "classification" or file.kind.startswith("JPEG")
    pixels, warned = by_opencv(file.content)
    if loaded_by_opencv:
        return by_pillow(file.content), warned and not isinstance(pixels, str)
    return (None if file.kind == "GIF" else pixels), False


def _examine_file(task: str, found: Sequence[File]) -> Callable[[int, Any, Any], Record]:
    def examine(index: int, error: Exception | None, sample: Any) -> Record:
        file = found[index]
        replaced = _fault(sample["data_samples"])
        other, warned = _other_decoder(file, task)
        bad = structure_fault(file.content)
        disputed = (
            not bad
            and isinstance(other, str)
            and other == _REFUSED
            and file.kind.startswith("TIFF")
        )
        if disputed:
            other = None
        bad = bad or (other if isinstance(other, str) else "")
        if not bad and error is not None:
            bad = f"raises {type(error).__name__}"
        if not bad and task != "classification" and other.shape != (HEIGHT, WIDTH, 3):
            bad = "the size is not the annotations'"
        if bad or replaced:
            return Record(file.kind, file.change, bad, replaced)
        pixels = sample["inputs"].numpy().transpose(1, 2, 0)
        alike = None if other is None else np.array_equal(pixels, other)
        before = by_pillow(original(file.kind, file.number))
        unseen = not np.array_equal(pixels, before)
        return Record(
            file.kind,
            file.change,
            alike=alike,
            unseen=unseen,
            warned=warned,
            disputed=disputed,
        )

    return examine


def _options(task: str, root: Path, names: Sequence[str], mapped: bool = False) -> dict[str, Any]:
    """A dataset of some files of ``root/images``; label maps are made unless they are there."""
    metainfo = {"classes": CLASSES}
    load = {"type": "LoadImageFromFile"}
    if task == "classification":
        lines = [f"{name} {number % len(CLASSES)}" for number, name in enumerate(names)]
        (root / "list.txt").write_text("\n".join(lines))
        return {
            "type": "CustomDataset",
            "ann_file": str(root / "list.txt"),
            "data_prefix": str(root / "images"),
            "metainfo": metainfo,
            "pipeline": [{"type": "mmvan.LoadImage"}, {"type": "PackInputs"}],
        }
    if task == "detection":
        whole = entries(0, len(names), 0, "")
        for entry, name in zip(whole, names, strict=True):
            entry.image["file_name"] = name
        return _detection(root, coco_file(whole), "files.json")
    (root / "maps.txt").write_text("\n".join(names))
    folder = root / "maps"
    folder.mkdir(exist_ok=True)
    plain = encode(label_map(0), "PNG")
    for name in () if mapped else names:
        (folder / f"{name}.png").write_bytes(plain)
    return {
        "type": "BaseSegDataset",
        "ann_file": str(root / "maps.txt"),
        "data_prefix": {"img_path": str(root / "images"), "seg_map_path": str(folder)},
        "img_suffix": "",
        "seg_map_suffix": ".png",
        "reduce_zero_label": False,
        "metainfo": {**metainfo, "palette": [[0, 0, 0], [1, 1, 1], [2, 2, 2]]},
        "pipeline": [load, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}],
    }


def _detection(root: Path, content: str, name: str) -> dict[str, Any]:
    (root / name).write_text(content)
    load = {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True}
    return {
        "type": "CocoDataset",
        "ann_file": str(root / name),
        "data_prefix": {"img": str(root / "images")},
        "metainfo": {"classes": CLASSES},
        "pipeline": [{"type": "LoadImageFromFile"}, load, {"type": "PackDetInputs"}],
    }


def go_through_files(task: str, found: Sequence[File], root: Path, workers: int) -> list[Record]:
    """Loads corrupted image files as samples of a task.

    Args:
        task: One of ``SCOPES``.
        found: The files.
        root: An empty folder.
        workers: Of the loader.
    """
    (root / "images").mkdir(parents=True)
    names = [f"{number}.img" for number in range(len(found))]
    for name, file in zip(names, found, strict=True):
        (root / "images" / name).write_bytes(file.content)
    with DefaultScope.overwrite_default_scope(SCOPES[task]):
        dataset = Examined(_options(task, root, names), _examine_file(task, found))
        return _run(dataset, workers)


def _photo_in(root: Path) -> str:
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "images" / "photo.jpg").write_bytes(original("JPEG", 0))
    return "photo.jpg"


def go_through_label_maps(count: int, seed: int, root: Path, workers: int) -> list[Record]:
    """Loads label maps that may be broken, of a whole image each."""
    photo = _photo_in(root)
    found = label_maps(count, count // _WHOLE_SHARE, seed)
    (root / "maps").mkdir()
    names = [f"{number}" for number in range(len(found))]
    for name, file in zip(names, found, strict=True):
        (root / "images" / name).symlink_to(photo)
        (root / "maps" / f"{name}.png").write_bytes(file.content)
    (root / "images" / photo).touch()

    def examine(index: int, error: Exception | None, sample: Any) -> Record:
        file, replaced = found[index], _fault(sample["data_samples"])
        bad, numbers = "", np.zeros(0, np.uint16)
        try:
            numbers = png_numbers(file.content)
        except Exception as refused:  # noqa: BLE001 - a broken stream may break it anywhere
            bad = str(refused) or "broken"
        if not bad and numbers.shape != (HEIGHT, WIDTH):
            bad = "size"
        if not bad and not set(np.unique(numbers)) <= {0, 1, 2, 255}:
            bad = "values"
        if not bad and error is not None:
            bad = f"raises {type(error).__name__}"
        if bad or replaced:
            return Record(file.kind, file.change, bad, replaced)
        labels = sample["data_samples"].gt_sem_seg.data[0].numpy()
        unseen = not np.array_equal(labels, np.asarray(label_map(file.number)))
        alike = np.array_equal(labels, numbers)
        return Record(file.kind, file.change, alike=alike, unseen=unseen and file.change == "whole")

    with DefaultScope.overwrite_default_scope(SCOPES["segmentation"]):
        dataset = Examined(_options("segmentation", root, names, mapped=True), examine)
        return _run(dataset, workers)


def go_through_labels(count: int, seed: int, root: Path, workers: int) -> list[Record]:
    """Loads whole images whose label may be that of no class."""
    photo = _photo_in(root)
    labels = np.random.default_rng(seed).integers(-3, 8, count).tolist()
    with DefaultScope.overwrite_default_scope(SCOPES["classification"]):
        options = _options("classification", root, [photo] * count)
        lines = (f"{photo} {label}" for label in labels)
        (root / "list.txt").write_text("\n".join(lines))

        def examine(index: int, error: Exception | None, sample: Any) -> Record:
            replaced = _fault(sample["data_samples"])
            bad = "" if 0 <= labels[index] < len(CLASSES) else "no class"
            if bad or replaced:
                return Record("label", "number", bad, replaced)
            alike = sample["data_samples"].gt_label.tolist() == [labels[index]]
            return Record("label", "number", alike=alike)

        return _run(Examined(options, examine), workers)


def in_a_child(work: Callable[[], Any]) -> str:
    """Does something in a process of its own; returns why that went wrong, or an empty string."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_SECONDS)
            faulthandler.disable()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            work()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return f"ends the process ({signal.Signals(-status).name})"
    return "raises" if status else ""


def _starts(entry: Entry, root: Path) -> bool:
    """Whether mmdet can build a dataset with an entry."""
    try:
        options = _detection(root, coco_file([entry]), "one.json")
        _built({**options, "serialize_data": False})  # or MMEngine collects garbage each time
    except Exception:  # noqa: BLE001 - whatever it is, no run begins
        return False
    return True


def _is_told(entry: Entry, root: Path) -> bool:
    """Whether the check of the data that precedes a run names an entry."""
    file = root / "told.json"
    file.write_text(coco_file([entry]))
    return CocoFiles().problem("ann_file", str(file), True, masks=True) is not None


def _objects_fault(info: dict[str, Any]) -> str:
    """Why what mmdet has taken from an entry cannot be the image's."""
    if (info["height"], info["width"]) != (HEIGHT, WIDTH):
        return "size"
    for thing in info["instances"]:
        fault = box_fault(thing["bbox"], HEIGHT, WIDTH) or (
            mask_fault(thing["mask"], HEIGHT, WIDTH) if "mask" in thing else "no mask"
        )
        if fault:
            return fault
    return ""


@dataclass(frozen=True)
class Objects:
    """What became of broken entries of objects.

    Args:
        records: Of those that mmdet builds a dataset with.
        stopped: How many mmdet cannot begin with, by change.
        untold: Those of them that the check before a run does not name.
        left_out: How many objects mmdet leaves out by itself.
        endings: What its own dataset does to the process for some of the others.
    """

    records: list[Record]
    stopped: Counter[str]
    untold: list[str]
    left_out: int
    endings: Counter[str]


def go_through_objects(count: int, seed: int, root: Path, workers: int) -> Objects:
    """Loads entries of COCO files that may be broken, of a whole image."""
    photo = _photo_in(root)
    made = entries(count, max(8, count // _WHOLE_SHARE), seed, photo)
    with DefaultScope.overwrite_default_scope(SCOPES["detection"]):
        beginning = [entry for entry in made if _starts(entry, root)]
        ids = {id(entry) for entry in beginning}
        stopped = [entry for entry in made if id(entry) not in ids]
        options = _detection(root, coco_file(beginning), "objects.json")
        plain = _built(options)
        infos = [plain.get_data_info(index) for index in range(len(plain))]
        endings = [in_a_child(lambda index=index: plain[index]) for index in range(len(plain))]
        by_id = {str(entry.image["id"]): entry for entry in beginning}
        order = [by_id[str(info["img_id"])] for info in infos]

        def examine(index: int, _: Exception | None, sample: Any) -> Record:
            change, replaced = order[index].change, _fault(sample["data_samples"])
            bad = _objects_fault(infos[index]) or endings[index]
            if infos[index]["img_path"] != str(root / "images" / photo):
                bad = bad or "file"
            if bad or replaced:
                return Record("objects", change, bad, replaced)
            alike = _masks_alike(infos[index], sample["data_samples"].gt_instances.masks)
            return Record("objects", change, alike=alike)

        records = _run(Examined(options, examine, direct=False), workers)
    return Objects(
        records,
        Counter(entry.change for entry in stopped),
        [json.dumps([e.image, e.objects[0]]) for e in stopped if not _is_told(e, root)],
        sum(2 - len(info["instances"]) for info in infos),
        Counter(filter(None, endings)),
    )


def _masks_alike(info: dict[str, Any], masks: Any) -> bool | None:
    """Whether masks of run lengths are what these mean."""
    found = [
        np.array_equal(mask, runs_of(thing["mask"]))
        for thing, mask in zip(info["instances"], masks.masks, strict=False)
        if isinstance(thing["mask"], dict)
    ]
    return all(found) if found else None


def table(rows: dict[tuple[str, ...], list[int]], names: Sequence[str]) -> str:
    """In Markdown, with the sums."""
    lines = [f"| {' | '.join((*names, *HEADS))} |", f"|{'---|' * (len(names) + len(HEADS))}"]
    rows = {
        **rows,
        ("all", *[""] * (len(names) - 1)): [sum(c) for c in zip(*rows.values(), strict=True)],
    }
    lines += [f"| {' | '.join(map(str, (*key, *row)))} |" for key, row in rows.items()]
    return "\n".join(lines)


def grouped(
    records: dict[str, list[Record]], key: Callable[[Record], str]
) -> dict[tuple[str, ...], list[int]]:
    """Rows by task and something of the records."""
    tallies: dict[tuple[str, ...], Tally] = {}
    for task, found in records.items():
        for record in found:
            tallies.setdefault((task, key(record)), Tally()).records.append(record)
    return {group: tally.row() for group, tally in tallies.items()}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare what bad data lead to with an oracle.")
    add = parser.add_argument
    add("--images", type=int, default=10_000, help="corrupted image files (default: %(default)s)")
    add(
        "--annotations",
        type=int,
        default=1000,
        help="broken annotations of each kind: objects, label maps, labels (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")
    add("--workers", type=int, default=2, help="loader processes (default: %(default)s)")
    return parser.parse_args()


def main() -> int:
    """Goes through everything; the status is 1 if anything was not as the oracle says."""
    args = parse_args()
    torch.set_num_threads(1)
    found = files(args.images, args.images // _WHOLE_SHARE, args.seed)
    with tempfile.TemporaryDirectory() as folder, _errors_into(os.open(os.devnull, os.O_WRONLY)):
        root = Path(folder)
        images = {t: go_through_files(t, found, root / t, args.workers) for t in SCOPES}
        shared = (args.annotations, args.seed)
        objects = go_through_objects(*shared, root / "objects", args.workers)
        others = {
            "detection": objects.records,
            "segmentation": go_through_label_maps(*shared, root / "labelled", args.workers),
            "classification": go_through_labels(*shared, root / "labels", args.workers),
        }
    print(f"{len(FORMATS)} formats, {args.images} corrupted files, each in three tasks:\n")
    print(table(grouped(images, lambda record: record.change), ("task", "change")), "\n")
    print(table(grouped(images, lambda record: record.kind), ("task", "format")), "\n")
    warned = sum(record.warned for record in images["detection"])
    disputed = sum(record.disputed for record in images["classification"])
    print(f"JPEG files that are read and that libjpeg warns of: {warned}")
    print(f"TIFF files that Pillow loads and OpenCV refuses: {disputed}\n")
    print("Annotations:\n")
    print(table(grouped(others, lambda record: record.change), ("task", "change")), "\n")
    print(f"Entries that mmdet cannot build a dataset with: {dict(objects.stopped)}")
    print(f"of them not named by the check before a run: {objects.untold}")
    print(f"objects that mmdet leaves out by itself: {objects.left_out}")
    print(f"what its own dataset does for broken entries: {dict(objects.endings)}")
    every = Tally([r for part in (images, others) for rs in part.values() for r in rs])
    wrong = [r for r in every.records if bool(r.bad) != bool(r.replaced) or r.alike is False]
    print(f"{len(every.records)} samples were loaded, and no process ended.")
    for record in wrong[:50]:
        print(record)
    return int(bool(wrong or objects.untold))


if __name__ == "__main__":
    sys.exit(main())
