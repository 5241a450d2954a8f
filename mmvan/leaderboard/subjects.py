"""Which config, with which settings and image size, a published row is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.arch import ALIASES
from mmvan.engine.config import load_config
from mmvan.errors import ConfigError
from mmvan.leaderboard.published import PublishedRow

_LKA = "model.backbone.lka_cfg"
# Table 3 of arXiv 2202.09741 in the words of `mmvan.VAN`'s options.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "without_dw_conv": {"dw_conv": False},
    "without_dw_d_conv": {"dw_d_conv": False},
    "without_attention": {"gate": "none"},
    "attention_by_add": {"gate": "add"},
    "without_1x1": {"pw_conv": False},
    "with_sigmoid": {"sigmoid": True},
}
# What FLOPs are stated for where no row is about a config; by folder.
_INPUT_SIZES = {
    "classification": (224, 224),
    "detection": (1280, 800),
    "segmentation": (512, 512),
}


@dataclass(frozen=True)
class Subject:
    """A model that can be built and counted.

    Args:
        config: Name of the config file, without ``.py``.
        input_size: Height and width in pixels.
        lka: Options of the backbone's large kernel attention, as pairs.
    """

    config: str
    input_size: tuple[int, int]
    lka: tuple[tuple[str, Any], ...] = ()

    def load(self, path: Path) -> Config:
        """Load the config with its settings from its file."""
        return load_config(str(path), {_LKA: dict(self.lka)} if self.lka else None, ("model",))


def subject_of(row: PublishedRow) -> Subject:
    """The config and settings of a published row.

    Pre-training and fine-tuning at another size change no layer, so classifiers are one config at
    every input size; the ablations are options of B0.
    """
    letters = (alias for alias, arch in ALIASES.items() if arch == row.arch and len(alias) == 1)
    size = next(letters, row.arch)
    return Subject(f"van_{size}_{row.method}", row.input_size, tuple(_lka_of(row).items()))


def usual_subject(path: Path) -> Subject:
    """The model of a config that no published row is about, at the usual size of its task.

    Raises:
        ConfigError: The config is in no task's folder.
    """
    task = path.parent.name
    if task not in _INPUT_SIZES:
        raise ConfigError(
            f"{path}: configs belong into a folder named {', '.join(_INPUT_SIZES)}, not {task!r}"
        )
    return Subject(path.stem, _INPUT_SIZES[task])


def find_configs(folder: Path) -> dict[str, Path]:
    """The configs below a folder, by name.

    Raises:
        ConfigError: There is none.
    """
    leaves = (path for path in sorted(folder.glob("*/van_*.py")) if path.parent.name[0] != "_")
    found = {path.stem: path for path in leaves}
    if not found:
        raise ConfigError(f"{folder}: no configs found; expected files <task>/van_*.py in it")
    return found


def _lka_of(row: PublishedRow) -> Mapping[str, Any]:
    if "kernel" in row.settings:
        return {
            "kernel_size": int(row.settings["kernel"]),
            "dilation": int(row.settings["dilation"]),
        }
    return ABLATIONS[row.settings["ablation"]] if "ablation" in row.settings else {}
