"""Finds the datasets in a config, and where on disk they look for their files."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmengine.utils import is_abs

from mmvan.data.check.problems import Problem, similar

__all__ = [
    "FOLDER_LAYOUT",
    "Source",
    "advice",
    "find_sources",
    "list_files",
    "location_problems",
    "neighbours",
]

# mmpretrain's class that finds images in class folders or by a list of lines.
FOLDER_LAYOUT = "CustomDataset"


@dataclass(frozen=True)
class Source:
    """One dataset of a config, wrappers taken off.

    Args:
        key: Where it stands, like ``train_dataloader.dataset.dataset``.
        options: Its part of the config.
        dataset_type: The class that would read it; None if it cannot be found.
        loader: Who reads it: ``train``, ``val`` or ``test``.
    """

    key: str
    options: Mapping[str, Any]
    dataset_type: type | None
    loader: str

    @property
    def root(self) -> str:
        """The data root, or an empty string."""
        return self.options.get("data_root") or ""

    @property
    def layout(self) -> str:
        """Name of the class that decides how files are found; empty if that is unknown."""
        load = getattr(self.dataset_type, "load_data_list", None)
        return load.__qualname__.split(".")[0] if load else ""

    @property
    def remote(self) -> bool:
        """Whether the files are not on a disk of this machine."""
        backend = (self.options.get("backend_args") or {}).get("backend", "local")
        places = [self.root, self.ann_file, *self.prefixes.values()]
        return backend != "local" or any("://" in place for place in places)

    @property
    def split(self) -> str:
        """The split that mmpretrain derives paths from, where they are not given."""
        return self.options.get("split") or "" if self.layout == FOLDER_LAYOUT else ""

    @property
    def ann_file(self) -> str:
        """Path of the annotation file, or an empty string."""
        path = self.option("ann_file")
        if path or not self.split:
            return self._join(path) if path else ""
        path = self._join(f"meta/{self.split}.txt")
        return path if Path(path).is_file() else ""

    @property
    def prefixes(self) -> dict[str, str]:
        """Directories by their keys in ``data_prefix``; empty strings for the current one."""
        prefix = self.option("data_prefix")
        if isinstance(prefix, str):
            prefix = {"img_path": prefix or self.split}
        paths = {key: path for key, path in (prefix or {}).items() if path is not None}
        return {key: self._join(path) if path else self.root for key, path in paths.items()}

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names by the config, else by the dataset's class; None if neither says."""
        return self.names("classes")

    def names(self, key: str) -> tuple[str, ...] | None:
        """Names under a key of the metainfo, such as ``thing_classes``; see :attr:`classes`."""
        names = (self.options.get("metainfo") or {}).get(key) or self.options.get(key)
        if isinstance(names, str):
            names = list_from_file(names) if Path(names).is_file() else None
        if names is None:
            names = getattr(self.dataset_type, "METAINFO", {}).get(key)
        return tuple(names) if names else None

    def option(self, name: str) -> Any:
        """Returns an option of the config, else its default in the dataset's class."""
        if name in self.options:
            return self.options[name]
        for parent in inspect.getmro(self.dataset_type) if self.dataset_type else ():
            parameter = inspect.signature(vars(parent).get("__init__", object)).parameters.get(name)
            if parameter and parameter.default is not inspect.Parameter.empty:
                return parameter.default
        return None

    def _join(self, path: str) -> str:
        if path.startswith("~") and self.layout == FOLDER_LAYOUT:
            path = str(Path(path).expanduser())
        return path if is_abs(path) or not self.root else str(Path(self.root, path))


def _dataset_type(options: Mapping[str, Any], default_scope: str) -> type | None:
    name = options.get("type")
    if not isinstance(name, str):
        return name
    scope, _, _ = name.rpartition(".")
    with DATASETS.switch_scope_and_registry(scope or default_scope) as registry:
        return registry.get(name)


def _unwrap(key: str, options: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Goes through wrappers such as ``RepeatDataset`` and ``ConcatDataset``."""
    if isinstance(options.get("dataset"), Mapping):
        yield from _unwrap(f"{key}.dataset", options["dataset"])
    elif isinstance(options.get("datasets"), Sequence):
        for index, part in enumerate(options["datasets"]):
            yield from _unwrap(f"{key}.datasets[{index}]", part)
    else:
        yield key, options


def find_sources(cfg: Config, loader: str) -> list[Source]:
    """Finds the datasets of one loader.

    Args:
        cfg: The whole config.
        loader: ``train``, ``val`` or ``test``.

    Returns:
        The datasets on local disks; none if the config has no such loader. A dataset elsewhere is
        left out, and the log says so.
    """
    options = (cfg.get(f"{loader}_dataloader") or {}).get("dataset")
    if not isinstance(options, Mapping):
        return []
    scope = cfg.get("default_scope") or "mmengine"
    sources = [
        Source(key, part, _dataset_type(part, scope), loader)
        for key, part in _unwrap(f"{loader}_dataloader.dataset", options)
    ]
    for source in sources:
        if source.remote:
            message = f"{source.key}: not on a local disk, its files are not checked"
            print_log(message, "current", logging.WARNING)
    return [source for source in sources if not source.remote]


def list_files(root: str) -> Iterator[str]:
    """Lists files at any depth, those whose names begin with a dot left out.

    Args:
        root: A directory.

    Yields:
        Paths relative to `root`, with forward slashes.
    """
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(Path(root, folder)) as entries:
            for entry in entries:
                path = folder + entry.name
                if entry.is_dir():
                    pending.append(f"{path}/")
                elif not entry.name.startswith("."):
                    yield path


def neighbours(path: str) -> str:
    """Says what stands where a missing path should be, names like the missing one first."""
    missing = Path(path).absolute()
    while not missing.parent.is_dir():
        missing = missing.parent
    names = sorted(
        entry.name for entry in missing.parent.iterdir() if not entry.name.startswith(".")
    )
    has = f"has {similar(missing.name, names)}" if names else "is empty"
    return f"{missing.parent} {has}"


def advice(path: str) -> str:
    """Says how to get the data that should be at a path."""
    if "sample" in Path(path).parts:
        return "make the sample data: python tools/prepare_sample_data.py"
    return (
        "put the dataset there (python tools/prepare_dataset.py does; docs/data.md), or "
        "name its place with --cfg-options and the key above"
    )


def location_problems(source: Source) -> list[Problem]:
    """Finds what a dataset names and is not there: its root, else directories and files."""
    if source.root and not Path(source.root).is_dir():
        found = f"no such directory; {neighbours(source.root)}"
        expected = "the directory of the dataset"
        return [
            Problem(f"{source.key}.data_root", source.root, found, expected, advice(source.root))
        ]
    problems = []
    for name, path in source.prefixes.items():
        if path and not Path(path).is_dir():
            key = f"{source.key}.data_prefix.{name}"
            found = f"no such directory; {neighbours(path)}"
            problems.append(Problem(key, path, found, "a directory", advice(source.root)))
    if source.ann_file and not Path(source.ann_file).exists():
        found = f"no such file; {neighbours(source.ann_file)}"
        key = f"{source.key}.ann_file"
        problems.append(
            Problem(key, source.ann_file, found, "an annotation file", advice(source.root))
        )
    return problems
