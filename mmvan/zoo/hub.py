"""The classifiers by name in mmpretrain's own functions."""

from mmvan.location import CONFIGS, zoo_dir
from mmvan.zoo.catalogue import list_models, named_models


def register_with_mmpretrain() -> list[str]:
    """Make the classifiers known to mmpretrain's hub; calling it again changes nothing.

    After it, mmpretrain's ``list_models``, ``get_model``, ``inference_model`` and inferencers take
    the names of :func:`mmvan.list_models`. Names of files that hold a backbone alone give a
    classifier with a random head. mmdet and mmseg have no such hub: their inferencers take the path
    of a config.

    Returns:
        list[str]: The names of the classifiers.

    Raises:
        ConfigError: The installation has no model index.
    """
    # Only here: the catalogue itself needs no task library.
    from mmpretrain.apis import ModelHub

    names = [name for name in list_models() if named_models()[name].task == "classification"]
    if not ModelHub.has(names[0]):
        metafile = zoo_dir() / CONFIGS / "classification" / "metafile.yml"
        ModelHub.register_model_index(metafile, config_prefix=zoo_dir())
    return names
