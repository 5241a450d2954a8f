"""Checks that the heads of the model have as many classes as the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmvan.data.check.classification import class_folders
from mmvan.data.check.problems import Problem
from mmvan.data.check.sources import FOLDER_LAYOUT, Source

__all__ = ["head_problems"]

# Under these keys the libraries keep the heads whose `num_classes` is that of the data set. Others
# count something else, as the semantic head of a panoptic model does.
HEADS = ("head", "bbox_head", "mask_head", "decode_head", "auxiliary_head")


def _walk(key: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields all dictionaries of a config with their keys."""
    if isinstance(value, Mapping):
        yield key, value
        for name, part in value.items():
            yield from _walk(f"{key}.{name}", part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, part in enumerate(value):
            yield from _walk(f"{key}[{index}]", part)


def _heads(model: Any) -> Iterator[tuple[str, int]]:
    for key, options in _walk("model", model):
        name = key.rpartition(".")[2].partition("[")[0]
        number = options.get("num_classes")
        if name in HEADS and isinstance(number, int) and not options.get("class_agnostic"):
            yield f"{key}.num_classes", number


def _count(source: Source) -> int:
    if source.classes:
        return len(source.classes)
    return len(class_folders(source)) if source.layout == FOLDER_LAYOUT else 0


def head_problems(cfg: Config, sources: list[Source]) -> list[Problem]:
    """Compares the classes of heads and data.

    Args:
        cfg: The whole config.
        sources: Its data sets; one that does not say how many classes it has is left out.
    """
    problems = []
    for source in sources:
        count = _count(source)
        for key, number in _heads(cfg.get("model")):
            if count and number != count:
                found = f"a head for {number} classes"
                expected = f"{count}, the number of classes of {source.key}"
                fix = f"--cfg-options {key}={count}, or correct metainfo.classes of the data set"
                problems.append(Problem(key, str(number), found, expected, fix))
    return problems
