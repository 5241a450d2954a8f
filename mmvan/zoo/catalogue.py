"""The models that have a name: a config, what is published about it, and published weights."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from mmvan.errors import ConfigError, did_you_mean
from mmvan.location import INDEX, zoo_dir

_METRIC = re.compile(r"(?P<name>[^(]*[^( ]) ?(?:\((?P<label>.+)\))?")


@dataclass(frozen=True)
class Weights:
    """A published file of weights.

    Args:
        address: Where it is published, as ``https://`` or ``hf://owner/name``.
        layout: How its keys are named: ``official``, ``mmpretrain``, ``mmseg`` or ``huggingface``.
        holds: ``model``, or ``backbone`` for a file without a head.
        sha256: The first 8 digits of its SHA-256, which its publisher put into its name, or None.
        source: The page of its publisher.
        doubt: Why it may not be what its name says, or None.
    """

    address: str
    layout: str
    holds: str
    sha256: str | None
    source: str
    doubt: str | None


@dataclass(frozen=True)
class NamedModel:
    """An entry of a metafile.

    Args:
        name: Name of the model.
        task: Folder of its config, such as ``detection``.
        config: Path of the config below the configs' parent folder.
        recipe: Length and batch of the training, in words.
        training_data: The datasets that it was trained on, in order.
        parameters: Published number of parameters, or None.
        flops: Published number of multiply-accumulates, or None.
        metrics: Published results by name, in the unit of the name.
        weights: Published weights, or None.
    """

    name: str
    task: str
    config: str
    recipe: str
    training_data: tuple[str, ...]
    parameters: int | None
    flops: int | None
    metrics: Mapping[str, float]
    weights: Weights | None

    @property
    def is_default(self) -> bool:
        """Whether it is what the name of its config stands for."""
        return self.name == Path(self.config).stem


@functools.cache
def named_models() -> Mapping[str, NamedModel]:
    """All models of the model index by name, in its order.

    Raises:
        ConfigError: The installation has no model index.
    """
    folder = zoo_dir()
    index = yaml.safe_load((folder / INDEX).read_text("utf-8"))
    found = [model for path in index["Import"] for model in read_metafile(folder / path)]
    return {model.name: model for model in found}


def find_model(name: str) -> NamedModel:
    """The model of a name.

    Args:
        name: One of :func:`list_models`.

    Raises:
        ConfigError: There is no such model; the message has the closest names.
    """
    models = named_models()
    if name in models:
        return models[name]
    raise ConfigError(
        f"no model is named {name!r}.{did_you_mean(name, models)} "
        f"mmvan.list_models() has all {len(models)} names."
    )


def list_models(pattern: str = "*") -> list[str]:
    """Names of the models that :func:`mmvan.get_model` builds.

    The name of a config, such as ``van_b_in1k``, stands for its config and its default weights: the
    authors', or OpenMMLab's conversion where the authors published none. A name that goes on, such
    as ``van_b_in1k_huggingface``, is the same model with other weights.

    Args:
        pattern: A shell pattern that the names must match, such as ``*upernet*``.

    Returns:
        list[str]: The names in alphabetical order; empty if none matches.

    Raises:
        ConfigError: The installation has no model index.
    """
    return sorted(name for name in named_models() if fnmatchcase(name, pattern))


def split_metric(metric: str) -> tuple[str, str | None]:
    """Split a metric of a metafile, ``mIoU (ms+flip)``, into its name and its label or None.

    Raises:
        ConfigError: It has another form.
    """
    parts = _METRIC.fullmatch(metric)
    if parts is None:
        raise ConfigError(f"metric {metric!r}: expected a name, alone or before (a label)")
    return parts["name"], parts["label"]


def read_metafile(metafile: Path) -> list[NamedModel]:
    """The models of a metafile.

    Args:
        metafile: A file of the form of ``configs/*/metafile.yml``.

    Raises:
        ConfigError: The file cannot be read, or an entry lacks something.
    """
    try:
        return _entries(yaml.safe_load(metafile.read_text("utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"metafile {metafile} cannot be read: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"metafile {metafile}: an entry is not of the expected form ({error!r}); "
            f"expected one as in {zoo_dir() / 'configs/classification/metafile.yml'}"
        ) from error


def _entries(content: Mapping[str, Any]) -> list[NamedModel]:
    recipes = {each["Name"]: each["Metadata"]["Recipe"] for each in content["Collections"]}
    return [
        _model(entry, Path(entry["Config"]).parent.name, recipes[entry["In Collection"]])
        for entry in content["Models"]
    ]


def _model(entry: Mapping[str, Any], task: str, recipe: str) -> NamedModel:
    facts = entry["Metadata"]
    data = facts["Training Data"]
    return NamedModel(
        name=entry["Name"],
        task=task,
        config=entry["Config"],
        recipe=recipe,
        training_data=(data,) if isinstance(data, str) else tuple(data),
        parameters=facts.get("Parameters"),
        flops=facts.get("FLOPs"),
        metrics={k: v for result in entry.get("Results", ()) for k, v in result["Metrics"].items()},
        weights=_weights(entry) if "Weights" in entry else None,
    )


def _weights(entry: Mapping[str, Any]) -> Weights:
    facts = entry["Checkpoint"]
    digest = facts["SHA-256"]
    return Weights(
        address=entry["Weights"],
        layout=facts["Layout"],
        holds=facts["Holds"],
        sha256=None if digest == "none published" else digest,
        source=facts["Source"],
        doubt=facts.get("Doubt"),
    )
