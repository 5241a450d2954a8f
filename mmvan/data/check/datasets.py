"""Checks all data that a config names, before any long work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.data.check.classification import folder_problems
from mmvan.data.check.detection import COCO_LAYOUT, CocoFiles, coco_problems, untrained_problems
from mmvan.data.check.heads import decoded_classes, head_problems
from mmvan.data.check.problems import Problem, raise_if_any
from mmvan.data.check.segmentation import PAIR_LAYOUT, pair_problems
from mmvan.data.check.sources import (
    FOLDER_LAYOUT,
    Source,
    advice,
    find_sources,
    location_problems,
    neighbours,
)
from mmvan.type_name import type_name

__all__ = ["check_datasets", "find_problems"]


def _source_problems(source: Source, files: CocoFiles, heads: int) -> list[Problem]:
    """Checks one dataset; of a class that finds files in its own way, only that paths exist."""
    problems = location_problems(source)
    if problems:
        return problems
    if source.layout == COCO_LAYOUT:
        return coco_problems(source, files)
    if source.layout == PAIR_LAYOUT:
        return pair_problems(source, heads, files.max_decoded)
    if source.layout == FOLDER_LAYOUT:
        return folder_problems(source)
    return []


def _loader_problems(cfg: Config, loader: str, files: CocoFiles) -> list[Problem]:
    sources = find_sources(cfg, loader)
    heads = decoded_classes(cfg)
    found = {source.key: _source_problems(source, files, heads) for source in sources}
    problems = [problem for part in found.values() for problem in part]
    sound = [source for source in sources if not found[source.key]]
    if loader == "train":
        coco = [source for source in sound if source.layout == COCO_LAYOUT]
        problems += untrained_problems(cfg, coco, files)
    return problems + head_problems(cfg, sound)


def _metrics(cfg: Config, loader: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    key = f"{loader}_evaluator"
    evaluator = cfg.get(key) or []
    if isinstance(evaluator, Mapping):
        yield key, evaluator
    elif isinstance(evaluator, Sequence):
        for index, metric in enumerate(evaluator):
            yield f"{key}[{index}]", metric


def _evaluator_problems(cfg: Config, loader: str, files: CocoFiles) -> Iterator[Problem]:
    for key, metric in _metrics(cfg, loader):
        path = metric.get("ann_file")
        if not path or "://" in path:
            continue
        key = f"{key}.ann_file"
        if not Path(path).is_file():
            found = f"no such file; {neighbours(path)}"
            expected = f"the annotation file of the {loader} data"
            yield Problem(key, path, found, expected, advice(path))
        elif type_name(metric).endswith("CocoMetric"):
            masks = "segm" in (metric.get("metric") or ())
            annotated = not metric.get("format_only")
            problem = files.problem(key, path, annotated, masks=masks, metric=True)
            if problem:
                yield problem


def find_problems(
    cfg: Config, loaders: Sequence[str], files: CocoFiles | None = None
) -> list[Problem]:
    """Checks the files of all datasets and metrics, without building any.

    Annotations are read whole; of label maps and panoptic maps some are decoded.

    Wrappers such as ``RepeatDataset`` are looked through. Paths are joined as the datasets join
    them; each annotation file is read once.

    Args:
        cfg: A config of mmpretrain, mmdet or mmseg.
        loaders: Whose data to check: of ``train``, ``val`` and ``test``. One that the config lacks
            is left out.
        files: The annotation files read so far.
    """
    files = files or CocoFiles()
    problems: list[Problem] = []
    for loader in loaders:
        problems += _loader_problems(cfg, loader, files)
        problems += _evaluator_problems(cfg, loader, files)
    return problems


def check_datasets(cfg: Config, loaders: Sequence[str] = ("train", "val", "test")) -> None:
    """Refuses datasets and metrics that :func:`find_problems` finds anything wrong with.

    Args:
        cfg: A config of mmpretrain, mmdet or mmseg.
        loaders: As for :func:`find_problems`.

    Raises:
        DataError: If anything is wrong; the message lists every problem with the key of the config,
            what was found, what was expected and what to do.
    """
    raise_if_any(find_problems(cfg, loaders))
