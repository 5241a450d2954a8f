"""The published results as typed rows: one row is what one table line says about one model."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from mmvan.errors import DataError, did_you_mean

RESULTS = Path(__file__).with_name("published") / "results.yml"


@dataclass(frozen=True)
class Section:
    """What the rows of one section of the file have in common.

    Args:
        method: The head on the backbone, as config names call it; None where each row names its.
        input_size: Height and width, in pixels, that FLOPs are stated for; None where each row
            names its.
    """

    method: str | None
    input_size: tuple[int, int] | None


_COCO = (1280, 800)  # In the order that the tables print, which is also that of mmdet's tool.
SECTIONS = {
    "architectures": Section("in1k", (224, 224)),
    "imagenet_1k": Section("in1k", (224, 224)),
    "imagenet_22k_pretrained": Section("in22k_in1k", None),
    "ablations_b0": Section("in1k", (224, 224)),
    "cub_200": Section("cub200", (224, 224)),
    "coco_retinanet_1x": Section("retinanet", _COCO),
    "coco_mask_rcnn_1x": Section("maskrcnn", _COCO),
    "coco_3x": Section(None, _COCO),
    "coco_panoptic_mask2former": Section("mask2former_panoptic", _COCO),
    "coco_pose_simple_baseline": Section("simplebaseline", None),
    "ade20k_semantic_fpn": Section("fpn", (512, 512)),
    "ade20k_upernet": Section("upernet", (2048, 512)),
}
_NO_RESULTS = ("imagenet_1k_recipe", "checkpoints")
_METHODS = {"mask_rcnn": "maskrcnn", "cascade_mask_rcnn": "cascade_maskrcnn"}
_SETTINGS = (
    *("arch", "method", "pretrained", "input", "queries", "drop_path", "recipe"),
    *("ablation", "kernel", "dilation", "aliases", "embed_dims", "depths"),
)
_UNITS = {"params": "M", "flops": "G", "throughput_rtx3090": "img/s"}
_SCORE = re.compile(
    r"(mmpretrain_|mmseg_|box_|mask_)?"
    r"(top[15]|ap(50|75|_[sml])?|ar|pq(_things|_stuff)?|miou(_ms)?)"
)


@dataclass(frozen=True)
class PublishedRow:
    """One published set of figures.

    Args:
        section: Where in the file it stands.
        label: What tells it from the other rows of its section.
        arch: ``b0`` to ``b6``.
        method: The head on the backbone, as config names call it: ``in1k``, ``maskrcnn``, ...
        pretrained: ``in1k`` or ``in22k`` where the row says so.
        input_size: Height and width in pixels, as printed.
        figures: By name, with the digits that are printed (``5.0`` is not ``5``).
        settings: What else the row says, such as ``kernel`` and ``drop_path``, as text.
    """

    section: str
    label: str
    arch: str
    method: str
    pretrained: str | None
    input_size: tuple[int, int]
    figures: Mapping[str, Decimal]
    settings: Mapping[str, Any]


def unit_of(figure: str) -> str:
    """The unit of a figure: M (parameters), G (multiply-accumulates), img/s, or %."""
    return _UNITS.get(figure, "%")


def load_results(path: Path = RESULTS) -> list[PublishedRow]:
    """Load every published row, in the order of the file.

    Args:
        path: A file of the form of the package's ``published/results.yml``.

    Raises:
        DataError: The file is missing, or a section, field or value in it is not understood.
    """
    sections = _read(path)
    rows = []
    for section, content in sections.items():
        if section in _NO_RESULTS:
            continue
        if section not in SECTIONS:
            hint = did_you_mean(section, SECTIONS)
            raise DataError(f"{path}: unknown section {section!r}.{hint} Known: {[*SECTIONS]}")
        rows += [_parse(path, section, fields) for fields in _fields_of_rows(section, content)]
    return rows


def _read(path: Path) -> dict[str, Any]:
    try:
        # BaseLoader keeps numbers as they are printed.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"published results {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected sections with rows, found {type(content).__name__}")
    return content


def _fields_of_rows(section: str, content: Any) -> Iterator[dict[str, Any]]:
    """The rows of a section, which is a list of rows, one row, or rows by name."""
    if section == "architectures":
        yield from ({"arch": arch, **fields} for arch, fields in content.items())
    elif section == "ablations_b0":
        named = {name: fields for name, fields in content.items() if name != "kernel_sizes"}
        yield from ({"arch": "b0", "ablation": name, **row} for name, row in named.items())
        yield from ({"arch": "b0", **row} for row in content.get("kernel_sizes", []))
    elif isinstance(content, list):
        yield from content
    else:
        yield content


def _parse(path: Path, section: str, fields: Mapping[str, Any]) -> PublishedRow:
    where = f"{path}: {section}: {dict(fields)}"
    common = SECTIONS[section]
    method = common.method or _on_3x_schedule(fields.get("method"))
    size = common.input_size or _parse_size(fields.get("input", ""), where)
    if "arch" not in fields or not method:
        raise DataError(f"{where} needs an arch and, in this section, a method")
    figures = {
        key: _parse_figure(key, value, where)
        for key, value in fields.items()
        if key not in _SETTINGS
    }
    return PublishedRow(
        section=section,
        label=_label(fields),
        arch=fields["arch"],
        method=method,
        pretrained=fields.get("pretrained"),
        input_size=size,
        figures=figures,
        settings={key: value for key, value in fields.items() if key in _SETTINGS},
    )


def _on_3x_schedule(method: str | None) -> str | None:
    """The method of a row that names it itself; in the file these are the rows of the 3x table."""
    return f"{_METHODS.get(method, method)}_3x" if method else None


def _parse_size(text: str, where: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not found:
        raise DataError(f"{where}: input must be 224 or 256x192, for example, got {text!r}")
    height, width = found.groups()
    return int(height), int(width or height)


def _parse_figure(key: str, value: Any, where: str) -> Decimal:
    if key not in _UNITS and not _SCORE.fullmatch(key):
        raise DataError(
            f"{where}: unknown field {key!r}.{did_you_mean(key, (*_UNITS, *_SETTINGS))}"
        )
    try:
        return Decimal(value)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise DataError(f"{where}: {key} must be a number, got {value!r}") from error


def _label(fields: Mapping[str, Any]) -> str:
    parts = [fields["arch"]] if "arch" in fields else []
    parts += [fields[key] for key in ("method", "pretrained", "input", "ablation") if key in fields]
    parts += [f"{key} {fields[key]}" for key in ("kernel", "dilation") if key in fields]
    return " ".join(parts)
