"""What datasets and metrics read from the entries of a COCO file, and values they cannot use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Literal

from mmvan.data.masks import is_polygons, is_rle
from mmvan.errors import DataError

__all__ = [
    "Faults",
    "check_annotations",
    "check_categories",
    "check_images",
    "plain_number",
]

# How many entries of each kind are named; all are counted.
MAX_EXAMPLES = 5
_MAX_SHOWN = 60
_LARGEST = 2**31  # PyTorch takes no larger whole numbers for what a box has
_MISSING = object()
Needed = Literal["always", "masks", "metric"]
Ids = set[Any]


class Faults(DataError):  # noqa: N818, because it collects them first
    """Values that cannot be read, counted by kind; the message names the first of each.

    The kinds are grouped by who would read them: every dataset, one with masks, or a metric.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[tuple[Needed, str]] = Counter()
        self._examples: dict[tuple[Needed, str], list[str]] = {}

    def add(self, place: str, entry: Any, field: str, expected: str, needed: Needed) -> None:
        """Notes one.

        Args:
            place: Where the entry stands, like ``annotations[4]``.
            entry: The entry, for its id.
            field: What is at fault.
            expected: What it should be.
            needed: Who reads it.
        """
        kind = (needed, f"{field}: expected {expected}")
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            named = isinstance(entry, Mapping) and field != "id" and "id" in entry
            identity = f" (id {entry['id']!r})" if named else ""
            examples.append(f"{place}{identity} has {_shown(entry, field)}; expected {expected}")

    def needed_by(self, *readers: Needed) -> Faults:
        """Those that some readers cannot do without; false if there is none."""
        part = Faults()
        for kind, count in self._counts.items():
            if kind[0] in readers:
                part._counts[kind] = count
                part._examples[kind] = self._examples[kind]
        return part

    @property
    def items(self) -> tuple[str, ...]:
        """The first places of each kind."""
        return tuple(chain.from_iterable(self._examples.values()))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def summary(self) -> str:
        """How many there are of each kind."""
        kinds = (f"{count} x {kind}" for (_, kind), count in self._counts.most_common())
        return f"{sum(self._counts.values())} unusable entries ({'; '.join(kinds)})"

    def __str__(self) -> str:
        return f"{self.summary()}: {'; '.join(self.items)}"


def plain_number(value: Any) -> bool:
    """Whether a value is a finite number of a usual size, and no truth value."""
    kind = type(value)
    return (kind is int or kind is float) and -_LARGEST < value < _LARGEST


def check_images(entries: list[Any], faults: Faults) -> None:
    """Notes what is wrong with the table of images."""
    seen: Ids = set()
    kinds = Counter(type(entry.get("id")) for entry in entries if isinstance(entry, dict))
    kind = kinds.most_common(1)[0][0] if kinds else int
    ids = kind if kind in (int, str) else int
    expected = f"a {'number' if ids is int else 'text'} that no other image has"
    for index, entry in enumerate(entries):
        place = f"images[{index}]"
        if not isinstance(entry, dict):
            faults.add(place, entry, "entry", "an object", "always")
            continue
        _check_id(place, entry, seen, faults, ids, expected)
        name = entry.get("file_name")
        if type(name) is not str or not name or "\0" in name:
            faults.add(place, entry, "file_name", "the name of a file", "always")
        for side in ("height", "width"):
            if type(length := entry.get(side)) is not int or length < 1:
                faults.add(place, entry, side, "a whole number of pixels from 1", "always")


def check_categories(entries: list[Any], faults: Faults, panoptic: bool) -> None:
    """Notes what is wrong with the table of categories."""
    seen: Ids = set()
    names: set[str] = set()
    for index, entry in enumerate(entries):
        place = f"categories[{index}]"
        if not isinstance(entry, dict):
            faults.add(place, entry, "entry", "an object", "always")
            continue
        _check_id(place, entry, seen, faults, int, "a number that no other category has")
        name = entry.get("name")
        if type(name) is not str or not name or name in names:
            faults.add(place, entry, "name", "a name that no other category has", "always")
        else:
            names.add(name)
        if panoptic and entry.get("isthing") not in (0, 1):
            faults.add(place, entry, "isthing", "0 or 1 in a panoptic file", "always")


