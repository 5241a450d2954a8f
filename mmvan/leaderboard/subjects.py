"""Which config, at which image size, a published row is about."""

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmvan.arch import ALIASES
from mmvan.engine.config import load_config
from mmvan.errors import ConfigError
from mmvan.leaderboard.published import PublishedRow

# Settings that names of configs leave out.
_USUAL = {"kernel": "21", "input": "224"}
# Models that are published with both pre-trainings; elsewhere a method and size have one.
_SECOND_PRETRAINING = (("upernet", "b4", "in22k"),)
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
    """

    config: str
    input_size: tuple[int, int]

    def load(self, path: Path) -> Config:
        """Load the config from its file."""
        return load_config(str(path), None, ("model",))


def subject_of(row: PublishedRow) -> Subject:
    """The config that a published row is about, and the image size that it states."""
    letters = (alias for alias, arch in ALIASES.items() if arch == row.arch and len(alias) == 1)
    size = next(letters, row.arch)
    return Subject(f"van_{size}_{row.method}{_setting_of(row)}", row.input_size)


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


def _setting_of(row: PublishedRow) -> str:
    """How the name of a row's config goes on after size and method."""
    settings = row.settings
    if "ablation" in settings:
        return f"_{settings['ablation']}"
    if settings.get("kernel", _USUAL["kernel"]) != _USUAL["kernel"]:
        return f"_kernel{settings['kernel']}"
    if row.section == "imagenet_22k_pretrained" and settings["input"] != _USUAL["input"]:
        return f"_{settings['input']}"
    return "_in22k" if (row.method, row.arch, row.pretrained) in _SECOND_PRETRAINING else ""
