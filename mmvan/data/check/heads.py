"""Checks that the heads of the model have as many classes as the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmvan.data.check.classification import class_folders
from mmvan.data.check.problems import Problem
from mmvan.data.check.sources import FOLDER_LAYOUT, Source

__all__ = ["decoded_classes", "head_problems"]

# Under these keys the libraries keep the heads whose `num_classes` is that of the dataset. Others
# count something else, as the semantic head of a panoptic model does.
HEADS = ("head", "bbox_head", "mask_head", "decode_head", "auxiliary_head")
# What the heads of panoptic models count, and where the metainfo of the dataset names it.
PANOPTIC = {"num_things_classes": "thing_classes", "num_stuff_classes": "stuff_classes"}


def _walk(key: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields all dictionaries of a config with their keys."""
    if isinstance(value, Mapping):
        yield key, value
        for name, part in value.items():
            yield from _walk(f"{key}.{name}", part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, part in enumerate(value):
            yield from _walk(f"{key}[{index}]", part)


def _heads(model: Any) -> Iterator[tuple[str, int, str]]:
    """Yields the keys of numbers of classes, the numbers, and where the metainfo names them."""
    for key, options in _walk("model", model):
        for count in PANOPTIC.keys() & options.keys():
            yield f"{key}.{count}", options[count], PANOPTIC[count]
        name = key.rpartition(".")[2].partition("[")[0]
        number = options.get("num_classes")
        if name in HEADS and isinstance(number, int) and not options.get("class_agnostic"):
            yield f"{key}.num_classes", number, "classes"


def _count(source: Source, names: str) -> int:
    """Returns how many classes a dataset has; 0 if it does not say."""
    found = source.names(names)
    if found is not None or source.layout != FOLDER_LAYOUT:
        return len(found or ())
    return len(class_folders(source))


def decoded_classes(cfg: Config) -> int:
    """Returns how many classes the decode heads of a segmentor have; 0 if there is none."""
    return max((n for key, n, _ in _heads(cfg.get("model")) if "decode_head" in key), default=0)


def head_problems(cfg: Config, sources: list[Source]) -> list[Problem]:
    """Compares the classes of heads and data.

    Args:
        cfg: The whole config.
        sources: Its datasets; one that does not say how many classes it has is left out.
    """
    problems = []
    for source in sources:
        for key, number, names in sorted(_heads(cfg.get("model"))):
            count = _count(source, names)
            if count and number != count:
                found = f"a head for {number} classes"
                expected = f"{count}, the number of {names.replace('_', ' ')} of {source.key}"
                fix = f"--cfg-options {key}={count}, or correct metainfo.{names} of the dataset"
                problems.append(Problem(key, str(number), found, expected, fix))
    return problems