def check_annotations(
    entries: Iterable[tuple[Callable[[], str], Any]],
    sizes: Mapping[Any, list[Any]],
    faults: Faults,
    panoptic: bool,
) -> None:
    """Notes what is wrong with objects or segments.

    Args:
        entries: Each with what tells its place.
        sizes: Height and width of the images by their ids.
        faults: Where to note it.
        panoptic: Whether they are segments, whose ids are unique in their image only.
    """
    seen: set[Any] = set()
    for place, entry in entries:
        if not isinstance(entry, dict):
            faults.add(place(), entry, "entry", "an object", "always")
            continue
        image = entry.get("image_id")
        _check_annotation_id(place, entry, image if panoptic else None, seen, faults)
        _check_geometry(place, entry, faults)
        if not panoptic:
            size = sizes.get(image) if isinstance(image, (int, str)) else None
            segmentation = entry.get("segmentation")
            if size and not is_polygons(segmentation, size) and not is_rle(segmentation, size):
                expected = (
                    "polygons of three points or more (lists of x and y in turn), or run lengths "
                    "that fill the image"
                )
                faults.add(place(), entry, "segmentation", expected, "masks")


def _check_annotation_id(
    place: Callable[[], str], entry: dict[str, Any], group: Any, seen: set[Any], faults: Faults
) -> None:
    identity = entry.get("id")
    key = (group, identity) if group is not None else identity
    if type(identity) is not int or key in seen:
        faults.add(place(), entry, "id", "a number that no other annotation has", "always")
    else:
        seen.add(key)
    for field in ("image_id", "category_id"):
        kind = type(entry.get(field))
        if kind is not int and (kind is not str or field == "category_id"):
            faults.add(place(), entry, field, "an id of the file's tables", "always")


def _check_geometry(place: Callable[[], str], entry: dict[str, Any], faults: Faults) -> None:
    box = entry.get("bbox")
    if not _is_box(box):
        expected = "x, y, width and height in pixels, finite, no length below 0"
        faults.add(place(), entry, "bbox", expected, "always")
    area = entry.get("area")
    if not plain_number(area) or area < 0:  # type: ignore[operator]
        faults.add(place(), entry, "area", "a finite number from 0", "always")
    # A dataset takes a missing mark for 0; pycocotools' evaluation ends with a KeyError.
    crowd = entry.get("iscrowd", _MISSING)
    if crowd is _MISSING:
        faults.add(place(), entry, "iscrowd", "0 or 1", "metric")
    elif type(crowd) not in (int, bool) or crowd not in (0, 1):
        faults.add(place(), entry, "iscrowd", "0 or 1", "always")
    ignore = entry.get("ignore", 0)
    if type(ignore) not in (int, bool) or ignore not in (0, 1):
        faults.add(place(), entry, "ignore", "0 or 1", "always")


def _is_box(box: Any) -> bool:
    return (
        type(box) is list
        and len(box) == 4
        and all(map(plain_number, box))
        and box[2] >= 0
        and box[3] >= 0
    )


def _check_id(
    place: str, entry: dict[str, Any], seen: Ids, faults: Faults, kind: type, expected: str
) -> None:
    identity: Any = entry.get("id")
    if type(identity) is not kind or identity in seen:
        faults.add(place, entry, "id", expected, "always")
    else:
        seen.add(entry["id"])


def _shown(entry: Any, field: str) -> str:
    if field == "entry":
        return f"the type {type(entry).__name__}"
    if field not in entry:
        return f"no {field}"
    text = repr(entry[field])
    return f"{field} {text if len(text) <= _MAX_SHOWN else f'{text[:_MAX_SHOWN]}...'}"
