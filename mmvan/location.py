"""Where the configs and the model index are: inside the installed package or beside it."""

from pathlib import Path

from mmvan.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent
INDEX = "model-index.yml"
CONFIGS = "configs"


def zoo_dir() -> Path:
    """The folder that holds the model index and the configs.

    It is ``mmvan/.mim`` of an installed package, where ``mim`` looks too, or else the checkout that
    the package is in. The paths in the model index are relative to it.

    Raises:
        ConfigError: Neither has a model index with configs beside it.
    """
    candidates = (_PACKAGE / ".mim", _PACKAGE.parent)
    for folder in candidates:
        if (folder / INDEX).is_file() and (folder / CONFIGS).is_dir():
            return folder
    raise ConfigError(
        f"mmvan's configs were not found: neither {candidates[0]} nor {candidates[1]} holds "
        f"{INDEX} and {CONFIGS}. Install the package again (`pip install .` in a clone), "
        "or work in a clone."
    )


def config_dir() -> Path:
    """The folder of the configs, one folder per task in it.

    Raises:
        ConfigError: The installation has no configs.
    """
    return zoo_dir() / CONFIGS
